"""References: what other kinds of model and the rows' neighbours reach on the same folds.

A study of nets alone cannot tell noise from structure that none of its nets found. A ridge or logistic
regression, boosted trees and nearest neighbours err in different ways: where one of them does clearly
better, something is left to learn; where none does, what is left looks like noise. Every reference is
fitted on a fold's training rows and asked about its validation rows, through the same encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from soundfit.bank import BankData
from soundfit.bank.threads import at_places, default_workers
from soundfit.executors.executor import Line
from soundfit.executors.processes import ProcessExecutor, can_fork
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
# Numbers of the inputs from which a fit lasts longer than the start of a worker.
_WORTH_A_FORK = 50_000


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
    answers = _ask_all(_Question(views, fits), should_stop)
    for name in fits:
        if any((name, k) not in answers for k in range(len(views.folds))):
            continue
        losses, per_fold = np.full(n, np.nan), []
        for k, fold in enumerate(views.folds):
            output = answers[name, k]
            predicted = views.predictions(k, _log_shares(output, n_classes) if n_classes else output)
            losses[fold.validation] = metric.per_row(views.target[fold.validation], predicted)
            per_fold.append(metric(views.target[fold.validation], predicted))
        rows[name], scores[name] = losses, np.array(per_fold)
    with threadpool_limits(1):
        near, floor = _neighbours(views, n_classes)
    if near is not None:
        rows["neighbours"] = near
    return References(rows, scores, floor)


@dataclass(frozen=True)
class _Question:
    """What is asked of each reference on each fold: its outputs for the validation rows."""

    views: Views
    fits: Mapping[str, Callable[[Array, Any, Array], Any]]

    def answer(self, name: str, k: int) -> Any:
        """Return outputs (n, 1), or classes and probabilities (n, C)."""
        fold = self.views.folds[k]
        x, y = _fold_data(self.views, k)
        train = _sample(fold.train, _MOST_ROWS)
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self.fits[name](x[train], y[train], x[fold.validation])


def _ask_all(question: _Question, should_stop: Callable[[], bool]) -> dict[tuple[str, int], Any]:
    """Return all answers, each reference on each fold, side by side where that is worth it."""
    jobs = [(name, k) for name in question.fits for k in range(len(question.views.folds))]
    inputs = question.views.data.inputs_VN
    n_workers = default_workers(torch.device("cpu"))
    forks = n_workers > 1 and inputs[0].numel() > _WORTH_A_FORK and can_fork()

    def ask(job: tuple[str, int], place: int) -> tuple[tuple[str, int], Any] | None:
        if job[0] != "trivial" and should_stop():
            return None
        if executor is None:
            return job, question.answer(*job)
        return job, executor.call(_answer, asked, *job, poll=lambda done, state: should_stop(), place=place)

    with ProcessExecutor(n_workers) if forks else nullcontext() as executor:
        asked = None if executor is None else executor.put(question)
        answers = at_places(ask, jobs, n_workers if forks else 1)
    return dict(answer for answer in answers if answer is not None)


def _answer(line: Line, question: _Question, name: str, k: int) -> Any:
    return question.answer(name, k)


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
