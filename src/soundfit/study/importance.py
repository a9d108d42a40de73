"""Importance: how much worse predictions become when one column's values are dealt out anew among the rows.

Permutation importance (Breiman 2001, section 10) of the columns of the table, not of the matrix: all matrix
columns of one table column move together. Measured out of fold: each fold's model is asked about the rows
that it never trained on, and values move among those. What is estimated is model reliance (Fisher, Rudin &
Dominici 2019, JMLR 20(177)), as the difference to the loss of untouched rows: the mean over ordered pairs of
different rows of the loss of one row with the other's value (their equation for e_switch). A U-statistic's
standard error comes from what each row adds, as the one that receives and as the one that gives.

n rows of a fold, R repeats, F matrix columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from soundfit.study.evidence import ROOTS
from soundfit.study.fold_models import FoldModel, columns_of, row_losses
from soundfit.study.views import TableViews

__all__ = ["ColumnImportance", "columns_alike", "permutation_importance"]

Array = NDArray[np.float64]

LEVEL = 0.95
_ROWS_A_PASS = 8_192
_ROWS_FOR_LIKENESS = 2_000
_ALIKE = 0.5


@dataclass(frozen=True)
class ColumnImportance:
    """What a column is worth to the final model.

    Attributes:
        column: of the table.
        value: how much the metric's error rises without what the column tells, in the metric's unit.
        low, high: bounds of that at 95 %, over rows.
        rows, repeats: what it was measured on.
        alike: other columns that tell at least half of what this one does; strongest first.
    """

    column: str
    value: float
    low: float
    high: float
    rows: int
    repeats: int
    alike: tuple[str, ...] = ()


def permutation_importance(
    models: Sequence[FoldModel],
    *,
    repeats: int = 5,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[ColumnImportance] | None:
    """Return the importance of columns, the largest first; None if stopped.

    Args:
        models: the folds' models, from :func:`soundfit.study.fold_models.fold_models`.
        repeats: how often values are dealt out anew.
        columns: which columns; all that models read if None.
        seed: of the draws, which all columns share.
        should_stop: asked before each fold.

    Raises:
        ValueError: no fold has two rows.
    """
    if not models:
        raise ValueError("importance needs a fold that validates two rows or more; received none")
    places = columns_of(models[0].views)
    names = list(places) if columns is None else list(columns)
    rng = np.random.default_rng(seed)
    before: list[Array] = []
    added: dict[str, list[Array]] = {name: [] for name in names}
    influence: dict[str, list[Array]] = {name: [] for name in names}
    for model in models:
        if should_stop():
            return None
        loss_n = row_losses(model, model.predict(model.inputs_nF))
        before.append(loss_n)
        givers_Rn = np.stack([_givers(len(loss_n), rng) for _ in range(repeats)])
        for name, shuffled_Rn in _shuffled_losses(model, [(n, places[n]) for n in names], givers_Rn):
            rise_Rn = shuffled_Rn - loss_n
            received_n = rise_Rn.mean(axis=0)
            given_n = np.zeros(len(loss_n))
            np.add.at(given_n, givers_Rn.ravel(), rise_Rn.ravel() / repeats)
            added[name].append(received_n)
            influence[name].append(received_n + given_n - received_n.mean())
    root = models[0].views.metric.name in ROOTS
    loss_N = np.concatenate(before)
    found = [
        _estimate(name, loss_N, np.concatenate(added[name]), np.concatenate(influence[name]), root)
        for name in names
    ]
    return sorted((replace(one, repeats=repeats) for one in found), key=lambda one: -one.value)


def _givers(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return for each row another one whose value it receives: all ordered pairs are as likely."""
    order = rng.permutation(n)
    givers = np.empty(n, dtype=np.int64)
    givers[order] = np.roll(order, 1)
    return givers


def _shuffled_losses(
    model: FoldModel, places: Sequence[tuple[str, slice]], givers_Rn: NDArray[np.int64]
) -> Iterator[tuple[str, Array]]:
    """Yield each column's name and the losses (R, n) of the rows with other rows' values in it.

    Columns share a pass: on few rows the calls would cost more than the sums.
    """
    x_nF = model.inputs_nF
    repeats, n = givers_Rn.shape
    givers = torch.from_numpy(givers_Rn.ravel()).to(x_nF.device)
    together = max(_ROWS_A_PASS // (repeats * n), 1)
    for start in range(0, len(places), together):
        part = places[start : start + together]
        shuffled = x_nF.repeat(len(part), repeats, 1)
        for c, (_, place) in enumerate(part):
            shuffled[c, :, place] = x_nF[:, place][givers]
        predictions = model.predict(shuffled.flatten(0, 1))
        by_column = predictions.reshape(len(part), repeats, n, *predictions.shape[1:])
        for (name, _), predicted_Rn in zip(part, by_column, strict=True):
            yield name, np.stack([row_losses(model, one) for one in predicted_Rn])


def _estimate(name: str, loss_N: Array, added_N: Array, influence_N: Array, root: bool) -> ColumnImportance:
    """Return value and interval; under a root by the delta method."""
    n = len(loss_N)
    before, after = float(loss_N.mean()), float((loss_N + added_N).mean())
    if root:
        value = after**0.5 - before**0.5
        ends = [2.0 * max(v, 0.0) ** 0.5 for v in (after, before)]
        parts = [
            w / e if e > 0 else np.zeros(n) for w, e in zip((loss_N + influence_N, loss_N), ends, strict=True)
        ]
        each_N = parts[0] - parts[1]
    else:
        value, each_N = after - before, influence_N
    se = float(each_N.std(ddof=1)) / n**0.5
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * se
    return ColumnImportance(name, value, value - reach, value + reach, n, 0)


def columns_alike(views: TableViews, column: str) -> tuple[str, ...]:
    """Return the other columns that tell at least half of this one, the strongest first.

    A column's matrix columns are regressed on another's, over rows outside the exam; the share of their
    variance that is explained, adjusted for the number of regressors, counts.
    """
    places = columns_of(views)
    x_VNF = views.data.inputs_VN
    # Rows spread over the whole file, which may be sorted.
    x_NF = x_VNF[0][:: max(x_VNF.shape[1] // _ROWS_FOR_LIKENESS, 1)].double().cpu().numpy()
    x_NF = x_NF - x_NF.mean(axis=0)
    mine = x_NF[:, places[column]]
    whole = float(np.square(mine).sum())
    if whole <= 0:
        return ()
    told = {}
    for name, place in places.items():
        if name != column:
            share = _explained(mine, x_NF[:, place], whole)
            if share >= _ALIKE:
                told[name] = share
    return tuple(sorted(told, key=lambda name: -told[name]))


def _explained(mine: Array, other: Array, whole: float) -> float:
    basis, sizes, _ = np.linalg.svd(other, full_matrices=False)
    basis = basis[:, sizes > 1e-6 * max(float(sizes[0]), 1e-12)]
    n, b = basis.shape
    if b == 0 or n <= b + 1:
        return 0.0
    share = float(np.square(basis.T @ mine).sum()) / whole
    return 1.0 - (1.0 - share) * (n - 1) / (n - b - 1)
