"""Where gradients end: steps have a slope of zero, and a backward pass of the author's own may give zeros.

Knows torch's functions; knows no rule. What is called again is called on copies, and draws nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from soundfit.doctor.draws import same_draws
from soundfit.doctor.graph import kind_of, walk
from soundfit.doctor.lines import place_of
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.slopes import around_functions

__all__ = ["hear_stops", "pass_on", "step_of"]

Tensor = torch.Tensor
_grad = torch.autograd.grad  # a watch replaces it
_STEPS = ("sign", "sgn", "round", "floor", "ceil", "trunc")


def hear_stops(replaced: Replaced, told: dict[str, Any]) -> None:
    """Note in ``told["stops"]`` a function of the author's own that gives back no gradient."""
    heard: set[type] = set()

    def look(cls: type, call: Callable[..., Any], args: tuple[Any, ...], out: Tensor) -> Tensor:
        if cls not in heard and torch.is_grad_enabled():
            heard.add(cls)
            if "stops" not in told and _gives_nothing(call, args):
                told["stops"] = {
                    "name": cls.__name__,
                    "own": True,
                    "place": place_of(getattr(cls, "backward", None)),
                }
        return out

    around_functions(replaced, look)


def step_of(loss: Tensor) -> dict[str, Any] | None:
    """Return the nearest function behind a loss whose slope is zero wherever it has one; None without any.

    >>> x = torch.randn(3, requires_grad=True)
    >>> step_of((x.round() ** 2).sum())["name"], step_of((x + (x.round() - x).detach()).sum())
    ('round', None)
    """
    if loss.grad_fn is None:
        return None
    names = (kind_of(node).lower() for node in walk(loss.grad_fn, 400))
    name = next((n for n in names if n in _STEPS), None)
    return None if name is None else {"name": name, "own": False, "place": None}


def pass_on(replaced: Replaced) -> None:
    """Let gradients pass through what stops them as if it were not there (Bengio et al. 2013).

    Through a function that gives -1 and 1, only where its input lies between them (Hubara et al. 2016).
    """
    stopped: dict[type, bool] = {}

    def passed(cls: type, call: Callable[..., Any], args: tuple[Any, ...], out: Tensor) -> Tensor:
        if cls not in stopped:
            stopped[cls] = _gives_nothing(call, args)
        x = _taught(args)
        return _through(x, out) if stopped[cls] and x is not None and x.shape == out.shape else out

    around_functions(replaced, passed)
    for owner in (torch, torch.Tensor):
        for name in _STEPS:
            replaced.put(owner, name, _stepped(getattr(owner, name)))


def _stepped(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(original)
    def step(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = original(x, *args, **kwargs)
        return _through(x, out) if isinstance(x, Tensor) and x.requires_grad else out

    return step


def _through(x: Tensor, out: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return out
    if bool((out.detach().abs() == 1).all()):
        x = x.clamp(-1, 1)
    return x + (out - x).detach()


def _taught(args: tuple[Any, ...]) -> Tensor | None:
    """Return the one argument that is to learn; None where there is another number of them."""
    found = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
    return found[0] if len(found) == 1 and found[0].is_floating_point() else None


def _gives_nothing(call: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Return whether what a function varies with gets a gradient of zeros alone."""
    given = _taught(args)
    if given is None or given.numel() < 2:
        return False
    try:
        with same_draws(), torch._C.DisableTorchFunction(), torch.enable_grad():
            x = given.detach().clone().requires_grad_()
            out = call(*(x if y is given else y for y in args))
            (gradient,) = _grad(out.float().pow(2).sum() + out.float().sum(), x)
            varies = bool((out.detach() != out.detach().flatten()[0]).any())
            return varies and not bool(gradient.any())
    except Exception:  # the script's own call says what is wrong
        return False
