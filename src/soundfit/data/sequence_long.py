"""Sequences in long tables: one step a row, a column that says whose, a column that orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.columns import as_kinds, infer_columns
from soundfit.data.sequence_layout import Layout, SequenceSource, check_target, stacked
from soundfit.errors import DataError, UsageError, did_you_mean
from soundfit.records.said import say

__all__ = ["GAP", "from_long"]

_MOST_LEVELS = 16
#: The channel of unevenly spaced steps.
GAP = "time since the last step"


def from_long(
    frame: pd.DataFrame,
    name: str,
    target: str,
    sequence: str,
    time: str,
    keep: Sequence[str],
    layout: Layout | None,
) -> SequenceSource:
    check_target(frame, target, layout, name)
    missing_id = frame[sequence].isna()
    if missing_id.any():
        raise DataError(
            "Each step belongs to a sequence",
            received=say(
                "{sum:,} rows of {name} without a value of {sequence!r}",
                sum=int(missing_id.sum()),
                name=name,
                sequence=sequence,
            ),
            fix="fill it in, or leave these rows out",
        )
    codes, ids = pd.factorize(frame[sequence])
    when = _times(frame[time], time, name)
    order = np.lexsort((when, codes))
    codes, when = codes[order], when[order]
    frame = frame.iloc[order].reset_index(drop=True)
    first = np.searchsorted(codes, np.arange(len(ids)))
    constant = [c for c in (target, *keep) if c and c in frame.columns and c not in (sequence, time)]
    for column in constant:
        _refuse_varying(frame[column], codes, ids, column, sequence, column == target)
    features = frame.drop(
        columns=[c for c in dict.fromkeys((sequence, time, *constant)) if c in frame.columns]
    )
    values, names, levels = _channels(features, layout, name)
    since = np.diff(when, prepend=when[:1])
    since[first] = 0.0
    inside = np.setdiff1d(np.arange(len(since)), first)
    gap, remarks = _gap(since[inside], time) if layout is None else (layout.gap, ())
    if gap > 0:
        values = np.column_stack([values, np.log1p(np.maximum(since, 0.0) / gap)])
        names = (*names, GAP)
    rows = np.split(values.astype(np.float32), first[1:])
    about = frame.loc[first, [sequence, *(c for c in constant if c != target)]].reset_index(drop=True)
    labels = frame.loc[first, target].reset_index(drop=True) if target in frame.columns else None
    found = layout or Layout("long", names, (sequence,), time, levels, gap)
    return SequenceSource(name, stacked(rows), found, target, labels, about, remarks)


def _times(column: pd.Series, time: str, name: str) -> NDArray[np.float64]:
    """Return times as numbers (seconds for dates)."""
    columns, _ = infer_columns(column.to_frame(time))
    kind = columns[0].kind
    if kind == "date":
        read = as_kinds(column.to_frame(time), columns)[time]
        values = read.to_numpy(dtype="datetime64[us]").astype(np.float64) / 1e6
        values[read.isna().to_numpy()] = np.nan
    else:
        values = as_kinds(column.to_frame(time), [replace(columns[0], kind="numeric")])[time].to_numpy(
            dtype=np.float64
        )
    bad = int(np.isnan(values).sum())
    if bad:
        raise DataError(
            "--time holds a number or a date for every step",
            received=say(
                "{bad:,} of {n_values:,} rows of {name} without one in {time!r}",
                bad=bad,
                n_values=len(values),
                name=name,
                time=time,
            ),
            fix="fill it in, or leave these rows out",
        )
    return values


def _refuse_varying(
    column: pd.Series, codes: NDArray[Any], ids: Any, name: str, sequence: str, is_target: bool
) -> None:
    values, _ = pd.factorize(column)
    lowest = pd.Series(values).groupby(codes).agg(["min", "max"])
    varying = np.flatnonzero((lowest["min"] != lowest["max"]).to_numpy())
    if len(varying):
        what = "A sequence has one target" if is_target else "A sequence lies in one group"
        raise UsageError(
            what,
            received=say(
                "{name!r} with several values in {n_varying:,} of {n_ids:,} sequences, the first "
                "{sequence} = {ids!r}",
                name=name,
                n_varying=len(varying),
                n_ids=len(ids),
                sequence=sequence,
                ids=ids[int(varying[0])],
            ),
            fix="to predict each row, train a model of tables (leave --sequence out); "
            "to predict from the rows before, cut the data into one sequence per prediction"
            if is_target
            else "name a column that is the same for all steps of a sequence",
        )


def _channels(
    features: pd.DataFrame, layout: Layout | None, name: str
) -> tuple[NDArray[np.float64], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return channel values (rows, F), their names, and the categories that have one each."""
    if layout is None:
        columns, _ = infer_columns(features) if len(features.columns) else ((), ())
        numeric = [c.name for c in columns if c.used and c.kind in ("numeric", "boolean")]
        levels = {c.name: _levels(features[c.name]) for c in columns if c.used and c.kind == "categorical"}
    else:
        levels = {c: layout.levels[c] for c in layout.levels}
        made = {f"{c}={v}" for c, values in levels.items() for v in values}
        numeric = [c for c in layout.channels if c not in made and c != GAP]
    missing = [c for c in (*numeric, *levels) if c not in features.columns]
    if missing:
        raise DataError(
            "New data have the columns that the model reads",
            received=say("{name} without {list}", name=name, list=", ".join(map(repr, missing))),
            fix=did_you_mean(missing[0], [str(c) for c in features.columns]),
        )
    parts, names = [], []
    for column in numeric:
        kind, _ = infer_columns(features[[column]])
        as_number = kind[0] if kind[0].kind == "boolean" else replace(kind[0], kind="numeric")
        parts.append(as_kinds(features[[column]], [as_number])[column].to_numpy(dtype=np.float64))
        names.append(column)
    for column, values in levels.items():
        text = features[column].astype(str).str.strip().to_numpy()
        for value in values:
            parts.append((text == value).astype(np.float64))
            names.append(f"{column}={value}")
    if not parts:
        raise DataError(
            "Steps hold at least one number or category",
            received=say("{name}, where no column beside the sequence, time and target does", name=name),
            fix="add what was measured at each step",
        )
    return np.column_stack(parts), tuple(names), levels


def _levels(column: pd.Series) -> tuple[str, ...]:
    counts = column.dropna().astype(str).str.strip().value_counts()
    ranked = sorted(counts.index, key=lambda level: (-int(counts[level]), level))
    return tuple(sorted(ranked[:_MOST_LEVELS]))


def _gap(since: NDArray[np.float64], time: str) -> tuple[float, tuple[tuple[str, str, str, str], ...]]:
    """Return the median time between steps where it varies, else 0; and what to say about it."""
    if not len(since):
        return 0.0, ()
    usual = float(np.median(since))
    if usual <= 0 or np.allclose(since, usual, rtol=1e-3):
        return 0.0, ()
    ratio = since / usual
    regular = np.abs(ratio - np.rint(ratio)) < 0.05
    n_missing = int(np.maximum(np.rint(ratio[regular]) - 1, 0).sum())
    if regular.mean() > 0.99:
        message = say(
            "{n_missing:,} steps are missing: {time!r} mostly advances by {usual:g}.",
            n_missing=n_missing,
            time=time,
            usual=usual,
        )
    else:
        message = say(
            "Steps are unevenly spaced: {time!r} advances by {least:g} to {most:g}.",
            time=time,
            least=since.min(),
            most=since.max(),
        )
    fix = say("Models are told the time since the last step; check that nothing was lost.")
    return usual, (("missing-steps", "note", message, fix),)
