"""Crossing: how many rows of an exam have a twin among the rows learned from. Knows plans, no features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Plan

__all__ = ["crossing_share"]

#: The share of rows that a split holds out where none was drawn yet.
HELD_OUT = 0.2


def crossing_share(cluster: NDArray[np.int64], plan: Plan | None) -> float:
    """Return the share of examined rows that have a row of their cluster among the training rows.

    With a plan, the larger of two shares: of the sealed test rows, and of validation rows over all
    folds. Without one, what a random split that holds out a fifth would give.
    """
    if len(cluster) == 0:
        return 0.0
    counts = np.bincount(cluster)
    if plan is None:
        return float(np.mean(1 - HELD_OUT ** (counts[cluster] - 1)))
    shares = [0.0]
    if len(plan.test):
        shares.append(_seen(cluster, plan.test, plan.train, len(counts)))
    validated = sum(len(fold.validation) for fold in plan.folds)
    if validated:
        seen = sum(
            _seen(cluster, fold.validation, fold.train, len(counts)) * len(fold.validation)
            for fold in plan.folds
        )
        shares.append(seen / validated)
    return max(shares)


def _seen(
    cluster: NDArray[np.int64], examined: NDArray[np.int64], learned: NDArray[np.int64], n_clusters: int
) -> float:
    known = np.zeros(n_clusters, dtype=bool)
    known[cluster[learned]] = True
    return float(np.mean(known[cluster[examined]]))
