"""Changes to the network itself: first weights drawn anew, wider layers, residual connections, ReLU. Knows modules alone.

Layers are changed in place, so that the script's own ``forward`` goes on using them. New parameters must be given
to the optimiser by the caller.
"""

# ruff: noqa: E501

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["INSIDE", "calmed", "draw_anew", "relu_between", "remembering", "residual", "widen"]

F = nn.functional
Tensor = torch.Tensor
#: What can stand in for the sigmoids and tanhs inside a model; torch's own, whatever is patched later.
INSIDE: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "tanh": torch.tanh}
_KEEPS_WIDTH = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity)


_MAPS = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def draw_anew(model: nn.Module) -> None:
    """Draw first weights as torch's layers do; an author's own matrices as Glorot and Bengio (2010), if twice as large.

    Which side of a bare matrix the inputs are on is not known: Glorot's spread is the same for both. Embeddings
    that an author began small stay small: torch's spread of 1 is far too large for factors of a product.
    """
    for part in model.modules():
        reset = getattr(part, "reset_parameters", None)
        if isinstance(part, nn.Embedding):
            _draw_table(part)
        elif callable(reset):
            reset()
        elif not type(part).__module__.startswith("torch.nn"):
            with torch.no_grad():
                for w in part.parameters(recurse=False):
                    sound = math.sqrt(2.0 / max(sum(w.shape), 1))
                    if w.dim() == 2 and w.is_floating_point() and float(w.pow(2).mean().sqrt()) > 2 * sound:
                        w.normal_(0.0, sound)


def _draw_table(table: nn.Embedding) -> None:
    """Draw an embedding as spread as it was, or as large where all of it was one number, from .05 to 1.

    One number a row that began at zero is an offset.
    """
    spread = float(table.weight.detach().float().std()) if table.weight.numel() > 1 else 0.0
    if spread == 0.0 and table.embedding_dim == 1:
        return
    size = spread or float(table.weight.detach().float().abs().mean())
    table.reset_parameters()
    if size < 1.0:
        with torch.no_grad():
            table.weight.mul_(max(size, 0.05))


def relu_between(model: nn.Module) -> None:
    """Put ReLU in the place of sigmoid and tanh modules, or between linear maps where there is nothing."""
    parts = list(model.modules())
    for part in parts[:-1]:
        if isinstance(part, nn.Sigmoid | nn.Tanh):
            part.forward = F.relu  # type: ignore[method-assign]
    if not any(type(m).__module__ == "torch.nn.modules.activation" for m in parts[:-1]):
        for linear in [m for m in parts if isinstance(m, _MAPS)][:-1]:
            _around(linear, _then_relu)


def widen(model: nn.Module, width: int) -> bool:
    """Give hidden linear layers that are narrower than ``width`` that many units; return whether any was.

    Two linear layers that follow each other in the model, with nothing but units of the same width between,
    are taken for a hidden layer's two sides.
    """
    leaves = [m for m in model.modules() if next(m.children(), None) is None]
    changed = False
    before: nn.Linear | None = None
    for leaf in leaves:
        if isinstance(leaf, nn.Linear):
            if before is not None and before.out_features == leaf.in_features < width:
                _set_size(before, before.in_features, width)
                _set_size(leaf, width, leaf.out_features)
                changed = True
            before = leaf
        elif not isinstance(leaf, _KEEPS_WIDTH):
            before = None
    return changed


def _set_size(linear: nn.Linear, inputs: int, outputs: int) -> None:
    kind, place = linear.weight.dtype, linear.weight.device
    linear.in_features, linear.out_features = inputs, outputs
    linear.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=kind, device=place))
    if linear.bias is not None:
        linear.bias = nn.Parameter(torch.empty(outputs, dtype=kind, device=place))
    linear.reset_parameters()


def residual(model: nn.Module) -> int:
    """Add each linear or convolution layer's input to its output where the shapes agree; return how many.

    Their first weights must be calmed, so that the sum keeps its spread.
    """
    parts = [m for m in model.modules() if _keeps_shape(m)]
    for part in parts:
        _around(part, _and_input)
    return len(parts)


def calmed(model: nn.Module) -> None:
    """Divide the weights of layers that residual() adds to by the root of their number."""
    parts = [m for m in model.modules() if _keeps_shape(m)]
    with torch.no_grad():
        for part in parts:
            part.weight.mul_(1 / math.sqrt(len(parts)))  # type: ignore[operator]


def _keeps_shape(part: nn.Module) -> bool:
    if isinstance(part, nn.Linear):
        return part.in_features == part.out_features
    if not isinstance(part, nn.Conv1d | nn.Conv2d) or part.in_channels != part.out_channels:
        return False
    same = all(2 * p == k - 1 for p, k in zip(part.padding, part.kernel_size, strict=False)) if not isinstance(
        part.padding, str) else part.padding == "same"  # fmt: skip
    return same and all(s == 1 for s in part.stride)


def _around(part: nn.Module, forward: Callable[..., Any]) -> None:
    """Replace a part's forward by one around it; a copy of the part has its own, as partials and methods do."""
    part.forward = functools.partial(forward, part.forward)


def _then_relu(inner: Callable[..., Any], x: torch.Tensor) -> torch.Tensor:
    return F.relu(inner(x))


def _and_input(inner: Callable[..., Any], x: torch.Tensor) -> torch.Tensor:
    return x + inner(x)


@torch.no_grad()
def remembering(model: nn.Module, *, steps: int, of_state: list[str]) -> None:
    """Let recurrent layers begin with states that last for many steps.

    Recurrent weights are orthogonal (Saxe, McClelland & Ganguli 2014), before a ReLU the identity (Le, Jaitly & Hinton
    2015); gates open for up to ``steps`` steps (Tallec & Ollivier 2018). ``of_state``: names of linear
    layers that a loop of the author's own gives its state.
    """
    for name, part in model.named_modules():
        if isinstance(part, nn.RNNBase | nn.RNNCellBase):
            _last_long(part, steps)
        elif name in of_state and isinstance(part, nn.Linear):
            _orthogonal(part.weight)


def _last_long(layer: nn.RNNBase | nn.RNNCellBase, steps: int) -> None:
    kind = type(layer).__name__.removesuffix("Cell").lower()
    held = dict(layer.named_parameters())
    for name, weight in held.items():
        if not name.startswith("weight_hh"):
            continue
        width = weight.shape[1]
        if getattr(layer, "nonlinearity", "") == "relu":
            nn.init.eye_(weight)
        else:
            _orthogonal(weight)
        given, own = (held.get(name.replace("weight_hh", bias)) for bias in ("bias_ih", "bias_hh"))
        if kind not in ("lstm", "gru") or given is None or own is None:
            continue
        keeps = slice(width, 2 * width)  # of i, f, g, o and of r, z, n the gate by which the state is kept
        own[keeps] = 0.0
        given[keeps] = torch.empty_like(given[keeps]).uniform_(1.0, max(steps - 1.0, 2.0)).log()
        if kind == "lstm":
            own[:width] = 0.0
            given[:width] = -given[keeps]


def _orthogonal(weight: Tensor) -> None:
    """Make each square block of (k · H, H) orthogonal: a gate each."""
    width = weight.shape[1]
    if weight.dim() == 2 and weight.shape[0] % width == 0:
        for block in weight.split(width):
            nn.init.orthogonal_(block)
