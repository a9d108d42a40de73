"""Interval: how far a score may be from what more rows of the same kind would give.

Exact for accuracy, a bias-corrected and accelerated bootstrap for the rest. Knows scores; knows no
models, no splits and no ledger (it is told how often the rows were opened).

N units (rows, or groups of rows that belong together), B bootstrap samples, S statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from soundfit.metrics.scores import MeanMetric, Metric, RankMetric

__all__ = ["Interval", "mean_and_se", "score_interval", "score_se"]

Floats = NDArray[np.float64]

MIN_SAMPLES = 2_000
MAX_SAMPLES = 20_000
MAX_DRAWS = 200_000_000  # units × samples: bounds the time on large test sets
CHUNK_CELLS = 2_000_000  # weights held at once: 16 MB
EXACT_RANK_UNITS = 1_000  # beyond, a ranking score is resampled through its influences
TAIL_SAMPLES = 5  # samples beyond a bound that make its quantile worth reading


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low, high: the bounds, in the score's unit; NaN where one unit alone says nothing of spread.
        level: the level that holds after widening for the openings.
        method: ``exact``, ``bootstrap`` or ``normal``, and what it was drawn over.
    """

    low: float
    high: float
    level: float
    method: str


def score_interval(
    metric: Metric,
    y: NDArray[Any],
    output: NDArray[Any],
    *,
    level: float = 0.95,
    openings: int = 1,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
) -> Interval:
    """Return a confidence interval of a score.

    Accuracy over rows that stand alone: Clopper & Pearson (1934), exact. Other scores: the BCa
    bootstrap (Efron 1987) over rows, or over whole groups, whose rows are not independent.

    Rows opened ``openings`` times may have been used to choose among that many models; the interval
    is drawn at the level 1 - (1 - level) / openings, so that by Bonferroni's inequality all the
    intervals of all the openings hold together with probability ``level``.

    Args:
        metric: the score.
        y: true values or class codes, shape (N,).
        output: predictions (N,) or probabilities (N, C).
        level: confidence before widening, between 0 and 1.
        openings: how often these rows were opened, this time included.
        groups: a label a row, shape (N,), where rows belong together.
        seed: of the bootstrap.

    Raises:
        ValueError: level or openings out of range, or shapes that do not fit.
    """
    if not 0.0 < level < 1.0 or openings < 1:
        raise ValueError(
            f"level lies between 0 and 1 and openings is 1 or more; received {level}, {openings}"
        )
    alpha = (1.0 - level) / openings
    unit, n_units = _units(groups, len(y))
    over = "rows" if groups is None else "groups"
    if metric.name == "accuracy":
        score = metric(y, output)
        # Where every row is right, a bootstrap sees no spread: the groups are then the trials.
        if groups is None or score in (0.0, 1.0):
            interval = stats.binomtest(round(score * n_units), n_units).proportion_ci(1.0 - alpha, "exact")
            return Interval(float(interval.low), float(interval.high), level, f"exact over {over}")
    if n_units < 2:
        return Interval(math.nan, math.nan, level, f"undefined over 1 of {over}")
    low, high, method = _bootstrap(metric, y, output, unit, n_units, alpha, seed)
    return Interval(max(low, metric.lowest), min(high, metric.highest), level, f"{method} over {over}")


def score_se(
    metric: Metric, y: NDArray[Any], output: NDArray[Any], *, groups: NDArray[Any] | None = None
) -> float:
    """Return the jackknife standard error of a score (Efron & Stein 1981), over rows or whole groups.

    It stands in for the spread over folds where there is one holdout. NaN below 2 units, or where the
    score is undefined.
    """
    unit, n_units = _units(groups, len(y))
    if n_units < 2:
        return math.nan
    left_out = _resampled(metric, y, output, unit, n_units).left_out
    return float(np.sqrt((n_units - 1) * left_out.var()))


def mean_and_se(values: NDArray[Any] | list[float]) -> tuple[float, float]:
    """Return the mean of fold scores and its standard error, s / √k; the error is NaN for one fold.

    Fold scores share training rows, so this error is too small on average, and no unbiased estimator
    exists (Bengio & Grandvalet 2004, "No unbiased estimator of the variance of k-fold
    cross-validation"): good for choosing within a study, no confidence interval.
    """
    scores = np.asarray(values, dtype=np.float64)
    if len(scores) < 2:
        return (float(scores[0]) if len(scores) else math.nan), math.nan
    return float(scores.mean()), float(scores.std(ddof=1) / math.sqrt(len(scores)))


def _units(groups: NDArray[Any] | None, n_rows: int) -> tuple[NDArray[np.int64] | None, int]:
    if groups is None:
        return None, n_rows
    if len(groups) != n_rows:
        raise ValueError(f"groups has one label a row; received {len(groups)} for {n_rows} rows")
    codes, unit = np.unique(groups, return_inverse=True)
    return unit.astype(np.int64), len(codes)


@dataclass(frozen=True)
class _Resampled:
    """A score as a function of unit weights.

    Attributes:
        of: weights (B, N) → scores (B,).
        left_out: shape (N,), the score without each unit; for a ranking score to first order.
    """

    of: Callable[[Floats], Floats]
    left_out: Floats


def _resampled(
    metric: Metric, y: NDArray[Any], output: NDArray[Any], unit: NDArray[np.int64] | None, n_units: int
) -> _Resampled:
    if isinstance(metric, MeanMetric):
        combine = metric.combine
        totals, count = _unit_totals(metric.row_statistics(y, output), unit, n_units)
        return _Resampled(
            of=lambda weights: combine(weights @ totals / (weights @ count)[:, None]),
            left_out=combine((totals.sum(axis=0) - totals) / (count.sum() - count)[:, None]),
        )
    assert isinstance(metric, RankMetric)
    score, n_rows = metric(y, output), len(y)
    totals, _ = _unit_totals(metric.influence(y, output)[:, None], unit, n_units)
    influence = totals[:, 0] / n_rows
    left_out = score - influence * n_units / (n_units - 1)
    if n_units > EXACT_RANK_UNITS:
        return _Resampled(lambda weights: score + weights @ influence, left_out)
    of_rows = metric.weighted(y, output)
    return _Resampled(of_rows if unit is None else lambda weights: of_rows(weights[:, unit]), left_out)


def _unit_totals(rows: Floats, unit: NDArray[np.int64] | None, n_units: int) -> tuple[Floats, Floats]:
    """Return each unit's summed row statistics (N, S) and number of rows (N,)."""
    if unit is None:
        return rows, np.ones(n_units)
    totals = np.zeros((n_units, rows.shape[1]))
    np.add.at(totals, unit, rows)
    return totals, np.bincount(unit, minlength=n_units).astype(np.float64)


def _samples(score: Callable[[Floats], Floats], n_units: int, n_samples: int, seed: int) -> Floats:
    rng = np.random.default_rng([seed, 7])
    chunk = max(1, CHUNK_CELLS // n_units)
    parts = []
    for start in range(0, n_samples, chunk):
        size = min(chunk, n_samples - start)
        drawn = rng.integers(0, n_units, size=(size, n_units)) + np.arange(size)[:, None] * n_units
        weights = np.bincount(drawn.ravel(), minlength=size * n_units).reshape(size, n_units)
        parts.append(score(weights.astype(np.float64)))
    return np.concatenate(parts)


def _bootstrap(
    metric: Metric,
    y: NDArray[Any],
    output: NDArray[Any],
    unit: NDArray[np.int64] | None,
    n_units: int,
    alpha: float,
    seed: int,
) -> tuple[float, float, str]:
    resampled = _resampled(metric, y, output, unit, n_units)
    score = metric(y, output)
    wanted = math.ceil(4 * TAIL_SAMPLES * 2 / alpha)
    affordable = max(MIN_SAMPLES // 4, MAX_DRAWS // n_units)
    n_samples = min(max(MIN_SAMPLES, min(wanted, MAX_SAMPLES)), affordable)
    samples = _samples(resampled.of, n_units, n_samples, seed)
    samples = np.sort(samples[np.isfinite(samples)])
    if not math.isfinite(score) or len(samples) < n_samples // 2:
        return math.nan, math.nan, "undefined"
    if samples[0] == samples[-1]:
        return score, score, "bootstrap"
    z = float(stats.norm.isf(alpha / 2))
    se = float(samples.std(ddof=1))
    if len(samples) * alpha / 2 < TAIL_SAMPLES:
        # Too few samples lie that far out: the normal tail, and never less than the samples reached.
        return min(score - z * se, samples[0]), max(score + z * se, samples[-1]), "normal"
    below = float((samples < score).sum() + 0.5 * (samples == score).sum()) / len(samples)
    bias = float(stats.norm.ppf(min(max(below, 1 / len(samples)), 1 - 1 / len(samples))))
    skew = _acceleration(resampled.left_out)
    shares = [_shifted(bias, skew, q) for q in (-z, z)]
    low, high = np.quantile(samples, shares)
    return float(low), float(high), "bootstrap"


def _acceleration(left_out: Floats) -> float:
    """Return BCa's acceleration from leave-one-out scores (Efron 1987); 0 where one is undefined."""
    if not np.all(np.isfinite(left_out)):
        return 0.0
    centred = left_out.mean() - left_out
    spread = float((centred**2).sum())
    return float((centred**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0


def _shifted(bias: float, skew: float, z: float) -> float:
    room = 1.0 - skew * (bias + z)
    return float(stats.norm.cdf(bias + (bias + z) / max(room, 1e-3)))
