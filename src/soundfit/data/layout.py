"""Layout: which matrix columns a table's features become. Knows no statistics of any training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.columns import as_kinds
from soundfit.data.saved import unreadable
from soundfit.data.table import Column, Table

__all__ = ["MAX_LEVELS", "Block", "DatePart", "Layout", "plan_features"]

#: One-hot columns of one categorical column; rarer levels share one column.
MAX_LEVELS = 64

DatePart = Literal["year", "month", "weekday", "hour", "days"]
_CYCLES = ("month", "weekday", "hour")


@dataclass(frozen=True)
class Block:
    """The matrix columns that come from one table column.

    Attributes:
        column: the table column's name.
        kind: numeric, boolean, categorical or date.
        levels: categories with a matrix column of their own (categorical).
        pooled: whether the rarer categories share one more matrix column (categorical).
        missing: whether a matrix column says where the value is missing.
        parts: parts of a date that vary (date).
        format: strptime format of dates held as text (date).
    """

    column: str
    kind: Literal["numeric", "boolean", "categorical", "date"]
    levels: tuple[str, ...] = ()
    pooled: bool = False
    missing: bool = False
    parts: tuple[DatePart, ...] = ()
    format: str = ""

    @property
    def paired(self) -> bool:
        """Whether two categories share one matrix column, −1 and 1."""
        return self.kind == "categorical" and len(self.levels) == 2 and not self.pooled and not self.missing

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the matrix columns, in their order."""
        names: list[str]
        if self.kind == "categorical":
            levels = self.levels[1:] if self.paired else self.levels
            names = [f"{self.column}={level}" for level in levels]
            names += [f"{self.column}=(other)"] * self.pooled
        elif self.kind == "date":
            names = []
            for part in self.parts:
                ends = (".sin", ".cos") if part in _CYCLES else ("",)
                names += [f"{self.column}.{part}{end}" for end in ends]
        else:
            names = [self.column]
        return (*names, *([f"{self.column}=(missing)"] * self.missing))

    @property
    def continuous(self) -> tuple[bool, ...]:
        """For each matrix column, whether it holds a continuous value and no indicator."""
        flag = self.kind in ("numeric", "date")
        return (flag,) * (len(self.names) - self.missing) + (False,) * self.missing

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "column": self.column,
            "kind": self.kind,
            "levels": list(self.levels),
            "pooled": self.pooled,
            "missing": self.missing,
            "parts": list(self.parts),
            "format": self.format,
        }

    @classmethod
    def from_dict(cls, given: Any) -> Block:
        """Return the block of this JSON form; ``DataError`` where it is none."""
        fields: dict[str, Any] = {}
        if not isinstance(given, Mapping):
            raise unreadable("a block of features is an object", given)
        wanted = {"column": str, "kind": str, "levels": list, "pooled": bool, "missing": bool}
        for key, kind in {**wanted, "parts": list, "format": str}.items():
            if not isinstance(given.get(key), kind):
                raise unreadable(f"{key!r} of a block is of type {kind.__name__}", given.get(key))
            fields[key] = given[key]
        if fields["kind"] not in ("numeric", "boolean", "categorical", "date"):
            raise unreadable("a block is numeric, boolean, categorical or date", fields["kind"])
        if not all(isinstance(level, str) for level in fields["levels"]):
            raise unreadable("levels are text", fields["levels"])
        if len(set(fields["levels"])) != len(fields["levels"]):
            raise unreadable("levels differ", fields["levels"])
        known = get_args(DatePart)
        if not all(part in known for part in fields["parts"]) or len(fields["parts"]) > len(known):
            raise unreadable("parts of a date are known", fields["parts"])
        if (fields["levels"] or fields["pooled"]) and fields["kind"] != "categorical":
            raise unreadable("categorical blocks have levels, others none", fields["levels"])
        if fields["parts"] and fields["kind"] != "date":
            raise unreadable("date blocks have parts, others none", fields["parts"])
        return cls(**{**fields, "levels": tuple(fields["levels"]), "parts": tuple(fields["parts"])})


@dataclass(frozen=True)
class Layout:
    """The blocks of a feature matrix, in order, the same for every fold of a study."""

    blocks: tuple[Block, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the matrix columns, length F."""
        return tuple(name for block in self.blocks for name in block.names)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """For each matrix column, the table column it comes from, length F."""
        return tuple(block.column for block in self.blocks for _ in block.names)

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """Shape (F,), true where the matrix column holds a continuous value and no indicator."""
        return np.array([flag for block in self.blocks for flag in block.continuous], dtype=bool)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table columns that the matrix is made from."""
        return tuple(Column(block.column, block.kind, format=block.format) for block in self.blocks)


def plan_features(table: Table, rows: NDArray[np.int64], *, max_levels: int = MAX_LEVELS) -> Layout:
    """Decide which matrix columns there are, from these rows alone.

    A numeric or boolean column becomes one matrix column; a categorical one a column for each of its
    ``max_levels`` most frequent levels and one for the rest (two levels share one, −1 and 1); a date
    becomes the parts of it that vary, months, weekdays and hours as sine and cosine, and the days
    since 1970. Where values are missing in these rows, one more matrix column says so.

    Args:
        table: the table; only its used columns are read.
        rows: positions in the table of the rows that may be looked at (all but the test rows).
        max_levels: most matrix columns for the levels of one categorical column.
    """
    used = [column for column in table.columns if column.used]
    frame = as_kinds(table.frame.loc[:, [c.name for c in used]].iloc[rows], used)
    return Layout(tuple(_plan(frame[column.name], column, max_levels) for column in used))


def _plan(series: pd.Series, column: Column, max_levels: int) -> Block:
    missing = bool(series.isna().any()) and bool(series.notna().any())
    if column.kind == "boolean":
        return Block(column.name, "boolean", missing=missing)
    if column.kind == "date":
        parts = _varying_parts(series.dropna())
        return Block(column.name, "date", missing=missing, parts=parts, format=column.format)
    if column.kind == "numeric":
        return Block(column.name, "numeric", missing=missing)
    counts = series.dropna().value_counts()
    # Ties are broken by name, so that the order of rows decides nothing.
    ranked = sorted(counts.index, key=lambda level: (-int(counts[level]), level))
    levels = tuple(sorted(ranked[:max_levels]))
    return Block(column.name, "categorical", levels, pooled=len(ranked) > max_levels, missing=missing)


def _varying_parts(dates: pd.Series) -> tuple[DatePart, ...]:
    values: dict[DatePart, pd.Series] = {
        "year": dates.dt.year,
        "month": dates.dt.month,
        "weekday": dates.dt.day_of_week,
        "hour": dates.dt.hour,
        "days": dates,
    }
    return tuple(part for part, series in values.items() if series.nunique() > 1)
