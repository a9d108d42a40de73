"""View: a table as the checks read it, with codes, numbers and the rows whose target may be looked at.

Built once for an audit and shared by its checks; holds caches, changes nothing in the table. Knows no
check and no finding.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from soundfit.data.audit.alone import explained
from soundfit.data.table import Table
from soundfit.records import Plan

__all__ = ["Feature", "View"]

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
#: One-hot targets keep the classes up to this many; the rest count as one.
MAX_CLASSES = 12
#: Rows that one-column evidence is taken from.
ALONE_ROWS = 8000


@dataclass(frozen=True)
class Feature:
    """One column of the table; what is computed from its cells is kept."""

    name: str
    kind: str
    used: bool
    series: pd.Series = field(repr=False)

    @cached_property
    def numbers(self) -> Floats | None:
        """Values as float64, NaN where missing; None for words."""
        dtype = self.series.dtype
        if self.kind in ("text",):
            return None
        if pd.api.types.is_datetime64_any_dtype(dtype):
            ticks = self.series.to_numpy("datetime64[us]").astype(np.int64)
            return np.where(self.series.isna(), np.nan, ticks / 1e6)
        if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
            return self.series.to_numpy(np.float64, na_value=np.nan)
        return None

    @cached_property
    def codes(self) -> NDArray[np.int32]:
        """Equal codes for equal cells, shape (N,), from 0; missing cells share the last code."""
        codes, uniques = pd.factorize(self.series if self.numbers is None else self.numbers)
        return np.where(codes < 0, len(uniques), codes).astype(np.int32)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each code."""
        return np.bincount(self.codes)

    def along(self, rows: Rows) -> Floats:
        """Return the rows' numbers, or codes as numbers for words."""
        return self.numbers[rows] if self.numbers is not None else self.codes[rows].astype(np.float64)

    @property
    def n_distinct(self) -> int:
        """Different values, missing counted as one."""
        return int(np.count_nonzero(self.counts))

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Where the cell is empty."""
        return np.isnan(self.numbers) if self.numbers is not None else self.series.isna().to_numpy(bool)

    @cached_property
    def whole(self) -> bool:
        """Whether all values present are whole numbers."""
        if self.numbers is None:
            return False
        present = self.numbers[np.isfinite(self.numbers)]
        return bool(present.size and np.all(present == np.floor(present)))

    @cached_property
    def continuous(self) -> bool:
        """Whether the column measures on a fine scale: numbers with more than 20 different values."""
        return self.numbers is not None and self.n_distinct > 20


class View:
    """What the checks share.

    Args:
        table: the table.
        plan: roles of the rows; None where no split was drawn yet.
        group, time: what the user asked for.
        seed: of every sample and fold.
        deadline: in ``time.perf_counter()`` seconds, or None.

    Evidence about the target is taken from ``known`` rows only: all rows outside the plan's test
    set. Which rows equal which is read from features of all rows; a test row's target enters one
    comparison alone, whether it equals that of its twin.
    """

    def __init__(
        self,
        table: Table,
        *,
        plan: Plan | None,
        group: tuple[str, ...],
        time: str | None,
        seed: int,
        deadline: float | None,
    ) -> None:
        self.table = table
        self.plan = plan
        self.group = group
        self.time = time
        self.seed = seed
        self.deadline = deadline
        self.n = len(table)
        self.features = tuple(
            Feature(c.name, c.kind, c.used, table.frame[c.name])
            for c in table.columns
            if c.kind != "constant"
        )

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.table.task == "regression"

    @cached_property
    def known(self) -> Rows:
        """Rows whose target may be looked at, ascending."""
        return np.arange(self.n, dtype=np.int64) if self.plan is None else self.plan.train

    @cached_property
    def content(self) -> tuple[Feature, ...]:
        """Columns that describe a row: everything but identifiers."""
        return tuple(f for f in self.features if f.kind != "id" and not self.is_counter(f))

    @cached_property
    def inputs(self) -> tuple[Feature, ...]:
        """Columns that models read."""
        return tuple(f for f in self.features if f.used)

    @cached_property
    def alone(self) -> dict[str, float]:
        """Share of the target's variance that each input explains alone, on a sample of known rows."""
        rows = self.sample(ALONE_ROWS, salt=1)
        target = self.target(rows)
        rng = np.random.default_rng([self.seed, 13])
        return {
            f.name: explained(f.along(rows), target, rng, ordered=f.numbers is not None) for f in self.inputs
        }

    def best_inputs(self, size: int) -> tuple[Feature, ...]:
        """Return at most ``size`` inputs, those that explain most alone, in the table's order."""
        if len(self.inputs) <= size:
            return self.inputs
        best = sorted(self.inputs, key=lambda f: -self.alone[f.name])[:size]
        names = {f.name for f in best}
        return tuple(f for f in self.inputs if f.name in names)

    def feature(self, name: str) -> Feature:
        """Return the column of that name."""
        return next(f for f in self.features if f.name == name)

    def is_counter(self, feature: Feature) -> bool:
        """Whether the column counts the rows of the file: whole, all different, by steps of one."""
        numbers = feature.numbers
        if numbers is None or feature.kind == "date" or self.n < 10 or not feature.whole:
            return False
        return bool(np.all(np.abs(np.diff(numbers)) == 1)) and feature.n_distinct == self.n

    def sample(self, size: int, salt: int = 0) -> Rows:
        """Return at most ``size`` known rows, drawn at random, ascending."""
        if len(self.known) <= size:
            return self.known
        rng = np.random.default_rng([self.seed, 11, salt])
        return np.sort(rng.choice(self.known, size, replace=False))

    def target(self, rows: Rows) -> Floats:
        """Return the target as columns, shape (len(rows), C): ranks in (0, 1), or one column a class."""
        y = self.table.target[rows]
        if self.regression:
            return (rankdata(y) / len(rows))[:, None]
        counts = np.bincount(y.astype(np.int64), minlength=len(self.table.classes))
        top = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
        return (y[:, None] == top[None, :]).astype(np.float64)

    def matrix(self, rows: Rows, features: tuple[Feature, ...]) -> NDArray[np.float32]:
        """Return features as a model reads them: numbers, and words as codes from frequent to rare."""
        out = np.empty((len(rows), len(features)), dtype=np.float32)
        for j, feature in enumerate(features):
            if feature.numbers is not None:
                values = feature.numbers[rows]
                offset = np.nanmedian(values) if feature.kind == "date" and np.isfinite(values).any() else 0
                out[:, j] = np.clip(values - offset, -3e38, 3e38)
            else:
                by_count = np.argsort(-feature.counts, kind="stable")
                position = np.empty(len(by_count), dtype=np.float32)
                position[by_count] = np.arange(len(by_count))
                out[:, j] = position[feature.codes[rows]]
        return out

    def file_rows(self, rows: Rows) -> tuple[int, ...]:
        """Return positions in the file of the first 20 rows."""
        return tuple(int(r) for r in self.table.file_rows[np.sort(rows)[:20]])

    def seconds_left(self) -> float:
        """Seconds until the deadline; infinite where there is none."""
        return np.inf if self.deadline is None else self.deadline - time.perf_counter()
