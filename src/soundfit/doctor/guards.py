"""Guards: stand-ins for torch's functions that a repair puts between a script and a number that breaks it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Endless", "divided", "guarded", "unclipped"]

Tensor = torch.Tensor


class Endless:
    """An iterator over a loader that outlives being asked for once; after its end another begins."""

    def __init__(self, loader: Any, iterate: Callable[[Any], Any], left: dict[int, Any]) -> None:
        self.loader, self.rest, self.left = loader, iterate(loader), left

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            return next(self.rest)
        except StopIteration:
            self.left.pop(id(self.loader), None)
            raise

    def __len__(self) -> int:
        return len(self.loader)


def divided(original: Any) -> Any:
    """Return a division that leaves out divisors of 0."""

    @functools.wraps(original)
    def div(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(b, Tensor) and b.is_floating_point():
            b = torch.where(b == 0, torch.ones_like(b), b)
        return original(a, b, *args, **kwargs)

    return div


def unclipped(original: Any) -> Any:
    """Return a clipping that leaves a norm of 1 or more."""

    @functools.wraps(original)
    def clip_grad_norm_(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Any:
        return original(parameters, max(float(max_norm), 1.0), *args, **kwargs)

    return clip_grad_norm_


def guarded(original: Any, low: float) -> Any:
    """Return a function whose input is ``low`` or more."""

    @functools.wraps(original)
    def safe(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return original(x.clamp_min(low), *args, **kwargs)

    return safe
