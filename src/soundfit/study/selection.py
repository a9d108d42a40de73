"""Selection: which configuration to choose from scores over folds. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.records import say

__all__ = ["Choice", "one_se_rule"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The chosen and the best configuration (positions) and the rule in words."""

    chosen: int
    best: int
    rule: str


def one_se_rule(
    scores_CK: Array,
    parameters: Sequence[int],
    *,
    greater_is_better: bool,
    holdout_se_C: Array | None = None,
) -> Choice:
    """Choose the simplest configuration within one standard error of the best.

    Source: Breiman et al. 1984, §3.4.3; Hastie, Tibshirani & Friedman 2009, §7.10. All configurations
    are scored on the same folds, so the standard error is that of the *paired difference* to the
    best, s(d)/√K: what makes a fold hard for all of them says nothing about which is better. Simplest
    means fewest parameters; among those of one size the best score wins.

    Args:
        scores_CK: a score per configuration and fold; NaN where a member failed.
        parameters: parameters of each configuration.
        greater_is_better: the score's direction.
        holdout_se_C: with one fold, the standard error of each configuration's difference to the
            best over rows (see :func:`paired_row_se`).

    Raises:
        ValueError: no configuration has a finite score on every fold.
    """
    loss_CK = -scores_CK if greater_is_better else scores_CK
    mean_C = loss_CK.mean(axis=1)
    if not np.isfinite(mean_C).any():
        raise ValueError("a choice needs one configuration with a finite score on every fold")
    best = int(np.nanargmin(mean_C))
    difference_CK = loss_CK - loss_CK[best]
    k = loss_CK.shape[1]
    if k > 1:
        se_C = difference_CK.std(axis=1, ddof=1) / np.sqrt(k)
    else:
        se_C = np.zeros(len(mean_C)) if holdout_se_C is None else holdout_se_C
    size = np.asarray(parameters)
    within = np.isfinite(mean_C) & (mean_C - mean_C[best] <= se_C) & (size <= size[best])
    within[best] = True
    smallest = size[within].min()
    candidates = np.flatnonzero(within & (size == smallest))
    chosen = int(candidates[np.argmin(mean_C[candidates])])
    n = int(np.isfinite(mean_C).sum())
    rule = (
        say("best mean validation score of {n} configurations", n=n)
        if chosen == best
        else _words(n, float(mean_C[chosen] - mean_C[best]), float(se_C[chosen]))
    )
    return Choice(chosen, best, rule)


def _words(n: int, difference: float, se: float) -> str:
    return say(
        "one-standard-error rule over {n} configurations: the simplest whose mean validation score lies "
        "within one standard error of the best (difference {difference:.3g}, paired SE {se:.3g})",
        n=n,
        difference=difference,
        se=se,
    )


def paired_row_se(rows_CN: Array, best: int, *, root: bool) -> Array:
    """Return the standard error over rows of each configuration's score difference to the best.

    ``rows_CN`` holds each row's share of a mean score (for a root mean square: its square; then
    ``root`` applies the delta method).
    """
    if root:
        mean_C1 = np.maximum(rows_CN.mean(axis=1, keepdims=True), 1e-300)
        rows_CN = rows_CN / (2.0 * np.sqrt(mean_C1))
    difference_CN = rows_CN - rows_CN[best]
    return np.asarray(difference_CN.std(axis=1, ddof=1) / np.sqrt(rows_CN.shape[1]))
