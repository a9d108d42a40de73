"""Table: rows × columns with a target, column kinds inferred. Knows no file formats and no splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.records import Finding

__all__ = ["Column", "ColumnKind", "Table", "Task"]

ColumnKind = Literal["numeric", "categorical", "boolean", "date", "id", "text", "constant"]
Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class Column:
    """One feature column: its kind, whether models read it, and why not where they don't.

    ``format`` is the strptime format of a date column that the file holds as text.
    """

    name: str
    kind: ColumnKind
    used: bool = True
    reason: str = ""
    format: str = ""


@dataclass(frozen=True)
class Table:
    """A table ready for splitting.

    Attributes:
        frame: feature columns only (used and unused), index 0 … N-1; the target is not in it.
        target: shape (N,), float64 for regression, int64 class codes for classification.
        target_name: the target's column name.
        task: ``regression`` or ``classification``.
        classes: labels in code order, in their original type; empty for regression.
        columns: one :class:`Column` per column of ``frame``, in its order.
        file_rows: shape (N,), each row's position in the file, from 0 (rows without a target are
            not in the table).
        n_file_rows: rows in the file.
        source: path or ``"<DataFrame>"``.
        sha256: of the file's bytes (of the frame's content for a DataFrame).
        findings: what reading found (missing target, free text, mixed types, infinities …).
    """

    frame: pd.DataFrame
    target: NDArray[Any]
    target_name: str
    task: Task
    classes: tuple[Any, ...]
    columns: tuple[Column, ...]
    file_rows: NDArray[np.int64]
    n_file_rows: int
    source: str
    sha256: str
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> Column:
        """Return the column of that name; ``KeyError`` where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of these rows alone (positions in this table), renumbered from 0."""
        return replace(
            self,
            frame=self.frame.iloc[rows].reset_index(drop=True),
            target=self.target[rows],
            file_rows=self.file_rows[rows],
        )

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that models read."""
        return tuple(c.name for c in self.columns if c.used)
