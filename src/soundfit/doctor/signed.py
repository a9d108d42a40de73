"""Losses that take labels of 1 and -1: what they make of others, and labels turned into such.

A label of 0 drops out of ``margin_ranking_loss`` and ``cosine_embedding_loss`` without a word, so that pairs
of one kind teach nothing. Knows torch's functions; knows no rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

__all__ = ["hear_labels", "signed_labels"]

Patch = Callable[[Any, str, Any], None]
Tensor = torch.Tensor
_SIGNED = {
    "cosine_embedding_loss": 2, "margin_ranking_loss": 2, "hinge_embedding_loss": 1, "soft_margin_loss": 1,
}  # fmt: skip
"""The place of the labels among the arguments."""

_LISTENED = 3  # calls, of each loss


def hear_labels(patch: Patch, told: dict[str, Any], place: Callable[[], Any]) -> None:
    """Note in ``told["unsigned"]`` a loss that wants labels of 1 and -1 and is given others, and which."""
    heard: dict[str, int] = {}

    def look(name: str, labels: Tensor) -> Tensor:
        heard[name] = heard.get(name, 0) + 1
        if heard[name] <= _LISTENED and "unsigned" not in told and torch.is_grad_enabled():
            values = labels.detach().unique()
            if 0 < len(values) <= 64 and not bool((values.abs() == 1).all()):
                told["unsigned"] = {"loss": name, "labels": values[:4].tolist(), "place": place()}
        return labels

    _around(patch, look)


def signed_labels(patch: Patch) -> None:
    """Let those losses take labels above 0 for 1, and all others for -1."""
    _around(patch, lambda name, labels: torch.where(labels > 0, 1, -1).to(labels.dtype))


def _around(patch: Patch, change: Callable[[str, Tensor], Tensor]) -> None:
    def wrapped(name: str, at: int) -> Any:
        original = getattr(F, name)

        @functools.wraps(original)
        def loss(*args: Any, **kwargs: Any) -> Tensor:
            if isinstance(kwargs.get("target"), Tensor):
                kwargs["target"] = change(name, kwargs["target"])
            elif len(args) > at and isinstance(args[at], Tensor):
                args = (*args[:at], change(name, args[at]), *args[at + 1 :])
            return original(*args, **kwargs)

        return loss

    for name, at in _SIGNED.items():
        patch(F, name, wrapped(name, at))
