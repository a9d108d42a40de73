"""Calls that are wrong by what they are given: weights loaded from themselves or by no name, similarities.

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

__all__ = [
    "copied_states",
    "hear_distances",
    "hear_states",
    "matched_names",
    "renamed",
    "turned_distances",
]

Tensor = torch.Tensor
Patch = Callable[[Any, str, Any], None]
_MOST_STATES = 64


def hear_states(
    patch: Patch, told: dict[str, Any], steps: Callable[[], int], place: Callable[[], Any]
) -> None:
    """Note in ``told["own_state"]`` where a module is given back the very tensors that it has.

    ``state_dict()`` gives references: kept over steps of an optimiser, it is no copy of what was. And in
    ``told["unmatched"]`` where no name of what is given is one of the module's: ``strict=False`` keeps quiet.
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
        made = load(module, given, *args, **kwargs)
        if "unmatched" not in told and _unmatched(module, given):
            names = [next(iter(given)), next(iter(own_names(module)))]
            told["unmatched"] = {"given": len(given), "names": names, "place": place()}
        return made

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


def own_names(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights and statistics by name, past what is put around ``state_dict``."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _unmatched(module: nn.Module, given: Any) -> bool:
    """Return whether weights were handed over, and not one has a name that the module knows."""
    try:
        own = own_names(module)
        return len(given) > 1 and bool(own) and not any(name in own for name in given)
    except Exception:  # no mapping of names
        return False


def matched_names(patch: Patch) -> None:
    """Let ``load_state_dict()`` find weights whose names differ in what stands before the first dot."""
    load = nn.Module.load_state_dict

    @functools.wraps(load)
    def load_state_dict(module: nn.Module, given: Any, *args: Any, **kwargs: Any) -> Any:
        return load(module, renamed(module, given) if _unmatched(module, given) else given, *args, **kwargs)

    patch(nn.Module, "load_state_dict", load_state_dict)


def renamed(module: nn.Module, given: Any) -> dict[str, Tensor]:
    """Return weights under the names that a module has for them: of the same shape, alike behind a dot."""
    own, found = own_names(module), {}
    for name, value in given.items():
        ends = [name.split(".", k)[-1] for k in range(1, name.count(".") + 1)]
        for end in (name, *ends):
            fits = [
                one
                for one in own
                if (one == end or one.endswith("." + end)) and own[one].shape == value.shape
            ]
            if len(fits) == 1:
                found[fits[0]] = value
                break
    return found


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
