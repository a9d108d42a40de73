"""Evidence: out-of-fold scores of a cheap model, with rows shuffled against rows kept together.

Knows gradient boosting and folds, no findings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import skew
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from soundfit.data.audit.view import Feature, View

__all__ = ["Optimism", "block_folds", "group_folds", "losses", "measure_optimism", "row_folds", "skill"]

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
#: Rows and columns that evidence is taken from at most.
EVIDENCE_ROWS = 4000
EVIDENCE_COLUMNS = 40
#: With more classes than this, forests stand in for boosting, which grows a tree for each class.
BOOSTED_CLASSES = 6


@dataclass(frozen=True)
class Optimism:
    """How much better a score looks when rows are shuffled.

    ``flatter`` is 1 − shuffled/honest in units of error (root mean square error; for classes the root
    of the Brier score), with a 95 % interval from a bootstrap over groups. ``skill`` is the share of
    variance explained with rows shuffled.
    """

    shuffled: float
    honest: float
    flatter: float
    low: float
    high: float
    skill: float
    n_rows: int
    n_groups: int

    def numbers(self) -> dict[str, float | int]:
        """Return the JSON form for a finding's evidence."""
        return {
            "error_shuffled": round(self.shuffled, 6),
            "error_honest": round(self.honest, 6),
            "flatter": round(self.flatter, 4),
            "flatter_low": round(self.low, 4),
            "flatter_high": round(self.high, 4),
            "n_rows_measured": self.n_rows,
            "n_groups_measured": self.n_groups,
        }


def row_folds(n_rows: int, k: int, seed: int) -> NDArray[np.int64]:
    """Return a fold for each row, rows dealt at random."""
    return np.random.default_rng([seed, 23]).permutation(np.arange(n_rows) % k)


def group_folds(groups: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    """Return a fold for each row; a group stays whole, the largest dealt first to the lightest fold."""
    rng = np.random.default_rng([seed, 29])
    counts = np.bincount(groups)
    order = np.lexsort((rng.random(len(counts)), -counts))
    fold_of = np.zeros(len(counts), dtype=np.int64)
    load = np.zeros(k)
    for group in order:
        fold_of[group] = int(np.argmin(load))
        load[fold_of[group]] += counts[group]
    return fold_of[groups]


def block_folds(n_rows: int, k: int) -> NDArray[np.int64]:
    """Return a fold for each row: k contiguous blocks in the rows' order."""
    return (np.arange(n_rows) * k) // max(n_rows, 1)


def losses(x: NDArray[np.float32], target: Floats, folds: NDArray[np.int64], *, classes: bool) -> Floats:
    """Return each row's out-of-fold squared error, summed over target columns, shape (N,)."""
    out = np.zeros(len(x))
    for fold in np.unique(folds):
        held = folds == fold
        out[held] = ((_predict(x[~held], target[~held], x[held], classes) - target[held]) ** 2).sum(axis=1)
    return out


def skill(view: View, rows: Rows, features: tuple[Feature, ...], *, k: int = 3) -> float:
    """Return the out-of-fold share of the target's variance (for numbers, its ranks') explained."""
    if not features or len(rows) < 2 * k:
        return 0.0
    target = view.target(rows)
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    if spread == 0:
        return 0.0
    folds = row_folds(len(rows), k, view.seed)
    loss = losses(view.matrix(rows, features), target, folds, classes=not view.regression)
    return float(1 - loss.sum() / spread)


def measure_optimism(
    view: View,
    rows: Rows,
    groups: NDArray[np.int64],
    honest: NDArray[np.int64],
    features: tuple[Feature, ...],
) -> Optimism:
    """Measure what shuffling rows gains over the ``honest`` folds.

    Args:
        view: the table.
        rows: rows to measure on, N of them.
        groups: shape (N,), the units of the bootstrap.
        honest: shape (N,), a fold for each row, dependent rows together.
        features: columns that the model reads.
    """
    target = plain_target(view, rows)
    x = view.matrix(rows, features)
    k = len(np.unique(honest))
    shuffled = losses(x, target, row_folds(len(rows), k, view.seed), classes=not view.regression)
    kept = losses(x, target, honest, classes=not view.regression)
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    _, unit = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(unit, shuffled), np.bincount(unit, kept)])
    weights = np.random.default_rng([view.seed, 31]).multinomial(
        sums.shape[1], np.full(sums.shape[1], 1 / sums.shape[1]), size=400
    )
    drawn = sums @ weights.T.astype(np.float64)
    ratios = 1 - np.sqrt(drawn[0] / np.maximum(drawn[1], 1e-300))
    low, high = np.quantile(ratios, [0.025, 0.975])
    root = np.sqrt(np.array([shuffled.mean(), kept.mean()]))
    return Optimism(
        shuffled=float(root[0]),
        honest=float(root[1]),
        flatter=float(1 - root[0] / max(root[1], 1e-300)),
        low=float(low),
        high=float(high),
        skill=float(1 - shuffled.sum() / spread) if spread else 0.0,
        n_rows=len(rows),
        n_groups=sums.shape[1],
    )


def plain_target(view: View, rows: Rows) -> Floats:
    """Return the target as scores see it, shape (N, C): log1p where numbers are positive and skewed."""
    if not view.regression:
        return view.target(rows)
    y = view.table.target[rows].astype(np.float64)
    if y.min() >= 0 and len(y) > 2 and y.std() > 0 and skew(y) > 3:
        y = np.log1p(y)
    return y[:, None]


def _predict(
    x: NDArray[np.float32], target: Floats, unseen: NDArray[np.float32], classes: bool
) -> NDArray[np.float64]:
    if not classes:
        model = HistGradientBoostingRegressor(
            max_iter=60,
            max_leaf_nodes=15,
            min_samples_leaf=_leaf(len(x)),
            early_stopping=False,
            random_state=0,
        )
        return model.fit(x, target[:, 0]).predict(unseen)[:, None]
    label = np.where(target.any(axis=1), target.argmax(axis=1), target.shape[1])
    present = np.unique(label)
    out = np.zeros((len(unseen), target.shape[1] + 1))
    if len(present) == 1:
        out[:, present[0]] = 1.0
        return out[:, :-1]
    if len(present) <= BOOSTED_CLASSES:
        model = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=15,
            min_samples_leaf=_leaf(len(x)),
            early_stopping=False,
            random_state=0,
        )
        model.fit(x, label)
        out[:, model.classes_] = model.predict_proba(unseen)
    else:
        forest = ExtraTreesClassifier(60, min_samples_leaf=1, random_state=0)
        forest.fit(_filled(x), label)
        out[:, forest.classes_] = forest.predict_proba(_filled(unseen))
    return out[:, :-1]


def _leaf(n_rows: int) -> int:
    return int(np.clip(n_rows // 50, 3, 20))


def _filled(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nan_to_num(x, nan=-1e9, posinf=3e38, neginf=-3e38)
