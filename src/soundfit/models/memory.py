"""Memory: how much of a loss's gradient reaches each step of a sequence in a recurrent net.

Through a plain RNN a gradient is a product of as many Jacobians as there are steps between, and shrinks or
grows exponentially (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013); an LSTM's cell adds
instead. Knows no training.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundfit.models.recurrent import RecurrentLayer, RecurrentNet
from soundfit.models.scan import CELLS

__all__ = ["gradient_by_step"]


def gradient_by_step(net: RecurrentNet, x: Tensor, loss: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    """Return the norm of a loss's gradient by the first layer's state at each step, (T,), mean over rows.

    For an LSTM by its cell and output together: both carry what it remembers. Steps at which no row has
    begun are NaN.

    Args:
        net: the net, in evaluation mode.
        x: a batch of rows (B, T, F + 1).
        loss: of outputs (B, C); a mean over rows.
    """
    layer = net.layers[0]
    assert isinstance(layer, RecurrentLayer)
    assert not net.both
    cell = CELLS[layer.kind]
    carried: list[tuple[Tensor, ...]] = []
    with torch.enable_grad():
        inputs = net.inputs(x)
        weight = torch.cat([layer.weight_ih, layer.bias.unsqueeze(1), layer.weight_hh], dim=1)
        state = tuple(x.new_zeros(layer.width, len(x), requires_grad=True) for _ in range(cell.states))
        states = []
        for step in inputs.unbind(0):
            state = cell.step(step, state, weight)
            carried.append(state)
            states.append(state[0])
        outputs = net.read(torch.stack(states), inputs)
        flat = [part for parts in carried for part in parts]
        grads = torch.autograd.grad(loss(outputs), flat, allow_unused=True, materialize_grads=True)
    stacked = torch.stack(grads).unflatten(0, (len(carried), cell.states))
    # Of a mean over B rows each row's gradient is 1/B of its own.
    norm_TB = stacked.pow(2).sum(dim=(1, 2)).sqrt() * len(x)
    there_TB = inputs[:, -1] > 0.5
    count = there_TB.sum(dim=1)
    mean = torch.where(there_TB, norm_TB, 0.0).sum(dim=1) / count
    return mean.detach().double().numpy()
