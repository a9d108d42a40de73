"""Options: what a split was asked to be, checked for contradictions before any row is touched.

Knows how many rows there are; knows no columns and no values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from numpy.typing import NDArray

from soundfit.data.keys import FILE_ORDER
from soundfit.errors import DataError, UsageError
from soundfit.records.said import say

__all__ = ["MIN_ROWS", "SplitOptions", "as_share", "number_or_word", "too_few_rows"]

MIN_ROWS = 5
MAX_TEST_SHARE = 0.9

TestRows = NDArray[Any] | Sequence[int]


def number_or_word(text: str) -> int | str:
    """Return a whole number where a text is one ("5" folds, a gap of "3"), else the text ("auto", "2d")."""
    return int(text) if text.lstrip("-").isdigit() else text


def as_share(text: str, *, rule: str, fix: str) -> float:
    """Return the fraction that ``--test`` names where it can name nothing else.

    Raises:
        UsageError: with this rule and fix, where it is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(rule, received=repr(text), fix=fix) from None


@dataclass(frozen=True)
class SplitOptions:
    """Arguments of :func:`soundfit.data.split.split`, checked.

    ``folds`` is None for ``auto`` and 1 for one holdout; ``group`` is a tuple; the rest as given.
    """

    folds: int | None
    test: float
    group: tuple[str, ...]
    time: str | None
    stratify: bool | None
    fold_column: str | None
    test_rows: TestRows | None
    gap: int | str
    seed: int

    @staticmethod
    def checked(
        n_rows: int,
        *,
        folds: int | str,
        test: float,
        group: str | Sequence[str],
        time: str | None,
        stratify: bool | None,
        fold_column: str | None,
        test_rows: TestRows | None,
        gap: int | str,
        seed: int,
    ) -> SplitOptions:
        """Return the options for a table of ``n_rows`` rows.

        Raises:
            UsageError: an option is out of range or contradicts another.
            DataError: the table has too few rows.
        """
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise UsageError("The seed is a whole number, 0 or more", received=repr(seed), fix="use 0")
        options = SplitOptions(
            folds=_fold_count(folds),
            test=_test_share(test) if test_rows is None else math.nan,
            group=(group,) if isinstance(group, str) else tuple(group),
            time=time,
            stratify=stratify,
            fold_column=fold_column,
            test_rows=test_rows,
            gap=gap,
            seed=int(seed),
        )
        if n_rows < MIN_ROWS:
            raise too_few_rows(n_rows, "with a target")
        _refuse_contradictions(options)
        if options.folds is not None and test_rows is None and options.folds > n_rows:
            raise UsageError(
                "There are at most as many folds as training rows",
                received=say(
                    "{folds:,} folds for a table of {n_rows:,} rows", folds=options.folds, n_rows=n_rows
                ),
                fix="use fewer folds, or `auto`",
            )
        return options


def _refuse_contradictions(options: SplitOptions) -> None:
    others = {
        "a number of folds": options.folds is not None,
        "a group": bool(options.group),
        "a time": options.time is not None,
        "stratify": bool(options.stratify),
        "a gap": options.gap not in (0, "0"),
    }
    if options.fold_column is not None and any(others.values()):
        raise UsageError(
            "A fold column decides the folds alone",
            received=say("the fold column {fold_column!r} together with ", fold_column=options.fold_column)
            + " and ".join(name for name, given in others.items() if given),
            fix="leave out the fold column or the others",
        )
    if options.time is not None and options.stratify:
        raise UsageError(
            "A split by time cannot be stratified: the past decides what each fold holds",
            received=say("stratify together with time {time!r}", time=options.time),
            fix="leave out one of them",
        )
    if options.time is None and others["a gap"]:
        raise UsageError(
            "A gap lies between earlier and later rows",
            received=say("a gap of {gap} without a time", gap=options.gap),
            fix=say(
                "name a time column, or use time={FILE_ORDER!r} for the file's order", FILE_ORDER=FILE_ORDER
            ),
        )


def _fold_count(folds: int | str) -> int | None:
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
            received=say("{k} fold{plural}", k=k, plural="s" * (k != 1)),
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
            say(
                "The test fraction is a number above 0 and below {MAX_TEST_SHARE}",
                MAX_TEST_SHARE=MAX_TEST_SHARE,
            ),
            received=repr(test),
            fix="use 0.2, a fifth of the rows",
        )
    return share


def too_few_rows(n_rows: int, where: str) -> DataError:
    """Return the refusal of a table that is too small to be split."""
    return DataError(
        say("A split needs at least {MIN_ROWS} rows: for the exam and for two folds", MIN_ROWS=MIN_ROWS),
        received=say(
            "{n_rows:,} row{plural} {where}", n_rows=n_rows, plural="s" * (n_rows != 1), where=where
        ).rstrip(),
        fix="collect more rows; a score from so few would say nothing",
    )
