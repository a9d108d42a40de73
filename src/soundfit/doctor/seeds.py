"""Seeds that are set over and over: what is drawn after each of them is the same draw again.

Knows the functions by which Python, numpy and torch are seeded; knows no rule.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["fresh_seeds", "hear_seeds"]

Patch = Callable[[Any, str, Any], None]
_SEEDED = ((random, "seed"), (np.random, "seed"), (np.random, "default_rng"), (torch, "manual_seed"))


def hear_seeds(
    patch: Patch, told: dict[str, Any], steps: Callable[[], int], place: Callable[[], Any]
) -> None:
    """Count in ``told["seeds"]`` before how many steps a generator was given the same seed, evaluation aside.

    Each entry, by function and seed as they are called: ``steps``, ``last`` (the step before which it was so
    last) and ``place``.
    """
    heard: dict[str, dict[str, Any]] = {}
    told["seeds"] = heard

    def count(name: str, given: int) -> int:
        now, key = steps(), f"{name}({given})"
        if now and key in heard:
            heard[key]["steps"] += heard[key]["last"] != now
            heard[key]["last"] = now
        elif now and len(heard) < 8:
            heard[key] = {"steps": 1, "last": now, "place": place()}
        return given

    _around_seeds(patch, count)


def fresh_seeds(patch: Patch) -> None:
    """Let a generator that is given a seed again draw what it did not draw before."""
    calls: Counter[tuple[str, int]] = Counter()

    def fresh(name: str, given: int) -> int:
        calls[name, given] += 1
        return (given + 7919 * (calls[name, given] - 1)) % 2**32

    _around_seeds(patch, fresh)


def _around_seeds(patch: Patch, take: Callable[[str, int], int]) -> None:
    """Hand what generators are seeded with, evaluation aside, to ``take``; seed with its answer."""

    def around(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def seed(*args: Any, **kwargs: Any) -> Any:
            given = args[0] if args else kwargs.get("seed")
            if type(given) is int and torch.is_grad_enabled():
                kwargs.pop("seed", None)
                args = (take(name, given), *args[1:])
            return original(*args, **kwargs)

        return seed

    for owner, name in _SEEDED:
        patch(owner, name, around(name, getattr(owner, name)))
