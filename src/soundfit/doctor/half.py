"""Half precision turned off while a script runs: what it makes, casts or computes so is in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["in_float"]

Tensor = torch.Tensor


def in_float(patch: Callable[[Any, str, Any], None]) -> None:
    """Let nothing be computed in half precision.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
    """
    autocast, half = torch.amp.autocast_mode.autocast, torch.float16
    start = autocast.__init__

    @functools.wraps(start)
    def __init__(context: Any, *args: Any, **kwargs: Any) -> None:
        start(context, *args[:2], **{**kwargs, "enabled": False})

    def whole(x: Any) -> Any:
        return torch.float32 if x is half else x

    def moving(original: Any) -> Any:
        @functools.wraps(original)
        def to(x: Any, *args: Any, **kwargs: Any) -> Any:
            return original(x, *map(whole, args), **{k: whole(v) for k, v in kwargs.items()})

        return to

    def reading(original: Any) -> Any:
        @functools.wraps(original)
        def made(*args: Any, **kwargs: Any) -> Tensor:
            out: Tensor = original(*args, **kwargs)
            return out.float() if out.dtype is half else out

        return made

    patch(autocast, "__init__", __init__)
    patch(nn.Module, "half", lambda module: module)
    patch(Tensor, "half", lambda x: x.float())
    for owner in (nn.Module, Tensor):
        patch(owner, "to", moving(owner.to))
    for name in ("tensor", "as_tensor", "from_numpy"):
        patch(torch, name, reading(getattr(torch, name)))
    for name in ("float16", "half"):  # what a script makes with this type
        patch(torch, name, torch.float32)
