"""References: what other kinds of model and the rows' neighbours reach on the same folds.

A study of nets alone cannot tell noise from structure that none of its nets found. A ridge or logistic
regression, boosted trees and nearest neighbours err in different ways: where one of them does clearly
better, something is left to learn; where none does, what is left looks like noise. Every reference is
fitted on a fold's training rows and asked about its validation rows, through the same encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from soundfit.bank import BankData
from soundfit.metrics.scores import MeanMetric, Metric
from soundfit.records import Fold

__all__ = ["Floor", "References", "Views", "measure_references"]

Array = NDArray[np.float64]

_NEIGHBOURS = (5, 15, 40)
_MOST_ROWS = 20_000
_MOST_NEIGHBOUR_ROWS = 3_000
_MOST_QUERIES = 1_000
_MOST_CLASSES_FOR_TREES = 20
_SEED = 0


class Views(Protocol):
    """What a study works on: a table's or an array's views."""

    @property
    def data(self) -> BankData: ...
    @property
    def folds(self) -> tuple[Fold, ...]: ...
    @property
    def target(self) -> NDArray[Any]: ...
    @property
    def loss(self) -> Any: ...
    @property
    def metric(self) -> Metric: ...
    def predictions(self, fold: int, outputs: Array) -> Array:
        """Turn raw outputs into predictions or probabilities."""
        ...


@dataclass(frozen=True)
class Floor:
    """An upper bound of the noise, as a share of the target's variance, from rows that are alike.

    Half the mean squared difference of two rows' targets is the noise variance plus what their
    features differ by (Rice 1984; the Gamma test, Evans & Jones 2002): exact for equal rows, an
    upper bound for near ones.

    Attributes:
        share: noise variance over the target's variance, at most about this.
        se: its standard error.
        pairs: how many pairs it rests on.
        equal: whether the pairs are rows with equal features.
    """

    share: float
    se: float
    pairs: int
    equal: bool


@dataclass(frozen=True)
class References:
    """Losses per row (N,) of each reference, NaN where a row was not asked; squares for a root metric.

    Attributes:
        rows: name → losses: ``trivial``, ``linear``, ``boosted-trees``, ``neighbours``.
        scores_K: name → score on each fold, for references asked on all of a fold's rows.
        floor: from neighbours across the folds; None for classes and where none can be had.
    """

    rows: Mapping[str, Array]
    scores_K: Mapping[str, Array] = field(default_factory=dict)
    floor: Floor | None = None


def measure_references(
    views: Views, *, trees: bool = True, should_stop: Callable[[], bool] = lambda: False
) -> References:
    """Fit and ask every reference on every fold.

    Args:
        views: with 2-d inputs.
        trees: whether to fit boosted trees too, the slowest of the references.
        should_stop: asked before each fit; True leaves out what is not done yet.
    """
    metric = views.metric
    assert isinstance(metric, MeanMetric)
    n = len(views.target)
    fits: dict[str, Callable[[Array, Any, Array], Array]] = {"trivial": _trivial}
    classes = np.unique(views.target) if views.loss == "cross_entropy" else None
    n_classes = 0 if classes is None else int(classes.max()) + 1
    fits["linear"] = _linear(n_classes)
    if trees and n_classes <= _MOST_CLASSES_FOR_TREES:
        fits["boosted-trees"] = _trees(n_classes)
    rows: dict[str, Array] = {}
    scores: dict[str, Array] = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, fit in fits.items():
            losses, per_fold = np.full(n, np.nan), []
            for k, fold in enumerate(views.folds):
                if name != "trivial" and should_stop():
                    break
                x, y = _fold_data(views, k)
                train = _sample(fold.train, _MOST_ROWS)
                output = fit(x[train], y[train], x[fold.validation])
                if n_classes:
                    output = _log_shares(output, n_classes)
                predicted = views.predictions(k, output)
                losses[fold.validation] = metric.per_row(views.target[fold.validation], predicted)
                per_fold.append(metric(views.target[fold.validation], predicted))
            if len(per_fold) == len(views.folds):
                rows[name], scores[name] = losses, np.array(per_fold)
        near, floor = _neighbours(views, n_classes)
    if near is not None:
        rows["neighbours"] = near
    return References(rows, scores, floor)


def _fold_data(views: Views, k: int) -> tuple[Array, Any]:
    view = k if len(views.data.inputs_VN) > 1 else 0
    x = views.data.inputs_VN[view].numpy().astype(np.float64)
    y = views.data.targets_VN[k if len(views.data.targets_VN) > 1 else 0].numpy()
    return x, y[:, 0].astype(np.float64) if y.ndim == 2 else y


def _sample(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, most, replace=False))


def _log_shares(outputs: Any, n_classes: int) -> Array:
    classes, shares = outputs
    full = np.full((len(shares), n_classes), 1e-4)
    full[:, np.asarray(classes, dtype=np.int64)] = np.maximum(shares, 1e-7)
    return np.asarray(np.log(full))


def _trivial(x: Array, y: Any, asked: Array) -> Any:
    if np.issubdtype(y.dtype, np.integer):
        classes, counts = np.unique(y, return_counts=True)
        return classes, np.broadcast_to(counts / counts.sum(), (len(asked), len(classes)))
    return np.full((len(asked), 1), y.mean())


def _linear(n_classes: int) -> Callable[[Array, Any, Array], Any]:
    def fit(x: Array, y: Any, asked: Array) -> Any:
        if n_classes == 0:
            model = RidgeCV(alphas=np.logspace(-2, 5, 15)).fit(x, y)
            return model.predict(asked)[:, None]
        if len(np.unique(y)) < 2:
            return _trivial(x, y, asked)
        model = LogisticRegression(C=0.3, max_iter=300).fit(x, y)
        return model.classes_, model.predict_proba(asked)

    return fit


def _trees(n_classes: int) -> Callable[[Array, Any, Array], Any]:
    def fit(x: Array, y: Any, asked: Array) -> Any:
        if n_classes == 0:
            return HistGradientBoostingRegressor(random_state=_SEED).fit(x, y).predict(asked)[:, None]
        if len(np.unique(y)) < 2:
            return _trivial(x, y, asked)
        model = HistGradientBoostingClassifier(random_state=_SEED).fit(x, y)
        return model.classes_, model.predict_proba(asked)

    return fit


def _neighbours(views: Views, n_classes: int) -> tuple[Array | None, Floor | None]:
    """Return the losses of the best number of neighbours, and the floor by the nearest one."""
    metric = views.metric
    assert isinstance(metric, MeanMetric)
    n, most = len(views.target), max(_NEIGHBOURS)
    losses = {k: np.full(n, np.nan) for k in _NEIGHBOURS}
    halves, nearest, variances = [], [], []
    for f, fold in enumerate(views.folds):
        x, y = _fold_data(views, f)
        train, asked = _sample(fold.train, _MOST_NEIGHBOUR_ROWS), _sample(fold.validation, _MOST_QUERIES)
        if len(train) <= most:
            return None, None
        distance, index = (
            NearestNeighbors(n_neighbors=most, algorithm="brute").fit(x[train]).kneighbors(x[asked])
        )
        theirs = y[train][index]
        for k in _NEIGHBOURS:
            if n_classes:
                counts = (theirs[:, :k, None] == np.arange(n_classes)).sum(1)
                shares = np.bincount(y[train], minlength=n_classes) / len(train)
                output = np.log((counts + 2.0 * shares + 1e-6) / (k + 2.0))
            else:
                output = theirs[:, :k].mean(axis=1, keepdims=True)
            predicted = views.predictions(f, output)
            losses[k][asked] = metric.per_row(views.target[asked], predicted)
        if not n_classes:
            halves.append(0.5 * (y[asked] - theirs[:, 0]) ** 2)
            nearest.append(distance[:, 0])
            variances.append(np.full(len(asked), y[asked].var() or 1.0))
    best = min(losses.values(), key=np.nanmean)
    if n_classes:
        return best, None
    share = np.concatenate(halves) / float(np.mean(np.concatenate(variances)))
    equal = np.concatenate(nearest) <= 1e-9
    use = equal if equal.sum() >= 30 else np.ones(len(share), dtype=bool)
    values = share[use]
    se = float(values.std() / np.sqrt(len(values)))
    return best, Floor(float(values.mean()), se, len(values), bool(equal.sum() >= 30))
