"""Calls that are wrong by what they are given: weights loaded from themselves, similarities for distances.

Heard once each, at the price of a look at arguments; knows torch alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from soundfit.doctor.draws import same_draws

__all__ = ["copied_states", "hear_distances", "hear_states", "turned_distances"]

Tensor = torch.Tensor
Patch = Callable[[Any, str, Any], None]
_MOST_STATES = 64


def hear_states(
    patch: Patch, told: dict[str, Any], steps: Callable[[], int], place: Callable[[], Any]
) -> None:
    """Note in ``told["own_state"]`` where a module is given back the very tensors that it has.

    ``state_dict()`` gives references: kept over steps of an optimiser, it is no copy of what was.
    """
    taken: dict[int, int] = {}
    load, state = nn.Module.load_state_dict, nn.Module.state_dict

    @functools.wraps(state)
    def state_dict(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        made = state(module, *args, **kwargs)
        if _is_whole(args, kwargs):
            if len(taken) >= _MOST_STATES:
                taken.pop(next(iter(taken)))
            taken.pop(id(made), None)
            taken[id(made)] = steps()
        return made

    @functools.wraps(load)
    def load_state_dict(module: nn.Module, given: Any, *args: Any, **kwargs: Any) -> Any:
        since = steps() - taken.get(id(given), steps())
        if since > 0 and "own_state" not in told and _own(module, given):
            told["own_state"] = {"steps": since, "place": place()}
        return load(module, given, *args, **kwargs)

    patch(nn.Module, "state_dict", state_dict)
    patch(nn.Module, "load_state_dict", load_state_dict)


def _is_whole(args: Any, kwargs: Any) -> bool:
    """Return whether ``state_dict`` was asked of a module by itself: of its parts it asks with a prefix."""
    return not args and kwargs.get("destination") is None and not kwargs.get("prefix")


def _own(module: nn.Module, given: Any) -> bool:
    try:
        own = [(p, given.get(name)) for name, p in module.named_parameters()]
        pairs = [(p, t) for p, t in own if isinstance(t, Tensor) and p.numel()]
        return bool(pairs) and all(p.data_ptr() == t.data_ptr() for p, t in pairs)
    except Exception:  # tensors without a place of their own
        return False


def copied_states(patch: Patch) -> None:
    """Let ``state_dict()`` give copies."""
    state = nn.Module.state_dict

    @functools.wraps(state)
    def state_dict(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        made = state(module, *args, **kwargs)
        if _is_whole(args, kwargs):
            for name, value in made.items():
                if isinstance(value, Tensor):
                    made[name] = value.clone()
        return made

    patch(nn.Module, "state_dict", state_dict)


def hear_distances(patch: Patch, told: dict[str, Any], place: Callable[[], Any]) -> None:
    """Note in ``told["nearness"]`` that a triplet loss measures as farthest what is the same."""
    original = F.triplet_margin_with_distance_loss

    @functools.wraps(original)
    def loss(anchor: Tensor, positive: Tensor, negative: Tensor, **kwargs: Any) -> Tensor:
        by = kwargs.get("distance_function")
        if by is not None and not isinstance(by, nn.Module) and "distance_heard" not in told:
            told["distance_heard"] = True
            same, other = _measured(by, anchor, negative)
            if same > other:
                told["nearness"] = {"same": same, "other": other, "place": place()}
        return original(anchor, positive, negative, **kwargs)

    patch(F, "triplet_margin_with_distance_loss", loss)


def _measured(by: Callable[[Tensor, Tensor], Tensor], anchor: Tensor, other: Tensor) -> tuple[float, float]:
    """Return what a function gives for the same rows and for others; what it draws is put back."""
    try:
        with torch.no_grad(), same_draws():
            return float(by(anchor, anchor).mean()), float(by(anchor, other).mean())
    except Exception:  # the script's own call will say what is wrong
        return 0.0, 0.0


class _Negated:
    """The negative of a function of two tensors; a mode that hears torch's calls may bring it here again."""

    def __init__(self, by: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.by = by

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return -self.by(a, b)

    @classmethod
    def of(cls, by: Any) -> Any:
        return by if by is None or isinstance(by, cls) else cls(by)


def turned_distances(patch: Patch) -> None:
    """Let a triplet loss measure by the negative of the function it is given."""
    original = F.triplet_margin_with_distance_loss

    @functools.wraps(original)
    def loss(anchor: Tensor, positive: Tensor, negative: Tensor, **kwargs: Any) -> Tensor:
        by = kwargs.pop("distance_function", None)
        return original(anchor, positive, negative, distance_function=_Negated.of(by), **kwargs)

    patch(F, "triplet_margin_with_distance_loss", loss)
