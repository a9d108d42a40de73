"""Losses with a backward pass of the author's own: is it the slope of their forward pass?

Knows torch's functions; knows no rule. What is called again is called on copies, and draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from soundfit.doctor.draws import same_draws
from soundfit.doctor.replaced import Replaced

__all__ = ["around_functions", "hear_slopes", "sound_slopes"]

Tensor = torch.Tensor
_grad = torch.autograd.grad  # a watch replaces it
_STEPS = (3e-3, 1e-2)  # of the prediction's norm; where both tell the same, rounding tells nothing
_AGREE = 0.1


def hear_slopes(replaced: Replaced, told: dict[str, Any], place: Callable[[], Any]) -> None:
    """Note in ``told["slope"]`` a loss whose own backward pass is not the slope of its forward pass.

    ``times``: how many times the slope it gives, negative where it gives the opposite.
    """
    heard: set[type] = set()

    def look(cls: type, call: Callable[..., Any], args: tuple[Any, ...], out: Any) -> Any:
        if out.dim() == 0 and cls not in heard and torch.is_grad_enabled():
            heard.add(cls)
            times = _times(call, args)
            if "slope" not in told and times is not None and not 0.8 < times < 1.25:
                told["slope"] = {"name": cls.__name__, "times": times, "place": place()}
        return out

    around_functions(replaced, look)


def sound_slopes(replaced: Replaced) -> None:
    """Let such losses give the slope itself, where theirs is a multiple of it."""
    known: dict[type, float | None] = {}

    def scaled(cls: type, call: Callable[..., Any], args: tuple[Any, ...], out: Any) -> Any:
        if out.dim() > 0:
            return out
        if cls not in known:
            known[cls] = _times(call, args)
        times = known[cls]
        return out if times is None else out.detach() + (out - out.detach()) / times

    around_functions(replaced, scaled)


def around_functions(replaced: Replaced, after: Callable[..., Any]) -> None:
    """Hand what functions with a backward pass of their own make with a gradient to ``after``.

    ``after``: takes the function's class, a call of it, its arguments and what it made; returns what is
    to be used.
    """
    function = torch.autograd.Function
    kept = function.__dict__["apply"]
    original = kept.__func__

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(cls, *args, **kwargs)
        if kwargs or not (isinstance(out, Tensor) and out.requires_grad):
            return out
        return after(cls, lambda *given: original(cls, *given), args, out)

    setattr(function, "apply", classmethod(apply))  # noqa: B010 a class method, replaced
    replaced.later(lambda: setattr(function, "apply", kept))


def _times(call: Callable[..., Any], args: tuple[Any, ...]) -> float | None:
    """Return how many times the slope along itself a gradient is; None where that cannot be told."""
    at = next((k for k, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad), None)
    if at is None or args[at].numel() < 2 or not args[at].is_floating_point():
        return None

    def value(x: Tensor) -> Tensor:
        given = [y.detach() if isinstance(y, Tensor) else y for y in args]
        out: Tensor = call(*given[:at], x, *given[at + 1 :])
        return out

    try:
        with same_draws(), torch._C.DisableTorchFunction():
            with torch.enable_grad():
                x = args[at].detach().clone().requires_grad_()
                (gradient,) = _grad(value(x), x)
            size, spread = float(gradient.norm()), float(x.detach().norm())
            if not (size > 0 and spread > 0 and math.isfinite(size)):
                return None
            with torch.no_grad():
                found = [_slope(value, x.detach(), gradient / size, step * spread) / size for step in _STEPS]
    except Exception:  # the script's own call says what is wrong
        return None
    near, far = found
    steady = math.isfinite(near) and near != 0 and abs(near - far) <= _AGREE * abs(near)
    return 1 / near if steady else None


def _slope(value: Callable[[Tensor], Tensor], x: Tensor, way: Tensor, step: float) -> float:
    return float(value(x + step * way).double() - value(x - step * way).double()) / (2 * step)
