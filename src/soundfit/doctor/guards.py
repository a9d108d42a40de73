"""Guards: stand-ins for torch's functions that a repair puts between a script and a number that breaks it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Endless", "bounded", "divided", "unclipped"]

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


_BOUNDS: dict[str, tuple[tuple[str, ...], float | None, float | None]] = {
    "log": (("log",), 1e-8, None),
    "log2": (("log2",), 1e-8, None),
    "log10": (("log10",), 1e-8, None),
    "log1p": (("log1p",), -1 + 1e-6, None),
    "sqrt": (("sqrt",), 1e-12, None),
    "norm": (("sqrt",), 1e-12, None),
    "rsqrt": (("rsqrt",), 1e-8, None),
    "reciprocal": (("reciprocal",), 1e-8, None),
    "acos": (("acos", "arccos"), -1 + 1e-6, 1 - 1e-6),
    "asin": (("asin", "arcsin"), -1 + 1e-6, 1 - 1e-6),
    "atanh": (("atanh", "arctanh"), -1 + 1e-6, 1 - 1e-6),
    "exp": (("exp",), None, 80.0),
    "expm1": (("expm1",), None, 80.0),
}
"""By the operation that broke: names of functions, their lowest and highest argument."""


def bounded(operation: str) -> list[tuple[Any, str, Any]]:
    """Return owner, name and stand-in of each function that an operation's guard replaces.

    >>> [name for _, name, _ in bounded("acos")]
    ['acos', 'arccos', 'acos', 'arccos']
    """
    if operation == "pow":
        powers = [(o, n) for o in (torch, torch.Tensor) for n in ("pow", "__pow__") if hasattr(o, n)]
        return [(o, n, _rooted(getattr(o, n))) for o, n in powers]
    names, low, high = _BOUNDS.get(operation, ((), None, None))
    return [(o, n, _within(getattr(o, n), low, high)) for o in (torch, torch.Tensor) for n in names]


def _within(original: Any, low: float | None, high: float | None) -> Any:
    @functools.wraps(original)
    def safe(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return original(x.clamp(low, high) if x.is_floating_point() else x, *args, **kwargs)

    return safe


def _rooted(original: Any) -> Any:
    @functools.wraps(original)
    def power(x: Any, exponent: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(exponent, float) and not exponent.is_integer():
            x = x.clamp_min(1e-12)
        return original(x, exponent, *args, **kwargs)

    return power
