"""Arrays as the bank reads them: inputs (N, …) and a target (N,), in one view or one per fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from soundfit.bank import BankData, MemberRows
from soundfit.metrics.scores import Metric, metric_named
from soundfit.records import Config, Fold
from soundfit.study.views import softmax

__all__ = ["ArrayViews", "array_views"]


@dataclass(frozen=True)
class ArrayViews:
    """What a study of arrays works on; ``center`` and ``spread`` undo each fold's target scaling."""

    data: BankData
    folds: tuple[Fold, ...]
    target: NDArray[Any]
    loss: str
    metric: Metric
    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    def member_rows(self, fold: int, *, order_seed: int = 0) -> MemberRows:
        """Return a fold's rows for one member."""
        view = fold if len(self.data.inputs_VN) > 1 else 0
        f = self.folds[fold]
        return MemberRows(view, f.train, f.validation, order_seed * 1_000 + fold)

    def member_config(self, config: Config, fold: int) -> Config:
        """Return the configuration as it is: a user's module knows no folds."""
        return config

    def predictions(self, fold: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn raw outputs (n, C) of a fold's member into predictions (n,) or probabilities (n, C)."""
        if self.loss == "cross_entropy":
            return softmax(outputs)
        return np.asarray(outputs[:, 0] * self.spread[fold] + self.center[fold])


def array_views(
    inputs: Any,
    target: Any,
    *,
    folds: int | Sequence[tuple[Any, Any]],
    metric: str | None = None,
    standardize: bool = True,
) -> ArrayViews:
    """Check arrays, make folds where only a number is given, and scale per fold where asked.

    Raises:
        ValueError: shapes or folds do not fit.
    """
    x, y = np.asarray(inputs), np.asarray(target)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"inputs (N, …) and target (N,) agree in N, however: {x.shape} and {y.shape}")
    classification = bool(np.issubdtype(y.dtype, np.integer) or y.dtype == bool)
    the_folds = _folds(x, y, folds, classification)
    center, spread = np.zeros(len(the_folds)), np.ones(len(the_folds))
    if standardize and not classification:
        center = np.array([y[f.train].mean() for f in the_folds])
        deviation = np.array([y[f.train].std() for f in the_folds])
        spread = np.where(deviation > 0, deviation, 1.0)
    scaled = standardize and x.ndim == 2 and np.issubdtype(x.dtype, np.floating)
    x_VN = np.stack([_standardized(x, f.train) for f in the_folds]) if scaled else x[None]
    y_VN: NDArray[Any]
    if classification:
        y_VN = np.broadcast_to(y.astype(np.int64), (len(the_folds), len(y)))
    else:
        y_VN = ((y - center[:, None]) / spread[:, None])[:, :, None]
    n_views = max(len(x_VN), 1 if classification or not standardize else len(y_VN))
    data = BankData.of(
        np.array(np.broadcast_to(x_VN, (n_views, *x_VN.shape[1:]))),
        np.array(y_VN[:n_views]),
    )
    name = metric or ("log_loss" if classification else "rmse")
    loss = "cross_entropy" if classification else "mse"
    return ArrayViews(data, the_folds, y, loss, metric_named(name), center, spread)


def _folds(x: Any, y: Any, folds: Any, classification: bool) -> tuple[Fold, ...]:
    if isinstance(folds, int):
        if not 2 <= folds <= len(y):
            raise ValueError(f"folds is between 2 and the number of rows, however: {folds=}")
        splitter: Any = StratifiedKFold if classification else KFold
        pairs = list(splitter(folds, shuffle=True, random_state=0).split(x, y))
    else:
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in folds]
    return tuple(Fold(np.sort(a).astype(np.int64), np.sort(b).astype(np.int64)) for a, b in pairs)


def _standardized(x: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    deviation = x[rows].std(0)
    return np.asarray((x - x[rows].mean(0)) / np.where(deviation > 0, deviation, 1.0))
