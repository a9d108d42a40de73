"""Exam rows: which rows are sealed, drawn or given. Knows nothing of folds or of what an exam scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundfit.data import splitters
from soundfit.data.folds import Keys, rank_before
from soundfit.data.options import MIN_ROWS, TestRows, too_few_rows
from soundfit.data.table import Table
from soundfit.errors import DataError, UsageError
from soundfit.records.said import say

__all__ = ["draw_exam", "exam_positions", "given_exam"]

Rows = NDArray[np.int64]


def draw_exam(table: Table, keys: Keys, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Draw the rows of the exam: at random, of whole groups, or the latest.

    Returns:
        the exam's rows and the rows that no role may have, ascending.

    Raises:
        DataError: too few groups or times.
        UsageError: a gap that leaves too few rows before the exam.
    """
    none = np.empty(0, dtype=np.int64)
    n_rows = len(table)
    if keys.time is not None:
        return _latest_rows(keys, share, rng)
    if keys.group is not None:
        n_groups = len(np.unique(keys.group))
        if n_groups < 3:
            raise DataError(
                "A split by group needs at least 3 groups: one for the exam and two for the folds",
                received=say("{n_groups} group{plural}", n_groups=n_groups, plural="s" * (n_groups != 1)),
                fix="choose another group column, or none",
            )
        strata = keys.strata(np.arange(n_rows), 2) if keys.classes else None
        drawn = splitters.draw_groups(keys.group, min(share, (n_groups - 2) / n_groups), strata, rng)
        return drawn, none
    # A numeric target has no say in which rows are the exam: what the exam's rows hold cannot move them.
    strata = keys.strata(np.arange(n_rows), 2) if keys.classes else None
    return splitters.draw_rows(n_rows, min(share, (n_rows - 4) / n_rows), strata, rng), none


def _latest_rows(keys: Keys, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    time = keys.time
    assert time is not None
    if len(time.points) < 3:
        raise DataError(
            "A split by time needs at least 3 different times: for training, validation and the exam",
            received=say(
                "{n_points} different time{plural}",
                n_points=len(time.points),
                plural="s" * (len(time.points) != 1),
            ),
            fix="choose another time column, or none",
        )
    first = max(2, splitters.cut_by_time(time.rank, share))
    later = time.rank >= first
    before = rank_before(time, first, keys.gap)
    earlier = time.rank < before
    if before < 2:
        raise UsageError(
            "The gap leaves at least two different times before the test rows",
            received=say(
                "a gap of {gap} before a test set of the last {sum:,} rows",
                gap=keys.gap,
                sum=int(later.sum()),
            ),
            fix="use a smaller gap or a smaller test fraction",
        )
    if keys.group is not None:
        earlier, later = splitters.part_groups(earlier, later, keys.group, rng)
        if len(np.unique(keys.group[earlier])) < 2 or not later.any():
            raise DataError(
                "A split by time and group needs at least two groups before the exam and one in it",
                received=say(
                    "{n_unique:,} groups, too few of them before the cut in time",
                    n_unique=len(np.unique(keys.group)),
                ),
                fix="use only the time, to forecast groups that are known; or only the group",
            )
    return np.flatnonzero(later).astype(np.int64), np.flatnonzero(~later & ~earlier).astype(np.int64)


def given_exam(table: Table, keys: Keys, test_rows: TestRows) -> tuple[Rows, Rows]:
    """Return the given rows as the exam, and the rows that no role may have, ascending.

    Raises:
        UsageError: a group is on both sides, or training rows are not earlier than the exam.
        DataError: too few rows are left outside.
    """
    exam = exam_positions(table, test_rows)
    mask = np.zeros(len(table), dtype=bool)
    mask[exam] = True
    left_out = np.zeros(len(table), dtype=bool)
    if keys.group is not None:
        both = np.intersect1d(keys.group[mask], keys.group[~mask])
        if both.size:
            raise UsageError(
                "No group is both in the test rows and outside them",
                received=say(
                    "{size:,} group{plural} on both sides of the given test rows",
                    size=both.size,
                    plural="s" * (both.size != 1),
                ),
                fix="take these groups out of one side, or leave the group option out",
            )
    if keys.time is not None:
        first = int(keys.time.rank[mask].min())
        late = int((keys.time.rank[~mask] >= first).sum())
        if late:
            raise UsageError(
                "With time, all given test rows are later than the other rows",
                received=say("{late:,} training rows at or after the first test row", late=late),
                fix="remove these rows, give a later test file, or leave the time option out",
            )
        left_out = ~mask & (keys.time.rank >= rank_before(keys.time, first, keys.gap))
    if len(table) - len(exam) - int(left_out.sum()) < MIN_ROWS - 1:
        raise too_few_rows(len(table) - len(exam), "outside the test rows")
    return exam, np.flatnonzero(left_out).astype(np.int64)


def exam_positions(table: Table, test_rows: TestRows) -> Rows:
    """Return given test rows (positions, or a mask) as ascending positions, each once."""
    given = np.asarray(test_rows)
    if given.dtype == bool and given.shape == (len(table),):
        given = np.flatnonzero(given)
    positions = np.unique(given).astype(np.int64) if given.size else np.empty(0, dtype=np.int64)
    if not len(positions) or positions[0] < 0 or positions[-1] >= len(table):
        raise UsageError(
            say("Test rows are positions in the table, from 0 to {value:,}", value=len(table) - 1),
            received="none"
            if not len(positions)
            else say("{positions:,} to {positions2:,}", positions=positions[0], positions2=positions[-1]),
            fix="give the positions of the rows that are the exam",
        )
    return positions
