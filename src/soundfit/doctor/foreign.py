"""Layers and weights that take part in a model and are no part of it, as those of a plain list are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["cleared_with", "hidden_weights", "register_hidden"]


def hidden_weights(module: nn.Module) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
    """Yield weights that a module holds as plain attributes: the part, the attribute's name, the leaf behind.

    ``nn.Parameter(start).float()`` is a tensor computed of a parameter that no module knows; what a model
    keeps of its last outputs leads to its own parameters and is none.
    """
    own = {id(p) for p in module.parameters()}
    for part in module.modules():
        for name, held in vars(part).items():
            leaf = _leaf(held) if isinstance(held, torch.Tensor) and held.requires_grad else None
            if leaf is not None and id(leaf) not in own:
                yield part, name, leaf


def _leaf(held: torch.Tensor) -> torch.Tensor | None:
    """Return the one leaf that a tensor was computed of."""
    node = held.grad_fn
    if node is None:
        return held
    while node is not None:
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, torch.Tensor):
            return leaf
        before = [one for one, _ in node.next_functions if one is not None]
        node = before[0] if len(before) == 1 else None
    return None


def register_hidden(module: nn.Module) -> None:
    """Make parameters of the weights that a module holds as plain attributes."""
    for part, name, _ in list(hidden_weights(module)):
        weight = nn.Parameter(vars(part).pop(name).detach().clone())
        part.register_parameter(name, weight)


def cleared_with(patch: Callable[[Any, str, Any], None], foreign: Mapping[int, nn.Parameter]) -> None:
    """Clear with a model's gradients those of layers that it does not know: they would pile up.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
        foreign: parameters of such layers, as they are met.
    """
    original = nn.Module.zero_grad

    @functools.wraps(original)
    def zero_grad(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        original(module, *args, **kwargs)
        for p in foreign.values():
            p.grad = None

    patch(nn.Module, "zero_grad", zero_grad)
