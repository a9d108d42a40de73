"""Prediction intervals: how far targets lie from out-of-fold predictions, as bounds around new ones.

Split-conformal on the residuals of cross-validation (the out-of-fold side of CV+, Barber, Candès, Ramdas
& Tibshirani 2021): each residual comes from a member that did not train on its row. Residuals are taken
on the scale of training, so that under a logarithm bounds are factors; on tables of a few hundred rows
and more the bounds depend on the size of the prediction (Mondrian bins, Vovk et al. 2005), because many
targets scatter more where they are larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "PredictionInterval", "fit_interval"]

Array = NDArray[np.float64]

LEVEL = 0.9
_FEWEST = 20
_ROWS_A_BIN = 150
_MOST_BINS = 8
_MOST_STORED = 64


@dataclass(frozen=True)
class PredictionInterval:
    """Offsets around a prediction, on the scale of training.

    Attributes:
        level: the share of targets that lie inside.
        at: (B,) predictions at which the offsets hold, rising; between them they are interpolated.
        low, high: (B,) offsets, ``low`` at most ``high``.
    """

    level: float
    at: Array
    low: Array
    high: Array

    def bounds(self, predicted: Array) -> tuple[Array, Array]:
        """Return lower and upper bounds (N,) of predictions (N,), on the scale of training."""
        low = predicted + np.interp(predicted, self.at, self.low)
        high = predicted + np.interp(predicted, self.at, self.high)
        return low, high

    def around(self, shift: float) -> PredictionInterval:
        """Return the same bounds for predictions that are told ``shift`` larger."""
        return PredictionInterval(self.level, self.at + shift, self.low - shift, self.high - shift)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "level": self.level,
            "at": self.at.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }

    @classmethod
    def from_dict(cls, given: Any) -> PredictionInterval:
        """Return the interval of this JSON form.

        Raises:
            ValueError: it is none: wrong sizes, values that are not finite, bounds the wrong way round.
        """
        if not isinstance(given, Mapping) or not {"level", "at", "low", "high"} <= set(given):
            raise ValueError("an interval has a level, at, low and high")
        at, low, high = (np.asarray(given[name], dtype=np.float64) for name in ("at", "low", "high"))
        level = float(given["level"])
        fits = at.ndim == 1 and 1 <= len(at) <= _MOST_STORED and at.shape == low.shape == high.shape
        if not fits or not all(np.isfinite(v).all() for v in (at, low, high)):
            raise ValueError(f"an interval has 1 to {_MOST_STORED} finite offsets of one length")
        if not 0.0 < level < 1.0 or (low > high).any() or (np.diff(at) <= 0).any():
            raise ValueError("an interval has a level between 0 and 1, low below high, and rising positions")
        return cls(level, at, low, high)


def fit_interval(target: Array, predicted: Array, *, level: float = LEVEL) -> PredictionInterval | None:
    """Fit offsets from out-of-fold predictions; None with fewer than 20 rows.

    Args:
        target: (N,) on the scale of training.
        predicted: (N,) out of fold, on the same scale; rows that are not finite are left out.
        level: the share that shall lie inside, half of the rest on either side.
    """
    known = np.isfinite(target) & np.isfinite(predicted)
    target, predicted = target[known], predicted[known]
    n = len(target)
    if n < _FEWEST:
        return None
    residual = target - predicted
    n_bins = int(np.clip(n // _ROWS_A_BIN, 1, _MOST_BINS))
    bins = np.array_split(np.argsort(predicted, kind="stable"), n_bins)
    tail = (1.0 - level) / 2.0
    at = np.array([np.median(predicted[rows]) for rows in bins])
    low = np.array([-_quantile(-residual[rows], 1.0 - tail) for rows in bins])
    high = np.array([_quantile(residual[rows], 1.0 - tail) for rows in bins])
    apart = np.append(True, np.diff(at) > 0)
    if not apart.all():
        return fit_flat(residual, tail, level)
    return PredictionInterval(level, at, np.minimum(low, high), np.maximum(low, high))


def fit_flat(residual: Array, tail: float, level: float) -> PredictionInterval:
    """Return one pair of offsets for all predictions."""
    low, high = -_quantile(-residual, 1.0 - tail), _quantile(residual, 1.0 - tail)
    return PredictionInterval(level, np.zeros(1), np.array([min(low, high)]), np.array([max(low, high)]))


def _quantile(values: Array, q: float) -> float:
    """Return the ⌈q (n + 1)⌉-th smallest value (the conformal quantile), the largest where there is none."""
    rank = min(math.ceil(q * (len(values) + 1)), len(values))
    return float(np.partition(values, rank - 1)[rank - 1])
