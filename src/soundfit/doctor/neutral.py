"""Random draws that change nothing: an augmentation turned off while a script runs, whatever it is made of.

Coins fall so that nothing happens, noise is zero, amounts are drawn from the middle of their range.
Permutations,
choices and whole numbers in arrays are left alone: they say which rows a batch has.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils.fetch import _MapDatasetFetcher

__all__ = ["neutral_draws"]

_NEVER = 0.9999  # more than any probability that a coin is compared with


def neutral_draws(patch: Callable[[Any, str, Any], None], training: Callable[[], bool]) -> None:
    """Let draws change nothing while rows are fetched, and wherever ``training`` says that a batch is being
    made.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
        training: whether training has begun and no model is running.
    """
    fetching = [0]

    def active() -> bool:
        return bool(fetching[0]) or training()

    def fetched(original: Any) -> Any:
        @functools.wraps(original)
        def fetch(fetcher: Any, index: Any) -> Any:
            fetching[0] += 1
            try:
                return original(fetcher, index)
            finally:
                fetching[0] -= 1

        return fetch

    def instead(original: Any, value: Callable[..., Any]) -> Any:
        """Draw as ever, so that other draws stay what they were, and return the neutral value."""

        @functools.wraps(original)
        def draw(*args: Any, **kwargs: Any) -> Any:
            out = original(*args, **kwargs)
            if not active() or isinstance(out, torch.nn.Parameter):  # another model is being made
                return out
            return value(out, *args)

        return draw

    patch(_MapDatasetFetcher, "fetch", fetched(_MapDatasetFetcher.fetch))
    for name, value in (("random", _coin), ("uniform", _middle), ("gauss", _mean), ("normalvariate", _mean),
                        ("randint", _middle_whole)):  # fmt: skip
        patch(random, name, instead(getattr(random, name), value))
    for name, value in (("rand", _coin), ("random", _coin), ("random_sample", _coin), ("randn", _zero),
                        ("standard_normal", _zero), ("normal", _mean), ("uniform", _middle)):  # fmt: skip
        patch(np.random, name, instead(getattr(np.random, name), value))
    for name, value in (("rand", _coin), ("rand_like", _coin), ("randn", _zero), ("randn_like", _zero)):
        patch(torch, name, instead(getattr(torch, name), value))
    patch(torch.Tensor, "normal_", instead(torch.Tensor.normal_, lambda out, *_: out.zero_()))
    patch(torch.Tensor, "uniform_", instead(torch.Tensor.uniform_, _fill_middle))
    patch(np.random, "default_rng", _generators(np.random.default_rng, active))


def _coin(out: Any, *_: Any) -> Any:
    if isinstance(out, torch.Tensor):
        return torch.full_like(out, _NEVER)
    return np.full_like(out, _NEVER) if isinstance(out, np.ndarray) else _NEVER


def _zero(out: Any, *_: Any) -> Any:
    return torch.zeros_like(out) if isinstance(out, torch.Tensor) else out * 0.0


def _mean(out: Any, loc: Any = 0.0, *_: Any) -> Any:
    return out * 0.0 + loc


def _middle(out: Any, low: Any = 0.0, high: Any = 1.0, *_: Any) -> Any:
    return out * 0.0 + (low + high) / 2


def _middle_whole(_: Any, low: int, high: int) -> int:
    return (low + high) // 2


def _fill_middle(out: torch.Tensor, _: Any = None, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return out.fill_((low + high) / 2)


def _generators(original: Any, active: Callable[[], bool]) -> Any:
    class Generator(np.random.Generator):
        """numpy's own, neutral while a batch is made."""

        def random(self, *args: Any, **kwargs: Any) -> Any:
            out = super().random(*args, **kwargs)
            return _coin(out) if active() else out

        def normal(self, loc: Any = 0.0, *args: Any, **kwargs: Any) -> Any:
            out = super().normal(loc, *args, **kwargs)
            return _mean(out, loc) if active() else out

        def standard_normal(self, *args: Any, **kwargs: Any) -> Any:
            out = super().standard_normal(*args, **kwargs)
            return _zero(out) if active() else out

        def uniform(self, low: Any = 0.0, high: Any = 1.0, *args: Any, **kwargs: Any) -> Any:
            out = super().uniform(low, high, *args, **kwargs)
            return _middle(out, low, high) if active() else out

    @functools.wraps(original)
    def default_rng(seed: Any = None) -> np.random.Generator:
        return Generator(original(seed).bit_generator)

    return default_rng
