"""Plan: which row is in which role, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fold", "Plan"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Training and validation rows of one fold, as positions in the table (disjoint, ascending)."""

    train: Rows
    validation: Rows


@dataclass(frozen=True)
class Plan:
    """Sealed test rows, folds, and the reason for them.

    ``kind`` is one of ``holdout``, ``k-fold``, ``stratified``, ``group``, ``stratified-group``,
    ``time``, ``group-time``, ``given`` (a fold column or a test file). Rows are positions in the
    table, not in the file (the table may have dropped rows without a target). ``left_out`` rows are
    in no role at all: a group that must not be on two sides of a cut in time, or what an inner plan of
    nested cross-validation may not see. ``gap`` is what lies between training and later rows: different
    times, or a span such as ``"7d"``.
    """

    kind: str
    reason: str
    n_rows: int
    test: Rows
    folds: tuple[Fold, ...]
    seed: int
    group: tuple[str, ...] = ()
    time: str | None = None
    gap: int | str = 0
    left_out: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def train(self) -> Rows:
        """All rows that are neither test rows nor left out, ascending."""
        outside = np.ones(self.n_rows, dtype=bool)
        outside[self.test] = False
        outside[self.left_out] = False
        return np.flatnonzero(outside).astype(np.int64)
