"""Layers that run inside a model and are no part of it, as those of a plain list are. Knows modules alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

__all__ = ["cleared_with"]


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
