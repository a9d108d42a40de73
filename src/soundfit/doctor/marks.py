"""What stood before an activation, kept beside its output: a loss can be given the one without the other.

Knows torch's functions; knows no model and no loss.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["marked_outputs"]

Tensor = torch.Tensor
F = torch.nn.functional
_ACTIVATIONS = ("softmax", "sigmoid", "relu", "tanh", "log_softmax")
_SHAPING = ("squeeze", "unsqueeze", "view", "reshape", "flatten", "clamp", "clamp_min", "clip", "__getitem__")


def marked_outputs(patch: Callable[[Any, str, Any], None]) -> None:
    """Let outputs of activations carry ``_raw``, what went in, through reshaping and clamping.

    Args:
        patch: puts a function in the place of an owner's attribute.
    """
    for owner in (torch, F, Tensor):
        for name in _ACTIVATIONS:
            if name in owner.__dict__ or hasattr(owner, name):
                patch(owner, name, _marked(getattr(owner, name)))
    for owner in (torch, Tensor):
        for name in _SHAPING:
            if hasattr(owner, name):
                patch(owner, name, _reshaped(name, getattr(owner, name)))


def _marked(original: Any) -> Any:
    @functools.wraps(original)
    def activation(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        out = original(x, *args, **kwargs)
        if isinstance(out, Tensor) and isinstance(x, Tensor):
            out._raw = getattr(x, "_raw", x) if out is not x else x  # type: ignore[attr-defined]
        return out

    return activation


def _reshaped(name: str, original: Any) -> Any:
    """Let what was there before the activation follow its output through reshaping; clamping it drops."""

    @functools.wraps(original)
    def shaped(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        out, raw = original(x, *args, **kwargs), getattr(x, "_raw", None)
        if isinstance(raw, Tensor) and isinstance(out, Tensor) and raw.shape == x.shape and out is not x:
            out._raw = raw if name.startswith("cl") else original(raw, *args, **kwargs)  # type: ignore[attr-defined]
        return out

    return shaped
