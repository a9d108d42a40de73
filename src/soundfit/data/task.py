"""Task: what a target column asks for, regression or classes, and its values. Knows no files, no features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.columns import numbers_in_text
from soundfit.data.table import Task
from soundfit.data.values import date_format, to_numbers, to_text
from soundfit.errors import DataError, UsageError
from soundfit.records.said import say

__all__ = ["MAX_INTEGER_CLASSES", "TargetValues", "named_classes", "read_target"]

#: Whole numbers with more different values than this are a quantity, with fewer they may be codes.
MAX_INTEGER_CLASSES = 20
_ROWS_PER_CLASS = 10
_TASKS = ("auto", "regression", "classification")


@dataclass(frozen=True)
class TargetValues:
    """A target ready for training.

    Attributes:
        task: regression or classification.
        values: shape (N,), float64, or int64 class codes; arbitrary where missing.
        missing: shape (N,), true where the target is unknown.
        classes: labels in code order; empty for regression.
    """

    task: Task
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    classes: tuple[Any, ...] = ()


def read_target(
    series: pd.Series, *, name: str, task: Literal["auto", "regression", "classification"] | str = "auto"
) -> TargetValues:
    """Return the target's values, its task inferred where ``task`` is ``"auto"``.

    Text, booleans and pandas categories are classes. Numbers with a fraction are a quantity. Whole
    numbers are classes where they take two values, or where they look like codes: at most
    ``MAX_INTEGER_CLASSES`` different values, ten rows for each on average, and either no more than
    ten values or an unbroken run from 0 or 1. Two different numbers of any kind are two classes.

    Raises:
        UsageError: unknown task.
        DataError: no value at all, dates, infinities, text where a quantity is asked for, one
            class or value only, or labels that do not repeat.
    """
    if task not in _TASKS:
        raise UsageError(
            "The task is one of auto, regression, classification",
            received=f"{task!r}",
            fix="leave it out, or name one of the three",
        )
    texts = None
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        raise _dates(name)
    if _is_number(series.dtype):
        numbers, bad = to_numbers(series)
    else:
        texts = to_text(series)
        texts = texts.mask(texts == "?")
        read = None if isinstance(series.dtype, pd.CategoricalDtype) else _quantity(texts)
        if read is None and task == "regression":
            read = numbers_in_text(texts)
        if read is None:
            return _classes_of_text(texts, series, name, task)
        numbers, bad = read
    missing = np.isnan(numbers) | bad
    _refuse_all_missing(missing, name)
    _refuse_infinities(numbers, name)
    known = np.unique(numbers[~missing])
    if known.size == 1:
        raise _constant(name, f"{known[0]:g}", int((~missing).sum()), task)
    boolean = pd.api.types.is_bool_dtype(series.dtype)
    if task == "regression" or (task == "auto" and not boolean and not _are_codes(known, (~missing).sum())):
        return TargetValues("regression", numbers, missing)
    classes: tuple[Any, ...]
    if boolean:
        classes = tuple(bool(value) for value in known)
    elif np.all(known == np.floor(known)) and np.abs(known).max() < 2**53:
        classes = tuple(int(value) for value in known)
    else:
        classes = tuple(float(value) for value in known)
    _refuse_labels_that_do_not_repeat(len(classes), int((~missing).sum()), name, texts is None)
    codes = np.searchsorted(known, np.where(missing, known[0], numbers))
    return TargetValues("classification", codes.astype(np.int64), missing, classes)


def _is_number(dtype: Any) -> bool:
    if isinstance(dtype, pd.CategoricalDtype):
        return False
    return bool(
        pd.api.types.is_bool_dtype(dtype)
        or pd.api.types.is_numeric_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
    )


def _quantity(texts: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Return numbers held as text; a few unreadable cells count as missing only among many numbers."""
    read = numbers_in_text(texts)
    if read is None:
        return None
    numbers, bad = read
    n_distinct = np.unique(numbers[~np.isnan(numbers)]).size
    return None if bad.any() and n_distinct <= MAX_INTEGER_CLASSES else (numbers, bad)


def _are_codes(known: NDArray[np.float64], n_rows: int) -> bool:
    if known.size == 2:
        return True
    if not np.all(known == np.floor(known)) or known.size > MAX_INTEGER_CLASSES:
        return False
    unbroken = known[0] in (0, 1) and known[-1] - known[0] == known.size - 1
    return bool(n_rows >= _ROWS_PER_CLASS * known.size and (known.size <= 10 or unbroken))


def named_classes(labels: Sequence[str | None], *, name: str) -> TargetValues:
    """Return classes whose names were given as such, as folders are: "null", "NA" and "?" are names too.

    Raises:
        DataError: one class only, or labels that do not repeat.
    """
    texts = pd.Series(list(labels), dtype=object)
    return _classes_of_text(texts, texts.astype("category"), name, "classification")


def _classes_of_text(texts: pd.Series, series: pd.Series, name: str, task: str) -> TargetValues:
    missing = texts.isna().to_numpy()
    _refuse_all_missing(missing, name)
    n_known = int((~missing).sum())
    labels = texts.dropna().unique()
    if task == "regression":
        raise DataError(
            "Regression needs a target of numbers",
            received=say("column {name!r} with text such as {labels!r}", name=name, labels=str(labels[0])),
            fix="name a column of numbers, or use --task classification",
        )
    if len(labels) > MAX_INTEGER_CLASSES and date_format(texts) is not None:
        raise _dates(name)
    if len(labels) == 1:
        raise _constant(name, repr(str(labels[0])), n_known, task, one_class=True)
    _refuse_labels_that_do_not_repeat(len(labels), n_known, name, False)
    classes = _ordered_labels(labels, series)
    codes = pd.Index(classes, dtype=object).get_indexer(pd.Index(texts.to_numpy(), dtype=object))
    originals = _original_labels(classes, series)
    return TargetValues("classification", np.where(missing, 0, codes).astype(np.int64), missing, originals)


def _ordered_labels(labels: NDArray[Any], series: pd.Series) -> list[str]:
    """Return the labels sorted, or in the categories' own order where they have one."""
    if isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered:
        known = set(labels)
        ordered = to_text(pd.Series(series.dtype.categories)).tolist()
        return [label for label in ordered if label in known]
    try:
        return sorted(labels, key=float)
    except ValueError:
        return sorted(labels)


def _original_labels(classes: list[str], series: pd.Series) -> tuple[Any, ...]:
    """Return the labels as the integers or booleans that they were in a DataFrame, else as text."""
    originals: dict[str, Any] = {}
    for value in pd.unique(series.dropna()):
        if not isinstance(value, bool | np.bool_ | int | np.integer):
            return tuple(classes)
        originals[str(value)] = value.item() if isinstance(value, np.generic) else value
    return tuple(originals.get(label, label) for label in classes)


def _refuse_all_missing(missing: NDArray[np.bool_], name: str) -> None:
    if missing.all():
        raise DataError(
            "The target must have values",
            received=say(
                "column {name!r}, which is empty in all {size:,} rows", name=name, size=missing.size
            ),
            fix="fill the column, or name another target",
        )


def _refuse_infinities(numbers: NDArray[np.float64], name: str) -> None:
    # Dropping these rows would select rows by their target (log of zero is the low end), so the
    # score on what is left would be too good.
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        rows = ", ".join(str(row) for row in infinite[:5]) + (", …" if infinite.size > 5 else "")
        raise DataError(
            "The target must be finite",
            received=say(
                "{size:,} {value} in column {name!r} (rows {rows}, counted from 0)",
                size=infinite.size,
                value=say("infinite values") if infinite.size > 1 else say("infinite value"),
                name=name,
                rows=rows,
            ),
            fix="look for a division by zero or the logarithm of zero where the target is made; "
            "leave a cell empty where the target is unknown",
        )


def _refuse_labels_that_do_not_repeat(n_classes: int, n_rows: int, name: str, numbers: bool) -> None:
    if n_classes > 10 and n_classes > 0.5 * n_rows:
        raise DataError(
            "The classes of a target must repeat",
            received=say(
                "{n_classes:,} different values in {n_rows:,} rows of column {name!r}",
                n_classes=n_classes,
                n_rows=n_rows,
                name=name,
            ),
            fix="use --task regression for a quantity"
            if numbers
            else "name the column that holds the classes",
        )


def _constant(name: str, value: str, n_rows: int, task: str, *, one_class: bool = False) -> DataError:
    if one_class or task == "classification":
        return DataError(
            "Classification needs at least two classes",
            received=say(
                "column {name!r} with one class only, {value}, in all {n_rows:,} rows",
                name=name,
                value=value,
                n_rows=n_rows,
            ),
            fix="add rows of the other classes, or name another target",
        )
    return DataError(
        "The target must vary",
        received=say(
            "column {name!r}, which is constant: {value} in all {n_rows:,} rows",
            name=name,
            value=value,
            n_rows=n_rows,
        ),
        fix="name another target, or check how the column was made",
    )


def _dates(name: str) -> DataError:
    return DataError(
        "A target is a quantity or a class",
        received=say("column {name!r}, which holds dates", name=name),
        fix="turn it into a number first, for example days since a fixed date",
    )
