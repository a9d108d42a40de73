"""Profile: what a column's training values look like, in a few numbers. Knows no models and no files.

A form asks for values with it, an explanation compares a row with what is typical. It is made from rows
that are not sealed, and holds no row of the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from soundfit.data.layout import MAX_LEVELS
from soundfit.data.saved import unreadable
from soundfit.data.table import Table

__all__ = ["ColumnProfile", "ReadKind", "profile_columns"]

ReadKind = Literal["numeric", "categorical", "boolean", "date"]
_NUMBERS = ("low", "high", "missing")


@dataclass(frozen=True)
class ColumnProfile:
    """One column that models read.

    Attributes:
        name, kind: as in the table.
        typical: the median (numeric), the most frequent value (categorical, boolean: "yes" or "no") or
            the median day (date, ISO 8601), as a form would send it.
        low, high: smallest and largest value (numeric), NaN for others.
        first, last: earliest and latest date, ISO 8601; empty for others.
        levels: categories, the most frequent first, at most 64.
        missing: share of rows without a value.
        whole: whether all values are whole numbers.
    """

    name: str
    kind: ReadKind
    typical: str
    low: float = math.nan
    high: float = math.nan
    first: str = ""
    last: str = ""
    levels: tuple[str, ...] = ()
    missing: float = 0.0
    whole: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = {"name": self.name, "kind": self.kind, "typical": self.typical}
        form["missing"] = self.missing
        if self.kind == "numeric":
            form |= {"low": self.low, "high": self.high, "whole": self.whole}
        elif self.kind == "date":
            form |= {"first": self.first, "last": self.last}
        elif self.kind == "categorical":
            form["levels"] = list(self.levels)
        return form

    @classmethod
    def from_dict(cls, given: Any) -> ColumnProfile:
        """Return the profile of this JSON form; ``DataError`` where it is none."""
        if not isinstance(given, Mapping) or given.get("kind") not in get_args(ReadKind):
            raise unreadable("a column's profile has a kind, numeric, categorical, boolean or date", given)
        texts = {key: given.get(key, "") for key in ("name", "typical", "first", "last")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise unreadable("a column's profile names it in text", texts)
        numbers = {key: given[key] for key in _NUMBERS if key in given}
        if not all(type(x) in (int, float) and abs(x) < math.inf for x in numbers.values()):
            raise unreadable("the numbers of a column's profile are finite", numbers)
        levels = given.get("levels", [])
        if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
            raise unreadable("levels are text", levels)
        whole = given.get("whole", False)
        if not isinstance(whole, bool):
            raise unreadable("'whole' is true or false", whole)
        fields: dict[str, Any] = {key: float(x) for key, x in numbers.items()}
        return cls(kind=given["kind"], levels=tuple(levels), whole=whole, **texts, **fields)


def profile_columns(table: Table) -> tuple[ColumnProfile, ...]:
    """Return the profiles of the columns that models read, from all rows of this table.

    Args:
        table: without its sealed rows.
    """
    kinds = {column.name: column.kind for column in table.columns if column.used}
    return tuple(_profile(table.frame[name], name, kind) for name, kind in kinds.items())


def _profile(series: pd.Series, name: str, kind: str) -> ColumnProfile:
    missing = float(series.isna().mean()) if len(series) else 0.0
    present = series.dropna()
    if kind == "numeric":
        return _numeric(present.to_numpy(dtype=np.float64), name, missing)
    if kind == "boolean":
        typical = "" if present.empty else "yes" if present.mean() >= 0.5 else "no"
        return ColumnProfile(name, "boolean", typical, missing=missing)
    if kind == "date":
        if present.empty:
            return ColumnProfile(name, "date", "", missing=missing)
        ordered = present.sort_values()
        first, middle, last = (_iso(ordered.iloc[i]) for i in (0, len(ordered) // 2, -1))
        return ColumnProfile(name, "date", middle, first=first, last=last, missing=missing)
    counts = present.astype(str).value_counts()
    ranked = sorted(counts.index, key=lambda level: (-int(counts[level]), level))[:MAX_LEVELS]
    return ColumnProfile(
        name, "categorical", ranked[0] if ranked else "", levels=tuple(ranked), missing=missing
    )


def _numeric(present: np.ndarray, name: str, missing: float) -> ColumnProfile:
    if not present.size:
        return ColumnProfile(name, "numeric", "", low=0.0, high=0.0, missing=missing)
    low, high = float(present.min()), float(present.max())
    whole = bool(np.all(present == np.floor(present)))
    # A value that occurs: the mean of the two middle ones would be no whole number.
    middle = float(np.quantile(present, 0.5, method="lower"))
    typical = str(int(middle)) if whole and abs(middle) < 2**53 else f"{middle:.6g}"
    return ColumnProfile(name, "numeric", typical, low=low, high=high, missing=missing, whole=whole)


def _iso(moment: pd.Timestamp) -> str:
    text = moment.isoformat()
    return text.removesuffix("T00:00:00")
