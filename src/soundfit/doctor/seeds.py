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

    def around(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def seed(*args: Any, **kwargs: Any) -> Any:
            now = steps()
            given = args[0] if args else kwargs.get("seed")
            if now and type(given) is int and torch.is_grad_enabled():
                key = f"{name}({given})"
                if key in heard:
                    heard[key]["steps"] += heard[key]["last"] != now
                    heard[key]["last"] = now
                elif len(heard) < 8:
                    heard[key] = {"steps": 1, "last": now, "place": place()}
            return original(*args, **kwargs)

        return seed

    for owner, name in _SEEDED:
        patch(owner, name, around(name, getattr(owner, name)))


def fresh_seeds(patch: Patch) -> None:
    """Let a generator that is given a seed again draw what it did not draw before."""
    calls: Counter[tuple[str, int]] = Counter()

    def around(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def seed(*args: Any, **kwargs: Any) -> Any:
            given = args[0] if args else kwargs.get("seed")
            if type(given) is int and torch.is_grad_enabled():
                times = calls[name, given]
                calls[name, given] += 1
                kwargs.pop("seed", None)
                args = ((given + 7919 * times) % 2**32, *args[1:])
            return original(*args, **kwargs)

        return seed

    for owner, name in _SEEDED:
        patch(owner, name, around(name, getattr(owner, name)))
