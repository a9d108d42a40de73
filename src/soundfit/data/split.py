"""Split: from a table to a plan: sealed test rows, folds, and why.

Checks options, draws the test rows, asks for folds and says in a sentence what was done. Knows
nothing of models, of the audit or of the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data import splitters
from soundfit.data.folds import Keys, auto_folds, make_folds, rank_before
from soundfit.data.keys import FILE_ORDER, TimeKey, fold_labels, group_codes, time_key
from soundfit.data.nested import nested
from soundfit.data.reason import plan_reason
from soundfit.data.table import Table
from soundfit.errors import DataError, UsageError
from soundfit.records import Fold, Plan

__all__ = ["nested", "split", "split_frame"]

MIN_ROWS = 5
MAX_TEST_SHARE = 0.9

Rows = NDArray[np.int64]
Folds = int | Literal["auto", "holdout"]


def split(
    table: Table,
    *,
    folds: Folds | str = "auto",
    test: float = 0.2,
    group: str | Sequence[str] = (),
    time: str | None = None,
    stratify: bool | None = None,
    fold_column: str | None = None,
    test_rows: NDArray[Any] | Sequence[int] | None = None,
    gap: int | str = 0,
    seed: int = 0,
) -> Plan:
    """Seal the test rows and deal the others into folds.

    Every non-test row is validated exactly once, with three exceptions that lie in the matter: one
    holdout validates 20 % of the rows; folds by time never validate the first block, from which
    nothing earlier could be learned; and by time *and* group, rows whose group is on the other side
    of a cut are left out (``Plan.left_out`` where it is the cut before the test rows).

    Args:
        table: the table.
        folds: number of folds (2 or more), ``"holdout"``, or ``"auto"``: 10 below 1,000 training rows,
            5 below 20,000, one holdout above. ``auto`` takes at most 5 folds by time, never more
            folds than groups, and 5 folds where a holdout would rest on fewer than 50 groups.
        test: fraction of rows for the exam, above 0 and below 0.9: of the groups with ``group``, the
            last rows with ``time``. Not used with ``test_rows`` or with a fold column that says ``test``.
        group: one or several columns; rows equal in all of them stay on one side.
        time: a date or numeric column, or ``"row"`` for the file's order: validation and test rows
            are later than the rows trained on; equal times stay on one side.
        stratify: keep the target's shares in each fold: classes, or ten bins of a numeric target.
            None does so except by time and, for a numeric target, by group.
        fold_column: a column with a fold for each row (values in sorted order), or with the words
            train, validation and test. Without ``test`` in it the last fold or folds are sealed.
        test_rows: positions in the table of rows that are the exam (a test file of its own).
        gap: different times left out between training and later rows, or a span such as ``"7d"``
            where the time column holds dates.
        seed: for all that is drawn.

    Returns:
        The plan; the same arguments give the same plan.

    Raises:
        UsageError: an option cannot be used as given, or contradicts another.
        DataError: the table's rows, groups or times are too few, or a time is missing or unreadable.
    """
    groups = (group,) if isinstance(group, str) else tuple(group)
    k = _fold_count(folds)
    _check_options(table, k, groups, time, stratify, fold_column, test_rows, gap, seed)
    if test_rows is None:
        test = _test_share(test)
    if fold_column is not None:
        return _given_folds(table, fold_column, test, test_rows, seed)
    return _drawn_folds(table, k, test, groups, time, stratify, test_rows, gap, seed)


def _drawn_folds(
    table: Table,
    k: int | None,
    test: float,
    groups: tuple[str, ...],
    time: str | None,
    stratify: bool | None,
    test_rows: NDArray[Any] | Sequence[int] | None,
    gap: int | str,
    seed: int,
) -> Plan:
    when = time_key(table, time) if time is not None else None
    keys = Keys(
        target=table.target,
        classes=table.task == "classification",
        stratify=_stratifies(table, groups, time, stratify),
        group=group_codes(table, groups) if groups else None,
        time=when,
        gap=_gap(gap, when),
    )
    rng = np.random.default_rng([int(seed), 1])
    if test_rows is None:
        exam, left_out = _draw_test(table, keys, test, rng)
    else:
        exam, left_out = _given_test(table, keys, test_rows)
    outside = np.ones(len(table), dtype=bool)
    outside[exam] = False
    outside[left_out] = False
    rows = np.flatnonzero(outside).astype(np.int64)
    auto = k is None
    k = auto_folds(rows, keys) if k is None else k
    made = make_folds(rows, k, keys, np.random.default_rng([int(seed), 2]))
    plan = Plan(
        kind="given" if test_rows is not None else _kind(keys, k),
        reason="",
        n_rows=len(table),
        test=exam,
        folds=made,
        seed=int(seed),
        group=groups,
        time=time,
        left_out=left_out,
    )
    return replace(plan, reason=plan_reason(table, plan, keys, auto=auto, given=test_rows is not None))


def _kind(keys: Keys, k: int) -> str:
    if keys.time is not None:
        return "time" if keys.group is None else "group-time"
    if keys.group is not None:
        return "stratified-group" if keys.stratify else "group"
    if k == 1:
        return "holdout"
    return "stratified" if keys.stratify else "k-fold"


def _stratifies(table: Table, groups: tuple[str, ...], time: str | None, stratify: bool | None) -> bool:
    if time is not None:
        return False
    if stratify is not None:
        return stratify
    return table.task == "classification" or not groups


def _draw_test(table: Table, keys: Keys, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    none = np.empty(0, dtype=np.int64)
    n_rows = len(table)
    if keys.time is not None:
        return _latest_rows(keys, share, rng)
    if keys.group is not None:
        n_groups = len(np.unique(keys.group))
        if n_groups < 3:
            raise DataError(
                "A split by group needs at least 3 groups: one for the exam and two for the folds",
                received=f"{n_groups} group{'s' * (n_groups != 1)}",
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
            received=f"{len(time.points)} different time{'s' * (len(time.points) != 1)}",
            fix="choose another time column, or none",
        )
    first = max(2, splitters.cut_by_time(time.rank, share))
    later = time.rank >= first
    before = rank_before(time, first, keys.gap)
    earlier = time.rank < before
    if before < 2:
        raise UsageError(
            "The gap leaves at least two different times before the test rows",
            received=f"a gap of {keys.gap} before a test set of the last {int(later.sum()):,} rows",
            fix="use a smaller gap or a smaller test fraction",
        )
    if keys.group is not None:
        earlier, later = splitters.part_groups(earlier, later, keys.group, rng)
        if len(np.unique(keys.group[earlier])) < 2 or not later.any():
            raise DataError(
                "A split by time and group needs at least two groups before the exam and one in it",
                received=f"{len(np.unique(keys.group)):,} groups, too few of them before the cut in time",
                fix="use only the time, to forecast groups that are known; or only the group",
            )
    return np.flatnonzero(later).astype(np.int64), np.flatnonzero(~later & ~earlier).astype(np.int64)


def _given_test(table: Table, keys: Keys, test_rows: NDArray[Any] | Sequence[int]) -> tuple[Rows, Rows]:
    exam = _positions(table, test_rows)
    mask = np.zeros(len(table), dtype=bool)
    mask[exam] = True
    left_out = np.zeros(len(table), dtype=bool)
    if keys.group is not None:
        both = np.intersect1d(keys.group[mask], keys.group[~mask])
        if both.size:
            raise UsageError(
                "No group is both in the test rows and outside them",
                received=f"{both.size:,} group{'s' * (both.size != 1)} on both sides of the given test rows",
                fix="take these groups out of one side, or leave the group option out",
            )
    if keys.time is not None:
        first = int(keys.time.rank[mask].min())
        late = int((keys.time.rank[~mask] >= first).sum())
        if late:
            raise UsageError(
                "With time, all given test rows are later than the other rows",
                received=f"{late:,} training rows at or after the first test row",
                fix="remove these rows, give a later test file, or leave the time option out",
            )
        left_out = ~mask & (keys.time.rank >= rank_before(keys.time, first, keys.gap))
    if len(table) - len(exam) - int(left_out.sum()) < MIN_ROWS - 1:
        raise _too_few(len(table) - len(exam), "outside the test rows")
    return exam, np.flatnonzero(left_out).astype(np.int64)


def _given_folds(
    table: Table,
    name: str,
    share: float,
    test_rows: NDArray[Any] | Sequence[int] | None,
    seed: int,
) -> Plan:
    fold, test, holdout = fold_labels(table, name)
    if test_rows is not None:
        if test.any():
            raise UsageError(
                "The test rows are given once",
                received=f"test rows of their own, and {int(test.sum()):,} rows marked test in {name!r}",
                fix="leave one of them out",
            )
        test = np.zeros(len(table), dtype=bool)
        test[_positions(table, test_rows)] = True
    n_folds = int(fold.max()) + 1
    sealed = 0
    if not test.any() and not holdout:
        sealed = max(1, min(round(share * n_folds), n_folds - 2))
        test = fold >= n_folds - sealed
    exam = np.flatnonzero(test).astype(np.int64)
    present = np.unique(fold[~test & (fold >= 0)])
    if not len(exam) or len(present) < (1 if holdout else 2):
        raise UsageError(
            "A fold column names at least two folds besides the test rows",
            received=f"{name!r}: {len(present)} fold{'s' * (len(present) != 1)}, {len(exam):,} test rows",
            fix="number three or more folds, or mark rows with the word `test`",
        )
    made = tuple(
        Fold(
            train=np.flatnonzero(~test & (fold != i)).astype(np.int64),
            validation=np.flatnonzero(~test & (fold == i)).astype(np.int64),
        )
        for i in present
    )
    n_train = len(table) - len(exam)
    how = "one holdout" if len(made) == 1 else f"{len(made)} folds"
    exam_from = f"the last {sealed} of its folds" if sealed else "the rows given for it"
    reason = (
        f"The column {name!r} gives {how} over {n_train:,} training rows; {len(exam):,} rows"
        f" ({len(exam) / len(table):.0%}), {exam_from}, are sealed for the exam."
    )
    return Plan("given", reason, len(table), exam, made, int(seed))


def split_frame(plan: Plan, table: Table) -> pd.DataFrame:
    """Return the plan as the table of ``split.parquet``, in the file's order.

    Columns: ``row`` (position in the file, from 0), ``role`` (train, validation or test) and ``fold``
    (Int64). With several folds each row outside the exam has role ``train`` and the fold that validates
    it; in one holdout the validation rows have role ``validation`` and fold 0. ``fold`` is null for test
    rows and for rows that no fold validates. Rows in no role are not in the frame.
    """
    role = np.full(plan.n_rows, "train", dtype=object)
    fold = np.full(plan.n_rows, -1, dtype=np.int64)
    for i, one in enumerate(plan.folds):
        fold[one.validation] = i
    if len(plan.folds) == 1:
        role[plan.folds[0].validation] = "validation"
    role[plan.test] = "test"
    frame = pd.DataFrame(
        {
            "row": table.file_rows,
            "role": pd.array(role, dtype="str"),
            "fold": pd.array(np.where(fold < 0, 0, fold), dtype="Int64"),
        }
    )
    frame.loc[fold < 0, "fold"] = pd.NA
    kept = np.ones(plan.n_rows, dtype=bool)
    kept[plan.left_out] = False
    return frame[kept].sort_values("row", ignore_index=True)


def _fold_count(folds: Folds | str) -> int | None:
    if isinstance(folds, str) and folds.strip().casefold() in ("auto", "holdout"):
        return None if folds.strip().casefold() == "auto" else 1
    try:
        k = int(folds)
        whole = not isinstance(folds, bool) and float(folds) == k
    except (TypeError, ValueError):
        k, whole = 0, False
    if not whole:
        raise UsageError(
            "The number of folds is a whole number, `auto` or `holdout`",
            received=repr(folds),
            fix="use 2 or more, or `auto`",
        )
    if k < 2:
        raise UsageError(
            "Cross-validation needs at least 2 folds: with one, nothing is left to train on",
            received=f"{k} fold{'s' * (k != 1)}",
            fix="use 2 or more, or `auto`",
        )
    return k


def _test_share(test: float) -> float:
    try:
        share = math.nan if isinstance(test, bool) else float(test)
    except (TypeError, ValueError):
        share = math.nan
    if share == 0.0:
        raise UsageError(
            "Some rows are kept for the exam: without them no score of the finished model is honest",
            received="a test fraction of 0",
            fix="use a small fraction such as 0.1, or give a test file of its own",
        )
    if not 0.0 < share < MAX_TEST_SHARE:
        raise UsageError(
            f"The test fraction is a number above 0 and below {MAX_TEST_SHARE}",
            received=repr(test),
            fix="use 0.2, a fifth of the rows",
        )
    return share


def _gap(gap: int | str, time: TimeKey | None) -> int | pd.Timedelta:
    if isinstance(gap, str) and not gap.strip().isdigit():
        try:
            span = pd.Timedelta(gap)
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


def _positions(table: Table, test_rows: NDArray[Any] | Sequence[int]) -> Rows:
    given = np.asarray(test_rows)
    if given.dtype == bool and given.shape == (len(table),):
        given = np.flatnonzero(given)
    positions = np.unique(given).astype(np.int64) if given.size else np.empty(0, dtype=np.int64)
    if not len(positions) or positions[0] < 0 or positions[-1] >= len(table):
        raise UsageError(
            f"Test rows are positions in the table, from 0 to {len(table) - 1:,}",
            received="none" if not len(positions) else f"{positions[0]:,} to {positions[-1]:,}",
            fix="give the positions of the rows that are the exam",
        )
    return positions


def _too_few(n_rows: int, where: str) -> DataError:
    return DataError(
        f"A split needs at least {MIN_ROWS} rows: for the exam and for two folds",
        received=f"{n_rows:,} row{'s' * (n_rows != 1)} {where}".rstrip(),
        fix="collect more rows; a score from so few would say nothing",
    )


def _check_options(
    table: Table,
    k: int | None,
    groups: tuple[str, ...],
    time: str | None,
    stratify: bool | None,
    fold_column: str | None,
    test_rows: NDArray[Any] | Sequence[int] | None,
    gap: int | str,
    seed: int,
) -> None:
    if isinstance(seed, bool) or int(seed) != seed or seed < 0:
        raise UsageError("The seed is a whole number, 0 or more", received=repr(seed), fix="use 0")
    if len(table) < MIN_ROWS:
        raise _too_few(len(table), "with a target")
    others = {
        "a number of folds": k is not None,
        "a group": bool(groups),
        "a time": time is not None,
        "stratify": bool(stratify),
        "a gap": gap not in (0, "0"),
    }
    if fold_column is not None and any(others.values()):
        raise UsageError(
            "A fold column decides the folds alone",
            received=f"the fold column {fold_column!r} together with "
            + " and ".join(name for name, given in others.items() if given),
            fix="leave out the fold column or the others",
        )
    if time is not None and stratify:
        raise UsageError(
            "A split by time cannot be stratified: the past decides what each fold holds",
            received=f"stratify together with time {time!r}",
            fix="leave out one of them",
        )
    if time is None and fold_column is None and others["a gap"]:
        raise UsageError(
            "A gap lies between earlier and later rows",
            received=f"a gap of {gap} without a time",
            fix=f"name a time column, or use time={FILE_ORDER!r} for the file's order",
        )
    if k is not None and test_rows is None and k > len(table):
        raise UsageError(
            "There are at most as many folds as training rows",
            received=f"{k:,} folds for a table of {len(table):,} rows",
            fix="use fewer folds, or `auto`",
        )
