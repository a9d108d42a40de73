"""Label errors: which labels out-of-fold predictions speak against (confident learning).

Source: Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels".
A row counts for class j where its probability of j is at least the mean of those labelled j; a row that
counts for another class than its own, and most so there, is suspected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Suspects", "suspected_labels"]


@dataclass(frozen=True)
class Suspects:
    """Rows (S,) whose labels are in doubt, worst first, what they may be (S,), and how far behind (S,).

    ``margin`` is the probability of the suggested class less that of the given one. ``rows`` are positions
    in what was given; ``examined`` says how many rows had predictions.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    margin: NDArray[np.float64]
    examined: int

    def __len__(self) -> int:
        return len(self.rows)


def suspected_labels(target: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Suspects:
    """Return the rows whose labels are suspected.

    Args:
        target: (N,) class codes as given.
        probabilities: (N, C) out of fold; NaN where a row was not predicted.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]])
    >>> suspected_labels(np.array([0, 0, 1, 1]), p).rows
    array([3])
    """
    known = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    y, p = target[known], probabilities[known]
    n_classes = p.shape[1]
    # A class that nobody has cannot be suggested.
    threshold = np.array([p[y == c, c].mean() if (y == c).any() else np.inf for c in range(n_classes)])
    counted = np.where(p >= threshold, p, -1.0)
    best = counted.argmax(axis=1)
    margin = p[np.arange(len(y)), best] - p[np.arange(len(y)), y]
    found = np.flatnonzero((counted.max(axis=1) > 0) & (best != y) & (margin > 0))
    order = found[np.argsort(-margin[found], kind="stable")]
    return Suspects(known[order], best[order].astype(np.int64), margin[order], len(known))
