"""Alone: how much of a target one column explains, whatever the shape of the relation.

A nearest-neighbour regression along one column with each row left out of its own prediction. Knows
arrays, no tables and no findings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["explained"]

Floats = NDArray[np.float64]
_WINDOWS = (1, 3, 10, 30)
_ENOUGH_TIES = 4


def explained(x: Floats, target: Floats, rng: np.random.Generator, *, ordered: bool = True) -> float:
    """Return the share of the target's variance that x alone explains, out of sample.

    Each row is predicted from the other rows of equal x where there are enough of them, else (for
    ordered x) from its neighbours along x, with the best of four widths.

    Args:
        x: shape (N,); NaN is a value of its own.
        target: shape (N, C).
        rng: breaks ties: rows of equal x must not stand in the file's order.
        ordered: whether values near each other mean something.
    """
    n = len(x)
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    if n < 10 or spread == 0:
        return 0.0
    shuffle = rng.permutation(n)
    order = shuffle[np.argsort(x[shuffle], kind="stable")]
    x, target = x[order], target[order]
    new = np.r_[True, (x[1:] != x[:-1]) & ~(np.isnan(x[1:]) & np.isnan(x[:-1]))]
    start = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    size = np.diff(np.r_[start, n])[group]
    total = np.add.reduceat(target, start, axis=0)[group]
    tied = size >= (_ENOUGH_TIES if ordered else 2)
    by_ties = (total - target) / np.maximum(size - 1, 1)[:, None]
    if not ordered:
        by_ties = np.where(tied[:, None], by_ties, target.mean(axis=0))
        return float(1 - ((target - by_ties) ** 2).sum() / spread)
    best = -np.inf
    summed = np.vstack([np.zeros((1, target.shape[1])), np.cumsum(target, axis=0)])
    at = np.arange(n)
    for width in _WINDOWS:
        if 2 * width >= n // 2 and width > 1:
            break
        low, high = np.maximum(at - width, 0), np.minimum(at + width + 1, n)
        near = (summed[high] - summed[low] - target) / (high - low - 1)[:, None]
        guess = np.where(tied[:, None], by_ties, near)
        best = max(best, float(1 - ((target - guess) ** 2).sum() / spread))
    return best
