"""Back from logarithms: what turns the exponential of a mean logarithm into a mean.

A net that is trained on logarithms tells the geometric mean, which lies below the mean: totals of predictions
are too small. Duan (1983, Smearing estimate: a nonparametric retransformation method, JASA 78, 605-610)
multiplies by the mean of the exponential residuals, whatever their distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_shift"]

Array = NDArray[np.float64]

_FEWEST = 50
_SMALLEST, _LARGEST = 0.01, 0.5


def mean_shift(target: Array, predicted: Array) -> float:
    """Return what to add to predicted logarithms so that their exponentials are means; 0 without a gain.

    It is taken where it is a hundredth at least and squared errors in target units fall by more than a
    standard error, out of fold: where scatter is small or differs much from row to row, the geometric mean
    stays.

    Args:
        target: (N,) logarithms.
        predicted: (N,) out of fold, logarithms; rows that are not finite are left out.

    Returns:
        at most ½ (a factor of 1.65): beyond that residuals are no scatter around a prediction.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=9000)
    >>> round(mean_shift(z + rng.normal(0.0, 0.4, 9000), z), 2), mean_shift(z, z)
    (0.08, 0.0)
    """
    known = np.isfinite(target) & np.isfinite(predicted)
    target, predicted = target[known], predicted[known]
    if len(target) < _FEWEST:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        factor = float(np.exp(target - predicted).mean())
        plain, true = np.exp(predicted), np.exp(target)
        gain = np.square(true - plain) - np.square(true - factor * plain)
    if not np.isfinite(gain).all() or factor <= 0.0:
        return 0.0
    error = float(gain.std(ddof=1)) / len(gain) ** 0.5
    shift = float(np.log(factor))
    return shift if gain.mean() > error > 0.0 and _SMALLEST <= abs(shift) <= _LARGEST else 0.0
