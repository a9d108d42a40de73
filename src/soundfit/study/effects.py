"""Effects: how the prediction moves with one column, out of fold.

Of numbers and dates by accumulated local effects (Apley & Zhu 2020, JRSS B 82(4), equations 15 and 16): rows
are moved to the edges of their own interval alone, so that no row is asked about values that it could not
have, and what correlated columns do is not added. Of categories and yes/no by partial dependence (Friedman
2001, section 8.2): the mean prediction if every row were of that category; beside it what rows of the
category are predicted as they are.

n rows of a fold, E edges, L levels, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from soundfit.data.encoder import Encoder
from soundfit.data.values import to_dates, to_numbers
from soundfit.study.fold_models import FoldModel, columns_of
from soundfit.study.views import TableViews

__all__ = ["Effect", "EffectPoint", "column_effects", "effect_passes"]

Array = NDArray[np.float64]
Kind = Literal["numeric", "date", "categorical", "boolean"]

_MOST_INTERVALS = 16
_FEWEST_ROWS_A_INTERVAL = 20
_MOST_LEVELS = 12


@dataclass(frozen=True)
class EffectPoint:
    """One place on a curve.

    Attributes:
        at: a number, an ISO date, or a category's name.
        value: the prediction there, in target units or as a probability.
        rows: that lie between here and the point before, or are of this category.
        observed: mean prediction of the category's rows as they are; None for numbers and dates.
    """

    at: float | str
    value: float
    rows: int
    observed: float | None = None


@dataclass(frozen=True)
class Effect:
    """How the mean prediction moves with one column.

    Attributes:
        column, kind: of the table.
        outcome: position of the class whose probability it is; None for a regression.
        mean: the mean prediction of the rows as they are.
        points: in the column's order; categories from the highest value to the lowest.
        more_levels: categories that are left out, the rarest.
    """

    column: str
    kind: Kind
    outcome: int | None
    mean: float
    points: tuple[EffectPoint, ...]
    more_levels: int = 0


def effect_passes(views: TableViews, column: str) -> int:
    """Return how many predictions a row an effect costs."""
    kind = _kinds(views)[column]
    return 2 if kind in ("numeric", "date") else len(_levels(views, column)[0])


def column_effects(
    models: Sequence[FoldModel],
    columns: Sequence[str],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Effect]:
    """Return the effects of columns, in their order; those that vary too little, or come after a stop, are
    left out.
    """
    effects = []
    for column in columns:
        if should_stop():
            break
        kind = _kinds(models[0].views)[column]
        curve = _accumulated if kind in ("numeric", "date") else _by_category
        effect = curve(models, column, kind)
        if effect is not None:
            effects.append(effect)
    return effects


def _kinds(views: TableViews) -> dict[str, Kind]:
    return {block.column: block.kind for block in views.encoders[0].layout.blocks}


def _accumulated(models: Sequence[FoldModel], column: str, kind: Kind) -> Effect | None:
    """Return the accumulated local effect of a number or a date, shifted to the mean prediction."""
    views = models[0].views
    values_N = _ordered(views, column, kind)
    asked = np.concatenate([m.rows for m in models])
    edges_E = _edges(values_N[asked])
    if len(edges_E) < 2:
        return None
    given = pd.Series(edges_E) if kind == "numeric" else pd.Series(edges_E.astype("datetime64[us]"))
    moved: list[Array] = []
    interval: list[NDArray[np.int64]] = []
    before: list[Array] = []
    for model in models:
        v_n = values_N[model.rows]
        known = np.flatnonzero(np.isfinite(v_n))
        before.append(_by_outcome(model.predict(model.inputs_nF)))
        if not len(known):
            continue
        # A row at the lowest edge belongs to the first interval.
        at_n = np.clip(np.searchsorted(edges_E, v_n[known], side="left"), 1, len(edges_E) - 1)
        edge_EB = _encoded(views.encoders[model.fold], views, column, given)
        ends = [_set(model, column, edge_EB[at_n - side], known) for side in (0, 1)]
        high_nC, low_nC = (_by_outcome(model.predict(x)) for x in ends)
        moved.append(high_nC - low_nC)
        interval.append(at_n)
    if not moved:
        return None
    step_NC, at_N = np.concatenate(moved), np.concatenate(interval)
    rows_E = np.bincount(at_N, minlength=len(edges_E))
    total_EC = np.zeros((len(edges_E), step_NC.shape[1]))
    np.add.at(total_EC, at_N, step_NC)
    curve_EC = np.cumsum(total_EC / np.maximum(rows_E, 1)[:, None], axis=0)
    middle_EC = (curve_EC[1:] + curve_EC[:-1]) / 2
    curve_EC -= (middle_EC * rows_E[1:, None]).sum(axis=0) / rows_E.sum()
    mean_C = np.concatenate(before).mean(axis=0)
    outcome = _most_moved(curve_EC, views)
    c = outcome or 0
    points = tuple(
        EffectPoint(_shown(edge, kind), float(mean_C[c] + curve_EC[e, c]), int(rows_E[e]))
        for e, edge in enumerate(edges_E)
    )
    return Effect(column, kind, outcome, float(mean_C[c]), points)


def _by_category(models: Sequence[FoldModel], column: str, kind: Kind) -> Effect | None:
    """Return the partial dependence on a category or a yes/no, the highest value first."""
    views = models[0].views
    levels, names, n_more = _levels(views, column)
    if len(levels) < 2:
        return None
    codes_N = _codes(views, column, names)
    given = pd.Series(levels, dtype=object)
    n_classes = views.n_outputs
    total_LC, seen_LC = np.zeros((len(levels), n_classes)), np.zeros((len(levels), n_classes))
    rows_L = np.zeros(len(levels), dtype=np.int64)
    before: list[Array] = []
    for model in models:
        as_is_nC = _by_outcome(model.predict(model.inputs_nF))
        before.append(as_is_nC)
        codes_n = codes_N[model.rows]
        mine = codes_n >= 0
        np.add.at(seen_LC, codes_n[mine], as_is_nC[mine])
        rows_L += np.bincount(codes_n[mine], minlength=len(levels))
        for level, value_B in enumerate(_encoded(views.encoders[model.fold], views, column, given)):
            total_LC[level] += _by_outcome(model.predict(_set(model, column, value_B))).sum(axis=0)
    n = sum(len(m.rows) for m in models)
    curve_LC = total_LC / n
    outcome = _most_moved(curve_LC, views)
    c = outcome or 0
    points = [
        EffectPoint(
            names[i],
            float(curve_LC[i, c]),
            int(rows_L[i]),
            float(seen_LC[i, c] / rows_L[i]) if rows_L[i] else None,
        )
        for i in range(len(levels))
    ]
    mean = float(np.concatenate(before)[:, c].mean())
    return Effect(column, kind, outcome, mean, tuple(sorted(points, key=lambda p: -p.value)), n_more)


def _by_outcome(predictions: Array) -> Array:
    """Return (n, C): values in a column of their own."""
    return predictions[:, None] if predictions.ndim == 1 else predictions


def _most_moved(curve: Array, views: TableViews) -> int | None:
    """Return the class whose probability moves most; of two classes the second, None for a regression."""
    if views.table.task != "classification":
        return None
    return 1 if curve.shape[1] == 2 else int(np.argmax(np.ptp(curve, axis=0)))


def _set(
    model: FoldModel, column: str, values: torch.Tensor, rows: NDArray[np.int64] | None = None
) -> torch.Tensor:
    """Return the model's rows (or some of them) with other matrix values (n, B) or (B,) in one column."""
    x_nF = model.inputs_nF.clone() if rows is None else model.inputs_nF[torch.from_numpy(rows)]
    x_nF[:, columns_of(model.views)[column]] = values.to(x_nF.device)
    return x_nF


def _encoded(encoder: Encoder, views: TableViews, column: str, values: pd.Series) -> torch.Tensor:
    """Return the matrix columns (len(values), B) of values of one table column."""
    frame = views.table.frame.iloc[np.zeros(len(values), dtype=np.int64)].reset_index(drop=True)
    frame[column] = values
    x = torch.from_numpy(encoder.transform(frame))
    return x[:, columns_of(views)[column]]


def _ordered(views: TableViews, column: str, kind: Kind) -> Array:
    """Return a column's values (N,) as numbers, dates as microseconds; NaN where there is none."""
    series = views.table.frame[column]
    if kind == "numeric":
        values = to_numbers(series)[0].astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)
    dates = to_dates(series, views.table.column(column).format)[0]
    values = dates.to_numpy().astype("datetime64[us]").astype(np.int64).astype(np.float64)
    return np.where(dates.isna().to_numpy(), np.nan, values)


def _edges(values_N: Array) -> Array:
    """Return the edges of intervals (E,): all values where they are few, else quantiles."""
    known = values_N[np.isfinite(values_N)]
    distinct = np.unique(known)
    if len(distinct) <= _MOST_INTERVALS:
        return distinct
    n = int(np.clip(len(known) // _FEWEST_ROWS_A_INTERVAL, 2, _MOST_INTERVALS))
    # Values that occur: a quantile between two of them may be no value at all (3.5 rooms).
    return np.unique(np.quantile(known, np.linspace(0, 1, n + 1), method="nearest"))


def _levels(views: TableViews, column: str) -> tuple[list[Any], list[str], int]:
    """Return the most frequent categories as the frame holds them, their names, and how many are left out."""
    present = views.table.frame[column].dropna()
    counts = present.value_counts()
    ranked = sorted(counts.index, key=lambda level: (-int(counts[level]), str(level)))
    shown = ranked[:_MOST_LEVELS]
    return shown, [_name(level, views, column) for level in shown], len(ranked) - len(shown)


def _name(level: Any, views: TableViews, column: str) -> str:
    if _kinds(views)[column] == "boolean":
        return "yes" if float(level) else "no"
    return str(level)


def _codes(views: TableViews, column: str, names: Sequence[str]) -> NDArray[np.int64]:
    """Return each row's position (N,) among the categories, -1 for others and where it is missing."""
    series = views.table.frame[column]
    place = {name: i for i, name in enumerate(names)}
    missing = series.isna().to_numpy()
    return np.array(
        [
            -1 if gone else place.get(_name(v, views, column), -1)
            for v, gone in zip(series, missing, strict=True)
        ],
        dtype=np.int64,
    )


def _shown(edge: float, kind: Kind) -> float | str:
    if kind == "numeric":
        return float(edge)
    return pd.Timestamp(int(edge), unit="us").isoformat().removesuffix("T00:00:00")
