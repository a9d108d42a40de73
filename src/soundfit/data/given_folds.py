"""Given folds: a plan from a column in which the user wrote the folds. Draws nothing."""

from __future__ import annotations

import numpy as np

from soundfit.data.exam_rows import exam_positions
from soundfit.data.keys import fold_labels
from soundfit.data.options import SplitOptions
from soundfit.data.table import Table
from soundfit.errors import UsageError
from soundfit.records import Fold, Plan
from soundfit.records.said import say

__all__ = ["given_folds"]


def given_folds(table: Table, name: str, options: SplitOptions) -> Plan:
    """Return the plan that the column ``name`` holds.

    Without rows marked ``test`` the last folds are sealed, whole, so that what the user kept together
    stays together.

    Raises:
        UsageError: the values are no folds, or leave no exam or fewer than two folds.
    """
    fold, test, holdout = fold_labels(table, name)
    if options.test_rows is not None:
        if test.any():
            raise UsageError(
                "The test rows are given once",
                received=say(
                    "test rows of their own, and {sum:,} rows marked test in {name!r}",
                    sum=int(test.sum()),
                    name=name,
                ),
                fix="leave one of them out",
            )
        test = np.zeros(len(table), dtype=bool)
        test[exam_positions(table, options.test_rows)] = True
    n_folds = int(fold.max()) + 1
    sealed = 0
    if not test.any() and not holdout:
        sealed = max(1, min(round(options.test * n_folds), n_folds - 2))
        test = fold >= n_folds - sealed
    exam = np.flatnonzero(test).astype(np.int64)
    present = np.unique(fold[~test & (fold >= 0)])
    if not len(exam) or len(present) < (1 if holdout else 2):
        raise UsageError(
            "A fold column names at least two folds besides the test rows",
            received=say(
                "{name!r}: {n_present} fold{plural}, {n_exam:,} test rows",
                name=name,
                n_present=len(present),
                plural="s" * (len(present) != 1),
                n_exam=len(exam),
            ),
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
    return Plan("given", reason, len(table), exam, made, options.seed)
