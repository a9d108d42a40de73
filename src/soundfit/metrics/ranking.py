"""Ranking: the area under the ROC curve for rows with weights, sorted once. Knows nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["roc_auc_influence", "weighted_roc_auc"]

Floats = NDArray[np.float64]


def weighted_roc_auc(y: NDArray[np.int64], output: Floats) -> Callable[[Floats], Floats]:
    """Return a function from row weights (B, N) to areas (B,).

    The area is the probability that a row of the class scores above a row of the rest, ties counting
    one half (Mann & Whitney 1947). More than two classes: the unweighted mean of one-against-the-rest
    over the classes that are there. NaN where only one class is there.

    Shape: y (N,) codes; output (N, C) probabilities.
    """
    curves = [_one_curve(y == c, output[:, c]) for c in _curves(y, output)]

    def score(weights: Floats) -> Floats:
        if not curves:
            return np.full(len(weights), np.nan)
        areas = np.stack([curve(weights) for curve in curves])
        defined = np.isfinite(areas)
        total = np.where(defined, areas, 0.0).sum(axis=0)
        count = defined.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return score


def roc_auc_influence(y: NDArray[np.int64], output: Floats) -> Floats:
    """Return how much each row moves the area, shape (N,), mean 0; NaN where the area is undefined.

    The area of resampled rows is the area plus the mean of their influences, up to terms of order
    1/N: placements of each row among the other class (DeLong, DeLong & Clarke-Pearson 1988), each
    divided by its class's share.
    """
    classes = _curves(y, output)
    if not classes:
        return np.full(len(y), np.nan)
    total = np.zeros(len(y))
    for c in classes:
        positive = y == c
        among_all = rankdata(output[:, c])
        n_up, n_down = int(positive.sum()), int((~positive).sum())
        placed = np.empty(len(y))
        placed[positive] = (among_all[positive] - rankdata(output[positive, c])) / n_down
        placed[~positive] = 1.0 - (among_all[~positive] - rankdata(output[~positive, c])) / n_up
        share = np.where(positive, n_up, n_down) / len(y)
        total += (placed - placed[positive].mean()) / share
    return total / len(classes)


def _curves(y: NDArray[np.int64], output: Floats) -> list[int]:
    wanted = [1] if output.shape[1] == 2 else list(range(output.shape[1]))
    return [c for c in wanted if np.any(y == c) and not np.all(y == c)]


def _one_curve(positive: NDArray[np.bool_], rank_by: Floats) -> Callable[[Floats], Floats]:
    order = np.argsort(rank_by, kind="stable")
    ordered = rank_by[order]
    starts: NDArray[Any] = np.flatnonzero(np.r_[True, ordered[1:] > ordered[:-1]])
    positive = positive[order]

    def area(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        up = np.add.reduceat(np.where(positive, sorted_weights, 0.0), starts, axis=1)
        down = np.add.reduceat(np.where(positive, 0.0, sorted_weights), starts, axis=1)
        below = np.cumsum(down, axis=1) - 0.5 * down
        pairs = up.sum(axis=1) * down.sum(axis=1)
        return np.where(pairs > 0, (up * below).sum(axis=1) / np.where(pairs > 0, pairs, 1.0), np.nan)

    return area
