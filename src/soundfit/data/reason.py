"""Reason: the sentence that says why rows were split as they were, with the numbers.

Knows a finished plan and what it was split by; decides nothing.
"""

from __future__ import annotations

import numpy as np

from soundfit.data.folds import AUTO_HOLDOUT_ROWS, AUTO_TEN_FOLDS_ROWS, Keys
from soundfit.data.keys import FILE_ORDER
from soundfit.data.table import Table
from soundfit.records import Plan

__all__ = ["plan_reason"]


def plan_reason(table: Table, plan: Plan, keys: Keys, *, auto: bool, given: bool) -> str:
    """Return the reason for the kind of split, the number of folds and the test rows."""
    return " ".join(
        part
        for part in (_test(plan, keys, given), _folds(table, plan, keys, auto), _caveats(table, plan, keys))
        if part
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _names(names: tuple[str, ...]) -> str:
    return " and ".join(repr(name) for name in names)


def _test(plan: Plan, keys: Keys, given: bool) -> str:
    n_test = _count(len(plan.test), "row")
    share = f"{len(plan.test) / plan.n_rows:.0%}"
    if given:
        return f"{n_test} ({share} of all) given as test rows are sealed for the exam."
    if keys.time is not None:
        return f"The latest {n_test} ({share}) by {_clock(plan)} are sealed for the exam."
    if keys.group is not None:
        n_groups = len(np.unique(keys.group[plan.test]))
        all_groups = len(np.unique(keys.group))
        return (
            f"{_count(n_groups, 'whole group')} of {all_groups:,} by {_names(plan.group)} ({n_test}, {share})"
            " are sealed for the exam."
        )
    shares = ", with the class shares of the whole," if keys.stratify and keys.classes else ""
    return f"{n_test} ({share}) drawn at random{shares} are sealed for the exam."


def _clock(plan: Plan) -> str:
    return "file order" if plan.time == FILE_ORDER else repr(plan.time)


def _folds(table: Table, plan: Plan, keys: Keys, auto: bool) -> str:
    k, n = len(plan.folds), len(plan.train)
    why = f" ({_auto_rule(k, n, keys)})" if auto else ""
    how = {
        (False, False): "at random",
        (True, False): f"with whole groups by {_names(plan.group)} on one side",
        (
            False,
            True,
        ): f"forward in time by {_clock(plan)}: each fold trains only on rows before those it validates",
        (
            True,
            True,
        ): f"forward in time by {_clock(plan)} and with whole groups by {_names(plan.group)} on one side",
    }[keys.group is not None, keys.time is not None]
    if keys.stratify:
        shares = "the class shares" if keys.classes else "the target's distribution (quantile bins)"
        how += f", keeping {shares} in each"
    if k == 1:
        held = len(plan.folds[0].validation)
        return f"Of the {_count(n, 'row')} left, {held:,} are one holdout for validation{why}, taken {how}."
    return f"The {_count(n, 'row')} left are dealt into {k} folds{why} {how}."


def _auto_rule(k: int, n: int, keys: Keys) -> str:
    if k == 1 and n >= AUTO_HOLDOUT_ROWS:
        return f"auto: {AUTO_HOLDOUT_ROWS:,} training rows or more need no more than one"
    if k == 10:
        return f"auto: fewer than {AUTO_TEN_FOLDS_ROWS:,} training rows"
    if k == 5 and keys.time is not None:
        return "auto: by time"
    if k == 5 and AUTO_TEN_FOLDS_ROWS <= n < AUTO_HOLDOUT_ROWS:
        return f"auto: between {AUTO_TEN_FOLDS_ROWS:,} and {AUTO_HOLDOUT_ROWS:,} training rows"
    if keys.time is not None:
        return "auto: as many as the different times allow"
    if keys.group is not None:
        return "auto: as few as the groups are" if k < 5 else "auto: the groups are few"
    return "auto: as many as the rows allow"


def _caveats(table: Table, plan: Plan, keys: Keys) -> str:
    parts = []
    k = len(plan.folds)
    if keys.classes and keys.stratify and k > 1:
        count = np.bincount(table.target[plan.train].astype(np.int64), minlength=len(table.classes))
        rare = [f"{table.classes[c]!s} ({count[c]:,})" for c in np.flatnonzero(count < k)]
        if rare:
            shown = ", ".join(rare[:5]) + (", …" if len(rare) > 5 else "")
            parts.append(f"Classes with fewer rows than folds are spread as far as they go: {shown}.")
    if keys.time is not None and keys.gap:
        unit = "" if not isinstance(keys.gap, int) else (" time" if keys.gap == 1 else " times")
        parts.append(f"A gap of {keys.gap}{unit} is left out before later rows.")
    if len(plan.left_out):
        why = "the gap" if keys.group is None else "groups on both sides of the cut"
        parts.append(f"{_count(len(plan.left_out), 'row')} at the cut before the exam left out: {why}.")
    if keys.time is not None and k > 1:
        validated = sum(len(fold.validation) for fold in plan.folds)
        parts.append(f"{_count(len(plan.train) - validated, 'row')} at the start are only trained on.")
    return " ".join(parts)
