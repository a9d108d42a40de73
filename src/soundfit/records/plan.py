"""Plan: which row is in which role, and why."""

from __future__ import annotations

from dataclasses import dataclass

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
    table, not in the file (the table may have dropped rows without a target).
    """

    kind: str
    reason: str
    n_rows: int
    test: Rows
    folds: tuple[Fold, ...]
    seed: int
    group: tuple[str, ...] = ()
    time: str | None = None

    @property
    def train(self) -> Rows:
        """All rows outside the test set, ascending."""
        return np.setdiff1d(np.arange(self.n_rows, dtype=np.int64), self.test)
