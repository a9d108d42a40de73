"""Split: from a table to a plan: sealed test rows, folds, and why.

Knows nothing of models, of the audit or of the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from soundfit.data.exam_rows import draw_exam, given_exam
from soundfit.data.folds import Keys, make_auto_folds, make_folds
from soundfit.data.given_folds import given_folds
from soundfit.data.keys import group_codes, time_gap, time_key
from soundfit.data.nested import nested
from soundfit.data.options import SplitOptions, TestRows
from soundfit.data.reason import plan_reason
from soundfit.data.table import Table
from soundfit.records import Plan

__all__ = ["nested", "split", "split_frame"]


def split(
    table: Table,
    *,
    folds: int | str = "auto",
    test: float = 0.2,
    group: str | Sequence[str] = (),
    time: str | None = None,
    stratify: bool | None = None,
    fold_column: str | None = None,
    test_rows: TestRows | None = None,
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
    options = SplitOptions.checked(
        len(table),
        folds=folds,
        test=test,
        group=group,
        time=time,
        stratify=stratify,
        fold_column=fold_column,
        test_rows=test_rows,
        gap=gap,
        seed=seed,
    )
    if fold_column is not None:
        return given_folds(table, fold_column, options)
    return _drawn_folds(table, options)


def _drawn_folds(table: Table, options: SplitOptions) -> Plan:
    when = time_key(table, options.time) if options.time is not None else None
    keys = Keys(
        target=table.target,
        classes=table.task == "classification",
        stratify=_stratifies(table, options),
        group=group_codes(table, options.group) if options.group else None,
        time=when,
        gap=time_gap(options.gap, when),
    )
    given = options.test_rows is not None
    if options.test_rows is not None:
        exam, left_out = given_exam(table, keys, options.test_rows)
    else:
        exam, left_out = draw_exam(table, keys, options.test, np.random.default_rng([options.seed, 1]))
    plan = Plan(
        kind="given",
        reason="",
        n_rows=len(table),
        test=exam,
        folds=(),
        seed=options.seed,
        group=options.group,
        time=options.time,
        gap=options.gap,
        left_out=left_out,
    )
    if options.folds is None:
        folds = make_auto_folds(plan.train, keys, [options.seed, 2])
    else:
        folds = make_folds(plan.train, options.folds, keys, np.random.default_rng([options.seed, 2]))
    plan = replace(plan, kind="given" if given else _kind(keys, len(folds)), folds=folds)
    return replace(plan, reason=plan_reason(table, plan, keys, auto=options.folds is None, given=given))


def _stratifies(table: Table, options: SplitOptions) -> bool:
    if options.time is not None:
        return False
    if options.stratify is not None:
        return options.stratify
    return table.task == "classification" or not options.group


def _kind(keys: Keys, k: int) -> str:
    if keys.time is not None:
        return "time" if keys.group is None else "group-time"
    if keys.group is not None:
        return "stratified-group" if keys.stratify else "group"
    if k == 1:
        return "holdout"
    return "stratified" if keys.stratify else "k-fold"


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
