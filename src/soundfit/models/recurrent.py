"""Recurrent nets for sequences of one or many lengths: LSTM, GRU, and the plain RNN as a baseline.

Sequences are aligned at their *ends*. In the padding before them inputs and biases are 0, so a net's state
stays exactly 0 until the sequence begins: padding changes no result, and the last step is the last of
every row.

Shape legend: B batch, T steps, F features, H units, C outputs; inside, the batch is the last axis.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from soundfit.models.dropout import CounterDropout
from soundfit.models.scan import CELLS, scan, unrolled
from soundfit.models.sequence_input import SequenceInput, reversal, reversed_in_time

__all__ = ["READOUTS", "RecurrentLayer", "RecurrentNet"]

READOUTS = ("last", "mean")


class RecurrentLayer(nn.Module):
    """One layer in one direction.

    Inputs start at Xavier scale and recurrent maps orthogonal, gate by gate; biases at 0, but the LSTM's
    forget gate at 1 (Gers et al. 2000; Jozefowicz et al. 2015), so that states last from the beginning.
    With ``memory`` steps, gates start with time scales spread from 1 to ``memory`` instead: forget
    biases log u, u uniform in [1, memory - 1], input biases the negative (Tallec & Ollivier 2018,
    "Can recurrent neural networks warp time?", equation 16; the GRU's update gate likewise).

    Shape:
        - Input: (T, F + 1, B), the last row the presence: 1, or 0 in padding; output: states (T, H, B).

    Example:
        >>> import torch
        >>> layer = RecurrentLayer("lstm", 3, 8)
        >>> layer(torch.cat([torch.randn(5, 3, 2), torch.ones(5, 1, 2)], dim=1)).shape
        torch.Size([5, 8, 2])
    """

    def __init__(self, kind: str, n_inputs: int, width: int, *, memory: int = 0) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"a recurrent layer is one of {sorted(CELLS)}, however: {kind!r}")
        self.kind, self.width = kind, width
        gates = CELLS[kind].gates
        self.weight_ih = nn.Parameter(torch.empty(gates * width, n_inputs))
        self.weight_hh = nn.Parameter(torch.empty(gates * width, width))
        self.bias = nn.Parameter(torch.zeros(gates * width))
        with torch.no_grad():
            for weight in self.weight_ih.chunk(gates):
                nn.init.xavier_uniform_(weight)
            for weight in self.weight_hh.chunk(gates):
                nn.init.orthogonal_(weight)
            self._start_biases(memory)

    def _start_biases(self, memory: int) -> None:
        spread = torch.empty(self.width).uniform_(1.0, max(memory - 1.0, 1.0)).log()
        if self.kind == "lstm":
            _, i, f, _ = self.bias.chunk(4)
            f.copy_(spread) if memory else f.fill_(1.0)
            i.copy_(-spread) if memory else i.fill_(0.0)
        elif self.kind == "gru":
            _, z, _ = self.bias.chunk(3)
            z.copy_(spread) if memory else z.fill_(1.0)

    def forward(self, x: Tensor, *, last: bool = False) -> Tensor:
        """Return the states (T, H, B), or the ``last`` one alone (H, B)."""
        # The bias is the weight of the presence: in padding a state stays 0.
        weight = torch.cat([self.weight_ih, self.bias.unsqueeze(1), self.weight_hh], dim=1)
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            # Exporters follow ordinary operations only.
            states = unrolled(self.kind, x, weight)
            return states[-1] if last else states
        return scan(self.kind, x, weight, every=not last)

    def held_elements(self, x: Tensor) -> int:
        """Return how many values a training pass keeps for the gradient, of all steps."""
        steps, inputs, batch = x.shape
        cell = CELLS[self.kind]
        kept = {"lstm": 5 * self.width, "gru": 4 * self.width, "rnn": 0}[self.kind]
        states = inputs + cell.states * self.width
        return batch * ((steps + 1) * states + steps * kept)

    def extra_repr(self) -> str:
        """Name kind and sizes."""
        return f"{self.kind!r}, {self.weight_ih.shape[1]}, {self.width}"


class RecurrentNet(nn.Module):
    """``depth`` recurrent layers over a sequence, read out at the end or on average, then an affine map.

    Args:
        kind: ``lstm``, ``gru`` or ``rnn``.
        inputs: what the steps become.
        n_outputs: C.
        width: H, units a layer and direction.
        depth: layers.
        dropout: between layers and before the output.
        both: also run each layer from the end to the beginning, and read both.
        readout: ``last`` state or ``mean`` of the states of all steps that are there.
        memory: see :class:`RecurrentLayer`.

    Shape:
        - Input: (B, T, F + 1), see :class:`SequenceInput`; output: (B, C).

    Example:
        >>> import torch
        >>> x = torch.cat([torch.randn(4, 9, 2), torch.ones(4, 9, 1)], dim=2)
        >>> RecurrentNet("lstm", SequenceInput([0.0, 0.0], [1.0, 1.0]), 1, width=8)(x).shape
        torch.Size([4, 1])
    """

    def __init__(
        self,
        kind: str,
        inputs: SequenceInput,
        n_outputs: int,
        *,
        width: int,
        depth: int = 1,
        dropout: float = 0.0,
        both: bool = False,
        readout: str = "last",
        memory: int = 0,
    ) -> None:
        super().__init__()
        if readout not in READOUTS:
            raise ValueError(f"a readout is one of {READOUTS}, however: {readout!r}")
        self.both, self.readout, self.depth = both, readout, depth
        directions = 2 if both else 1
        self.inputs = inputs
        self.layers = nn.ModuleList(
            RecurrentLayer(kind, inputs.n_outputs if level == 0 else directions * width, width, memory=memory)
            for level in range(depth)
            for _ in range(directions)
        )
        self.drops = nn.ModuleList(CounterDropout(dropout) for _ in range(depth if dropout > 0 else 0))
        self.output = nn.Linear(directions * width, n_outputs)
        nn.init.normal_(self.output.weight, std=0.1 / math.sqrt(width))
        nn.init.zeros_(self.output.bias)
        self.parameter_scales = {
            name: (1.0, 1.0 if parameter.dim() == 2 else 0.0) for name, parameter in self.named_parameters()
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        x = self.inputs(x)
        return self._read_from(0, x, x[:, -1:])

    def read(self, states: Tensor, inputs: Tensor) -> Tensor:
        """Return outputs (B, C) from the first layer's states (T, H, B): what follows after that layer."""
        return self._read_after(0, states[-1] if self._is_last(0) else states, inputs[:, -1:])

    def _is_last(self, level: int) -> bool:
        return level == self.depth - 1 and self.readout == "last"

    def _read_from(self, level: int, x: Tensor, present: Tensor) -> Tensor:
        order = reversal(present) if self.both else None
        h = self._level(level, x, order, last=self._is_last(level))
        return self._read_after(level, h, present)

    def _read_after(self, level: int, h: Tensor, present: Tensor) -> Tensor:
        if level == self.depth - 1 and self.readout == "mean":
            h = h.sum(0) / present.sum(0).clamp_min(1.0)
        if len(self.drops):
            h = self.drops[level](h)
        if level < self.depth - 1:
            return self._read_from(level + 1, torch.cat([h, present], dim=1), present)
        outputs: Tensor = self.output(h.transpose(0, 1))
        return outputs

    def _level(self, level: int, x: Tensor, order: Tensor | None, *, last: bool) -> Tensor:
        if order is None:
            states: Tensor = self.layers[level](x, last=last)
            return states
        onward = self.layers[2 * level](x, last=last)
        # Run backwards, the last state is the one that saw the beginning last.
        back = self.layers[2 * level + 1](reversed_in_time(x, order), last=last)
        return torch.cat([onward, back if last else reversed_in_time(back, order)], dim=-2)
