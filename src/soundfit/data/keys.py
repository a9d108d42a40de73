"""Keys: what rows may be split by, read from a table: groups, times, a user's folds.

Knows columns and values; knows nothing of fold sizes, fractions or plans.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from soundfit.data.table import Table
from soundfit.errors import DataError, UsageError, did_you_mean
from soundfit.records.said import say

__all__ = ["FILE_ORDER", "TimeKey", "fold_labels", "group_codes", "joined_codes", "time_gap", "time_key"]

FILE_ORDER = "row"

TEST_WORDS = frozenset({"test", "exam", "sealed"})
TRAIN_WORDS = frozenset({"train", "training"})
VALIDATION_WORDS = frozenset({"validation", "valid", "val", "dev"})


@dataclass(frozen=True)
class TimeKey:
    """When each row happened.

    Attributes:
        rank: shape (N,), dense rank of the row's time: equal times have equal ranks.
        points: shape (T,), the different times, ascending (nanoseconds for dates).
        is_date: whether ``points`` are nanoseconds since 1970.
    """

    rank: NDArray[np.int64]
    points: NDArray[Any]
    is_date: bool


def _column(table: Table, name: str, option: str) -> pd.Series[Any]:
    if name == table.target_name:
        raise UsageError(
            say("The {option} column is a feature, never the target", option=option),
            received=say("{option} {name!r}, which is also the target", option=option, name=name),
            fix=say("name another column for {option}, or leave the option out", option=option),
        )
    if name not in table.frame.columns:
        known = [str(c) for c in table.frame.columns]
        raise UsageError(
            say("The {option} option names a column of the table", option=option),
            received=repr(name),
            fix=did_you_mean(str(name), known),
        )
    return table.frame[name]


def group_codes(table: Table, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return one code per row, equal where all the named columns are equal; shape (N,).

    A missing value counts as a value: rows whose group is unknown stay together, which cannot leak.

    Raises:
        UsageError: a name is unknown or is the target.
    """
    columns = [_column(table, name, "group") for name in names]
    code = np.zeros(len(table), dtype=np.int64)
    for column in columns:
        part, values = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=True)
        part = np.where(part < 0, len(values), part)
        code = np.unique(code * (len(values) + 1) + part, return_inverse=True)[1].astype(np.int64)
    return code


def time_key(table: Table, name: str) -> TimeKey:
    """Return when each row happened, from a date or numeric column, or ``"row"`` for the file's order.

    A column called ``row`` wins over the file's order.

    Raises:
        UsageError: the name is unknown, or is the target.
        DataError: a time is missing or cannot be read as a time.
    """
    if name == FILE_ORDER and name not in table.frame.columns:
        values, is_date = table.file_rows, False
    else:
        column = _column(table, name, "time")
        missing = int(column.isna().sum())
        if missing:
            raise DataError(
                "Every row needs a time to be split by time",
                received=say(
                    "{missing:,} of {n_column:,} rows without a value in {name!r}",
                    missing=missing,
                    n_column=len(column),
                    name=name,
                ),
                fix="fill or remove these rows, or choose another time column",
            )
        values, is_date = _times(column, name)
    points, rank = np.unique(values, return_inverse=True)
    return TimeKey(rank=rank.astype(np.int64), points=points, is_date=is_date)


def _times(column: pd.Series[Any], name: str) -> tuple[NDArray[Any], bool]:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _nanoseconds(column), True
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64), False
    text = column.astype(object)
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy(dtype=np.float64), False
    # The day may come first; and offsets that change with the season need UTC.
    for options in ({}, {"dayfirst": True}, {"utc": True, "format": "mixed"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                return _nanoseconds(pd.to_datetime(text, **options)), True
        except (ValueError, TypeError, AttributeError, OverflowError):
            continue
    example = next((v for v in text if pd.isna(pd.to_datetime(v, errors="coerce"))), text.iloc[0])
    raise DataError(
        "The time column holds dates or numbers",
        received=say("{name!r} with values such as {example!r}", name=name, example=str(example)[:40]),
        fix=say(
            "write the times as ISO dates (2024-01-31 18:00) or numbers, or use the file's order "
            "with time={FILE_ORDER!r}",
            FILE_ORDER=FILE_ORDER,
        ),
    )


def _nanoseconds(column: pd.Series[Any]) -> NDArray[np.int64]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def time_gap(gap: int | str, time: TimeKey | None) -> int | pd.Timedelta:
    """Return a gap as a number of different times, or as a span of time.

    Raises:
        UsageError: it is neither, or a span where the times are no dates.
    """
    if isinstance(gap, str) and not gap.strip().isdigit():
        try:
            span = pd.Timedelta(re.sub(r"(?<=\d)\s*d\b", "D", gap))  # pandas deprecates `d` for days
        except ValueError:
            span = pd.Timedelta(-1)
        if time is None or not time.is_date or span < pd.Timedelta(0):
            raise UsageError(
                "The gap is a number of different times or, where the time column holds dates, a span",
                received=repr(gap),
                fix="use a number such as 7, or a span such as `7d` with a date column",
            )
        return span
    count = int(gap)
    if isinstance(gap, bool) or count != float(gap) or count < 0:
        raise UsageError("The gap is a whole number of times, 0 or more", received=repr(gap), fix="use 0")
    return count


def fold_labels(table: Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_], bool]:
    """Return a user's own folds from a column.

    Values are folds in sorted order; ``test`` marks test rows. A column of the words ``train`` and
    ``validation`` (with or without ``test``) is one holdout.

    Returns:
        fold of each row, shape (N,), -1 for rows that are never validated; test rows, shape (N,)
        boolean; whether it is a holdout.

    Raises:
        UsageError: the name is unknown or is the target, or the values cannot be folds.
        DataError: a row has no value.
    """
    column = _column(table, name, "fold")
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            "Every row needs a fold",
            received=say(
                "{missing:,} of {n_column:,} rows without a value in {name!r}",
                missing=missing,
                n_column=len(column),
                name=name,
            ),
            fix="write a fold, or `test`, in each row",
        )
    words = column.astype(object).map(lambda v: v.strip().casefold() if isinstance(v, str) else v)
    present = set(words.unique())
    test = words.isin(TEST_WORDS).to_numpy(dtype=bool)
    rest = present - TEST_WORDS
    if rest & TRAIN_WORDS or rest & VALIDATION_WORDS:
        if not (rest & TRAIN_WORDS and rest & VALIDATION_WORDS and rest <= TRAIN_WORDS | VALIDATION_WORDS):
            raise UsageError(
                "A fold column holds either fold numbers, or the words train, validation and test",
                received=", ".join(sorted(repr(v) for v in present)[:8]),
                fix="use both `train` and `validation`, or number the folds",
            )
        fold = np.where(words.isin(VALIDATION_WORDS).to_numpy(dtype=bool), 0, -1).astype(np.int64)
        return fold, test, True
    if len(rest) > max(50, len(table) // 4) or len(rest) > len(table) // 2:
        raise UsageError(
            "A fold column has few different values, one a fold",
            received=say(
                "{name!r} with {n_rest:,} different values in {n_table:,} rows",
                name=name,
                n_rest=len(rest),
                n_table=len(table),
            ),
            fix=say("number the folds, or use group={name!r} if its values are groups", name=name),
        )
    order = sorted(rest, key=lambda v: (isinstance(v, str), v))
    position = {value: i for i, value in enumerate(order)}
    fold = words.map(lambda v: position.get(v, -1)).to_numpy(dtype=np.int64)
    return fold, test, False


def joined_codes(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number per row (N,), equal for rows joined by either grouping, directly or through others."""
    n = int(one.max()) + 1
    n_all = n + int(other.max()) + 1
    graph = coo_matrix((np.ones(len(one)), (one, n + other)), shape=(n_all, n_all))
    _, joined = connected_components(graph, directed=False)
    return np.asarray(joined[one], dtype=np.int64)
