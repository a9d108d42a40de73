"""Folds: training and validation rows over a given set of rows, by what the rows are split by.

Knows groups, times and strata as arrays; knows no options, no test rows and no sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data import splitters
from soundfit.data.keys import TimeKey
from soundfit.errors import DataError, UsageError
from soundfit.records import Fold
from soundfit.records.said import say

__all__ = [
    "AUTO_HOLDOUT_ROWS",
    "AUTO_TEN_FOLDS_ROWS",
    "VALIDATION_SHARE",
    "Keys",
    "make_auto_folds",
    "make_folds",
]

AUTO_TEN_FOLDS_ROWS = 1_000
AUTO_HOLDOUT_ROWS = 20_000
VALIDATION_SHARE = 0.2
# Below this many groups one holdout would rest on a handful of them.
FEW_GROUPS = 50

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Keys:
    """What rows are split by.

    Attributes:
        target: shape (N,), codes for classes.
        classes: whether the target holds class codes.
        stratify: whether folds follow the target's shares.
        group: shape (N,), one code a group; None where rows stand alone.
        time: when each row happened; None where order means nothing.
        gap: different times (an integer) or a span of time left out between training and later rows.
    """

    target: NDArray[Any]
    classes: bool
    stratify: bool
    group: NDArray[np.int64] | None = None
    time: TimeKey | None = None
    gap: int | pd.Timedelta = 0

    def strata(self, rows: Rows, k: int) -> NDArray[np.int64] | None:
        """Return the strata of these rows: classes, or bins of the target; None without stratifying."""
        if not self.stratify:
            return None
        if self.classes:
            return np.unique(self.target[rows], return_inverse=True)[1].astype(np.int64)
        return splitters.target_strata(self.target[rows], k)


def auto_folds(rows: Rows, keys: Keys) -> int:
    """Return the number of folds that ``auto`` means for these rows; 1 is one holdout."""
    n_groups = len(np.unique(keys.group[rows])) if keys.group is not None else len(rows)
    if len(rows) >= AUTO_HOLDOUT_ROWS and n_groups >= FEW_GROUPS:
        return 1
    k = 10 if len(rows) < AUTO_TEN_FOLDS_ROWS else 5
    if keys.time is not None:
        # Ten blocks of a short history would start from a first fold of 9 % of the rows.
        k = min(5, len(np.unique(keys.time.rank[rows])) - 1)
    return max(1 if keys.time is not None else 2, min(k, n_groups, len(rows) // 2))


def make_auto_folds(rows: Rows, keys: Keys, seed: list[int], *, at_most: int = 10) -> tuple[Fold, ...]:
    """Split ``rows`` into as many folds as ``auto`` means; by time into fewer where a gap needs it.

    Raises:
        UsageError: as :func:`make_folds`, where not even one holdout can be made.
    """
    k = min(at_most, auto_folds(rows, keys))
    while True:
        try:
            return make_folds(rows, k, keys, np.random.default_rng(seed))
        except UsageError:
            if keys.time is None or k == 1:
                raise
            k -= 1


def make_folds(rows: Rows, k: int, keys: Keys, rng: np.random.Generator) -> tuple[Fold, ...]:
    """Split ``rows`` into k folds, or one holdout for k = 1.

    Without time every row is validated exactly once (in one holdout: at most once). With time a fold
    trains on rows strictly before its validation rows, so the first block is never validated; with
    time and groups, rows whose group is on the other side are left out of a fold.

    Raises:
        UsageError: more folds than rows, groups or times allow, or a gap that leaves no training rows.
    """
    if keys.time is not None:
        return _forward_folds(rows, k, keys, rng)
    strata = keys.strata(rows, max(k, 2))
    if keys.group is not None:
        group = keys.group[rows]
        need_groups(len(np.unique(group)), max(k, 2))
        if k == 1:
            return (_fold(rows, splitters.draw_groups(group, VALIDATION_SHARE, strata, rng)),)
        dealt = splitters.deal_groups(group, k, strata, rng)
    else:
        need_rows(len(rows), max(k, 2))
        if k == 1:
            return (_fold(rows, splitters.draw_rows(len(rows), VALIDATION_SHARE, strata, rng)),)
        dealt = splitters.deal_rows(len(rows), k, strata, rng)
    return tuple(Fold(train=rows[dealt != i], validation=rows[dealt == i]) for i in range(k))


def need_rows(n_rows: int, k: int) -> None:
    """Refuse more folds than rows."""
    if n_rows < k:
        raise UsageError(
            "There are at most as many folds as training rows",
            received=say("{k:,} folds for {n_rows:,} training rows", k=k, n_rows=n_rows),
            fix="use fewer folds, or `auto`",
        )


def need_groups(n_groups: int, k: int) -> None:
    """Refuse more folds than groups: a group cannot be on two sides."""
    if n_groups < k:
        raise UsageError(
            "Each fold validates at least one whole group",
            received=say(
                "{k:,} folds for {n_groups:,} group{plural} outside the test rows",
                k=k,
                n_groups=n_groups,
                plural="s" * (n_groups != 1),
            ),
            fix=say("use at most {n_groups:,} folds, or `auto`", n_groups=n_groups)
            if n_groups > 1
            else "choose another group column",
        )


def _fold(rows: Rows, validation: NDArray[np.int64]) -> Fold:
    mask = np.zeros(len(rows), dtype=bool)
    mask[validation] = True
    return Fold(train=rows[~mask], validation=rows[mask])


def rank_before(time: TimeKey, first_later: int, gap: int | pd.Timedelta) -> int:
    """Return the first rank that is too late for training on what comes before ``first_later``."""
    if isinstance(gap, pd.Timedelta):
        latest = time.points[first_later] - gap.as_unit("ns").value
        return min(first_later, int(np.searchsorted(time.points, latest, side="right")))
    return max(0, first_later - gap)


def _forward_folds(rows: Rows, k: int, keys: Keys, rng: np.random.Generator) -> tuple[Fold, ...]:
    time = keys.time
    assert time is not None
    present, rank = np.unique(time.rank[rows], return_inverse=True)
    if len(present) < k + 1:
        raise UsageError(
            "Folds by time need one more different time than folds: each trains on what came before",
            received=say(
                "{k:,} folds for {n_present:,} different times outside the test rows",
                k=k,
                n_present=len(present),
            ),
            fix="use fewer folds, `auto`, or a time column that is finer",
        )
    if k == 1:
        block = (rank >= splitters.cut_by_time(rank, VALIDATION_SHARE)).astype(np.int64)
    else:
        block = splitters.time_blocks(rank.astype(np.int64), k + 1)
    group = None if keys.group is None else keys.group[rows]
    folds = []
    for i in range(1, k + 1):
        later = block == i
        first_later = int(present[rank[later].min()])
        earlier = time.rank[rows] < rank_before(time, first_later, keys.gap)
        if group is not None:
            earlier, later = splitters.part_groups(earlier, later, group, rng)
        if not earlier.any() or not later.any():
            raise _nothing_left(i, k, keys)
        folds.append(Fold(train=rows[earlier], validation=rows[later]))
    return tuple(folds)


def _nothing_left(i: int, k: int, keys: Keys) -> DataError:
    if keys.gap:
        return DataError(
            "Every fold by time trains on rows that lie before its validation rows by at least the gap",
            received=say(
                "a gap of {gap} that leaves fold {i} of {k} without training rows", gap=keys.gap, i=i, k=k
            ),
            fix="use a smaller gap or fewer folds",
        )
    return DataError(
        "Every fold by time and group trains on earlier rows of groups that it does not validate",
        received=say("fold {i} of {k}, where no such rows are left", i=i, k=k),
        fix="use fewer folds; or only the time, to forecast groups that are known; or only the group",
    )
