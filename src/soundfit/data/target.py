"""Target: a regression target onto the scale that models train on, and back. Knows no features, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soundfit.data.saved import finite_floats, unreadable

__all__ = ["TargetScale", "Transform", "choose_transform", "fit_target"]

Transform = Literal["identity", "log", "log1p"]

# Twice the gain in log-likelihood per row that a logarithm must bring, and the .999 quantile of χ² (1).
_MARGIN_PER_ROW = 0.1
_MARGIN = 10.83
_MIN_SKEW = 1.0
_LARGEST_EXPONENT = 709.0


@dataclass(frozen=True)
class TargetScale:
    """An increasing map between target units and the scale of training.

    Attributes:
        transform: identity, log (natural) or log1p.
        mean: of the transformed training targets.
        sd: of the transformed training targets, positive.
        low: smallest transformed training target.
        high: largest transformed training target.
    """

    transform: Transform
    mean: float
    sd: float
    low: float
    high: float

    def forward(self, y: ArrayLike) -> NDArray[np.float64]:
        """Return targets on the training scale: mean 0 and sd 1 over the training rows.

        Under a logarithm, what lies outside its domain counts as the lowest value that
        :meth:`inverse` can return.
        """
        values = np.asarray(y, dtype=np.float64)
        if self.transform != "identity":
            values = np.maximum(values, _undo(np.array(self.low - self._reach), self.transform))
        return (_apply(values, self.transform) - self.mean) / self.sd

    def inverse(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return predictions in target units, finite for every finite z.

        Under a logarithm the exponent is clipped to the training range widened by its own width on
        either side: beyond that lies an overflow, not a prediction.
        """
        return _undo(self.transformed(z), self.transform)

    def transformed(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return predictions on the transformed scale, clipped as in :meth:`inverse` but not undone."""
        with np.errstate(over="ignore"):
            values = np.asarray(z, dtype=np.float64) * self.sd + self.mean
        return np.clip(values, *self.limits)

    @property
    def limits(self) -> tuple[float, float]:
        """What predictions on the transformed scale are clipped to."""
        if self.transform == "identity":
            largest = float(np.finfo(np.float64).max)
            return -largest, largest
        return self.low - self._reach, min(self.high + self._reach, _LARGEST_EXPONENT)

    @property
    def _reach(self) -> float:
        # e^50 beyond the training range stands for any value at all, and can't overflow from there.
        return min(self.high - self.low, 50.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; :meth:`from_dict` gives back the same scale to the last bit."""
        return {"transform": self.transform, "range": [self.mean, self.sd, self.low, self.high]}

    @classmethod
    def from_dict(cls, given: Any) -> TargetScale:
        """Return the scale of this JSON form; ``DataError`` where it is none."""
        if not isinstance(given, Mapping) or given.get("transform") not in get_args(Transform):
            raise unreadable("a target scale has a transform, identity, log or log1p", given)
        mean, sd, low, high = finite_floats(given, "range", 4).tolist()
        if sd <= 0 or low > high or (given["transform"] != "identity" and high > _LARGEST_EXPONENT):
            raise unreadable("a target scale has a positive sd and a range that can be undone", given)
        return cls(cast(Transform, given["transform"]), mean, sd, low, high)


def choose_transform(y: NDArray[np.float64], rows: NDArray[np.int64]) -> Transform:
    """Choose the scale to train a regression target on, from these rows alone.

    The logarithm is chosen where all targets are positive, their skewness exceeds 1 and falls by half
    or more under the logarithm, and the Gaussian profile log-likelihood of the Box–Cox family (Box and
    Cox 1964, section 3) is higher at λ = 0 than at λ = 1 by a margin: twice the gain must exceed 10.83,
    the .999 quantile of χ² with one degree of freedom, and a tenth per row, so that a large table does
    not buy a logarithm that changes little. Counts that include 0 are tried as y + 1; other targets
    with a 0 keep their scale, since what to add to them would depend on their unit.

    Args:
        y: shape (N,), targets.
        rows: positions of the rows that may be looked at (all but the test rows).
    """
    values = np.asarray(y, dtype=np.float64)[rows]
    if values.size < 3 or values.min() < 0:
        return "identity"
    transform: Transform = "log"
    if values.min() == 0:
        if not np.all(values == np.floor(values)):
            return "identity"
        transform = "log1p"
        values = values + 1.0
    # The gain does not depend on the unit; in units of the largest target nothing overflows.
    shares = values / values.max()
    logs = np.log(values) - np.log(values.max())
    if not (shares.var() > 0 and logs.var() > 0):
        return "identity"
    before, after = _skewness(shares), _skewness(logs)
    gain = values.size * (np.log(shares.var()) - np.log(logs.var())) - 2.0 * logs.sum()
    skewed = before > _MIN_SKEW and abs(after) <= 0.5 * before
    return transform if skewed and gain > max(_MARGIN, _MARGIN_PER_ROW * values.size) else "identity"


def fit_target(y: NDArray[np.float64], rows: NDArray[np.int64], transform: Transform) -> TargetScale:
    """Fit the mean and standard deviation of the transformed targets of these rows and no other.

    Args:
        y: shape (N,), targets.
        rows: positions of the training rows, at least one.
        transform: from :func:`choose_transform`.
    """
    values = _apply(np.asarray(y, dtype=np.float64)[rows], transform)
    # Divided before squaring, so that targets near the largest float do not overflow.
    size = float(np.abs(values).max()) or 1.0
    mean = float((values / size).mean() * size)
    sd = float((values / size).std() * size)
    return TargetScale(
        transform, mean, sd if sd > 1e-12 * size else 1.0, float(values.min()), float(values.max())
    )


def _apply(values: NDArray[np.float64], transform: Transform) -> NDArray[np.float64]:
    if transform == "identity":
        return values
    return np.log(values) if transform == "log" else np.log1p(values)


def _undo(values: NDArray[np.float64], transform: Transform) -> NDArray[np.float64]:
    if transform == "identity":
        return values
    bounded = np.minimum(values, _LARGEST_EXPONENT)
    return np.exp(bounded) if transform == "log" else np.expm1(bounded)


def _skewness(values: NDArray[np.float64]) -> float:
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / variance**1.5 if variance > 0 else 0.0
