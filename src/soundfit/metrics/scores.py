"""Scores: how good predictions are. Arrays in, numbers out; knows no models, tables or splits.

Every score is written once, for rows that carry weights, so that a bootstrap over rows is one matrix
product; a plain score has weights of one. scikit-learn's functions are the twin that the tests hold
these against.

N rows, C classes, S statistics per row, B sets of weights. Regression: ``y`` and ``output`` of shape
(N,), in the target's unit. Classification: ``y`` of shape (N,), integer class codes, and ``output`` of
shape (N, C), probabilities. Classes that ``y`` lacks are no error; a score that is then undefined is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from soundfit.errors import UsageError, did_you_mean
from soundfit.metrics.ranking import roc_auc_influence, weighted_roc_auc

__all__ = ["METRICS", "MeanMetric", "Metric", "RankMetric", "metric_named", "others"]

Floats = NDArray[np.float64]
Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Attributes:
        name: stable name, as in ``run.json``.
        task: what it scores.
        greater_is_better: the direction.
        lowest, highest: bounds of its values.
    """

    name: str
    task: Task
    greater_is_better: bool
    lowest: float
    highest: float

    def __call__(self, y: NDArray[Any], output: NDArray[Any]) -> float:
        """Return the score; NaN where it is undefined for these rows."""
        return float(self.weighted(y, output)(np.ones((1, len(y))))[0])

    def weighted(self, y: NDArray[Any], output: NDArray[Any]) -> Callable[[Floats], Floats]:
        """Return a function from row weights (B, N) to scores (B,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class MeanMetric(Metric):
    """A score that is a function of means over rows, as nearly all are.

    Attributes:
        statistics: (y, output) → (N, S), what each row adds; the first column is the row's own loss
            or hit where the score is one mean.
        combine: means (…, S) → scores (…,).
    """

    statistics: Callable[[NDArray[Any], NDArray[Any]], Floats]
    combine: Callable[[Floats], Floats]

    def weighted(self, y: NDArray[Any], output: NDArray[Any]) -> Callable[[Floats], Floats]:
        statistics = self.row_statistics(y, output)

        def score(weights: Floats) -> Floats:
            return self.combine(weights @ statistics / weights.sum(axis=1, keepdims=True))

        return score

    def row_statistics(self, y: NDArray[Any], output: NDArray[Any]) -> Floats:
        """Return what each row adds, shape (N, S)."""
        return self.statistics(*_checked(self.task, y, output))

    def per_row(self, y: NDArray[Any], output: NDArray[Any]) -> Floats:
        """Return each row's own part, shape (N,): squared error, log-loss, hit …"""
        return self.row_statistics(y, output)[:, 0]


@dataclass(frozen=True)
class RankMetric(Metric):
    """The area under the ROC curve: for more than two classes the mean of one-against-the-rest."""

    def weighted(self, y: NDArray[Any], output: NDArray[Any]) -> Callable[[Floats], Floats]:
        return weighted_roc_auc(*_checked(self.task, y, output))

    def influence(self, y: NDArray[Any], output: NDArray[Any]) -> Floats:
        """Return how much each row moves the score, shape (N,), mean 0."""
        return roc_auc_influence(*_checked(self.task, y, output))


def _checked(task: Task, y: NDArray[Any], output: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    y, output = np.asarray(y), np.asarray(output, dtype=np.float64)
    ok = y.ndim == 1 and len(y) > 0 and len(output) == len(y)
    if task == "classification":
        ok = ok and output.ndim == 2 and y.min() >= 0 and y.max() < output.shape[1]
        if not ok:
            raise ValueError(
                "classification scores need codes of shape (N,) from 0 to C-1 and probabilities of shape"
                f" (N, C); received shapes {y.shape} and {output.shape}"
            )
        return y.astype(np.int64), output
    if not ok or output.ndim != 1:
        raise ValueError(
            f"regression scores need y and predictions of shape (N,); received {y.shape} and {output.shape}"
        )
    return y.astype(np.float64), output


def _one_hot(code: NDArray[Any], n_classes: int) -> Floats:
    return (code[:, None] == np.arange(n_classes)).astype(np.float64)


def _squared_error(y: Floats, output: Floats) -> Floats:
    return ((y - output) ** 2)[:, None]


def _squared_log_error(y: Floats, output: Floats) -> Floats:
    if y.min() <= 0 or output.min() <= 0:
        return np.full((len(y), 1), np.nan)
    return ((np.log(y) - np.log(output)) ** 2)[:, None]


def _absolute_error(y: Floats, output: Floats) -> Floats:
    return np.abs(y - output)[:, None]


def _relative_error(y: Floats, output: Floats) -> Floats:
    if np.any(y == 0):
        return np.full((len(y), 1), np.nan)
    return np.abs((y - output) / y)[:, None]


def _error_and_spread(y: Floats, output: Floats) -> Floats:
    centred = y - y.mean()  # the variance from moments loses digits where the mean is far from 0
    return np.column_stack([(y - output) ** 2, centred, centred**2])


def _explained(means: Floats) -> Floats:
    spread = means[..., 2] - means[..., 1] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-300, 1.0 - means[..., 0] / spread, np.nan)


def _surprise(y: NDArray[np.int64], output: Floats) -> Floats:
    tiny = np.finfo(np.float64).eps
    probability = np.clip(output, tiny, 1.0)
    probability = probability[np.arange(len(y)), y] / probability.sum(axis=1)
    return -np.log(probability)[:, None]


def _hit(y: NDArray[np.int64], output: Floats) -> Floats:
    return (output.argmax(axis=1) == y).astype(np.float64)[:, None]


def _hits_by_class(y: NDArray[np.int64], output: Floats) -> Floats:
    truth = _one_hot(y, output.shape[1])
    return np.hstack([truth * _hit(y, output), truth])


def _mean_recall(means: Floats) -> Floats:
    hit, truth = np.split(means, 2, axis=-1)
    return _mean_of_defined(hit, truth)


def _counts_by_class(y: NDArray[np.int64], output: Floats) -> Floats:
    truth = _one_hot(y, output.shape[1])
    predicted = _one_hot(output.argmax(axis=1), output.shape[1])
    return np.hstack([2.0 * truth * predicted, truth + predicted])


def _mean_f1(means: Floats) -> Floats:
    both, either = np.split(means, 2, axis=-1)
    return _mean_of_defined(both, either)


def _mean_of_defined(part: Floats, whole: Floats) -> Floats:
    """Return the mean of part / whole over the classes that are there."""
    there = whole > 1e-12  # leave-one-out means may leave a rounding residue of a class that is gone
    ratio = np.where(there, part / np.where(there, whole, 1.0), 0.0)
    return ratio.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)


def _squared_distance(y: NDArray[np.int64], output: Floats) -> Floats:
    # With two classes the common definition counts one class only (Brier 1950 counts both).
    half = 0.5 if output.shape[1] == 2 else 1.0
    return half * ((output - _one_hot(y, output.shape[1])) ** 2).sum(axis=1)[:, None]


def _mean(means: Floats) -> Floats:
    return means[..., 0]


def _root(means: Floats) -> Floats:
    return np.sqrt(np.maximum(means[..., 0], 0.0))


_INF = float("inf")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        MeanMetric("rmse", "regression", False, 0.0, _INF, _squared_error, _root),
        MeanMetric("rmse_log", "regression", False, 0.0, _INF, _squared_log_error, _root),
        MeanMetric("mae", "regression", False, 0.0, _INF, _absolute_error, _mean),
        MeanMetric("mape", "regression", False, 0.0, _INF, _relative_error, _mean),
        MeanMetric("r2", "regression", True, -_INF, 1.0, _error_and_spread, _explained),
        MeanMetric("log_loss", "classification", False, 0.0, _INF, _surprise, _mean),
        MeanMetric("accuracy", "classification", True, 0.0, 1.0, _hit, _mean),
        MeanMetric("balanced_accuracy", "classification", True, 0.0, 1.0, _hits_by_class, _mean_recall),
        MeanMetric("f1_macro", "classification", True, 0.0, 1.0, _counts_by_class, _mean_f1),
        MeanMetric("brier", "classification", False, 0.0, 2.0, _squared_distance, _mean),
        RankMetric("roc_auc", "classification", True, 0.0, 1.0),
    )
}
"""Every metric by name. ``rmse_log`` is the RMSE of natural logarithms (all values above 0), ``mape`` a
fraction (not per cent), ``brier`` counts one class where there are two."""


def metric_named(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in METRICS:
        raise UsageError(
            "A metric is one that soundfit knows", received=repr(name), fix=did_you_mean(name, METRICS)
        )
    return METRICS[name]


def others(task: Task, y: NDArray[Any], output: NDArray[Any], *, but: str = "") -> dict[str, float]:
    """Return every score of the task that is defined for these rows, except the one named ``but``."""
    scores = {m.name: m(y, output) for m in METRICS.values() if m.task == task and m.name != but}
    return {name: score for name, score in scores.items() if np.isfinite(score)}
