"""Temperature: one number that makes class probabilities mean what they say (Guo et al. 2017, section 4.2).

Logits are divided by T before the softmax: above 1 the model was too sure of itself. The ranking of the
classes stays. T is fitted on out-of-fold predictions and kept only if it helps rows it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

__all__ = ["LIMITS", "TINY", "fit_temperature", "with_temperature"]

Array = NDArray[np.float64]

LIMITS = (0.2, 5.0)
_FEWEST = 50
TINY = 1e-12


def with_temperature(probabilities: Array, temperature: float) -> Array:
    """Return probabilities (N, C) at that temperature.

    >>> with_temperature(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    logits = np.log(np.maximum(probabilities, TINY)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def fit_temperature(
    target: NDArray[np.int64], probabilities: Array, folds: Sequence[NDArray[np.int64]]
) -> float:
    """Return the temperature to use; 1 where another one does not clearly help.

    Args:
        target: (N,) class codes.
        probabilities: (N, C) out of fold; NaN where a row was not validated.
        folds: validation rows of each fold; a fold is scored at the temperature fitted on the others
            (with one fold, its halves take turns).
    """
    parts = [rows[np.isfinite(probabilities[rows, 0])] for rows in folds]
    if len(parts) == 1:
        parts = [parts[0][::2], parts[0][1::2]]
    rows = np.concatenate(parts)
    if len(rows) < _FEWEST:
        return 1.0
    better = []
    for part in parts:
        others = np.setdiff1d(rows, part)
        if not len(part) or not len(others):
            continue
        trial = _best(target[others], probabilities[others])
        better.append(
            _loss(target[part], probabilities[part]) - _loss(target[part], probabilities[part], trial)
        )
    gain = np.concatenate(better)
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return 1.0
    return _best(target[rows], probabilities[rows])


def _best(target: NDArray[np.int64], probabilities: Array) -> float:
    found = minimize_scalar(
        lambda log_t: _loss(target, probabilities, float(np.exp(log_t))).mean(),
        bounds=tuple(np.log(LIMITS)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _loss(target: NDArray[np.int64], probabilities: Array, temperature: float = 1.0) -> Array:
    shares = with_temperature(probabilities, temperature)
    return np.asarray(-np.log(np.maximum(shares[np.arange(len(target)), target], TINY)))
