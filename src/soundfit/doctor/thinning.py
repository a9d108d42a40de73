"""Thinning: whether dropouts leave enough, one by one and all together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["HARDLY_ANY", "STRONG", "left", "rates", "thinned"]

STRONG = 0.6
"""A dropout of that rate takes too much by itself."""

HARDLY_ANY = 0.2 + 1e-9
"""What outlives dropouts where a model seldom learns all it can."""


def rates(modules: Iterable[dict[str, Any]], calls: Iterable[tuple[float, bool, bool, Any]]) -> list[float]:
    """Return the rates of dropout in training, of modules and of calls.

    Args:
        modules: one entry with ``p`` for each dropout module.
        calls: rate, whether it dropped, whether gradients were recorded, and place of each kind of call met;
            modules make such calls too, so that a call at the rate of a module is taken for the module's.
    """
    own = [float(m["p"]) for m in modules]
    return own + [rate for rate, drops, recorded, _ in calls if drops and recorded and rate not in own]


def left(rates: Sequence[float]) -> float:
    """Return which share of a signal outlives dropouts of these rates one after the other.

    >>> round(left([0.5, 0.5, 0.4]), 2)
    0.15
    """
    return math.prod(1 - rate for rate in rates)


def thinned(rates: Sequence[float]) -> bool:
    """Return whether one dropout, or all together, may take too much.

    >>> thinned([0.2, 0.5]), thinned([0.7]), thinned([0.5, 0.5, 0.5])
    (False, True, True)
    """
    return max(rates, default=0.0) >= STRONG or left(rates) < 0.2
