"""Reason: the sentence that says why rows were split as they were, with the numbers.

Knows a finished plan and what it was split by; decides nothing.
"""

from __future__ import annotations

import numpy as np

from soundfit.data.folds import AUTO_HOLDOUT_ROWS, AUTO_TEN_FOLDS_ROWS, Keys
from soundfit.data.keys import FILE_ORDER
from soundfit.data.table import Table
from soundfit.records import Plan
from soundfit.records.said import joined, say

__all__ = ["plan_reason"]


def plan_reason(table: Table, plan: Plan, keys: Keys, *, auto: bool, given: bool) -> str:
    """Return the reason for the kind of split, the number of folds and the test rows."""
    parts = (_test(plan, keys, given), _folds(table, plan, keys, auto), _caveats(table, plan, keys))
    return joined(" ", [part for part in parts if part])


def _count(n: int, noun: str) -> str:
    return say("{n:,} {noun}", n=n, noun=noun) if n == 1 else say("{n:,} {noun}s", n=n, noun=noun)


def _names(names: tuple[str, ...]) -> str:
    return joined(say(" and "), (repr(name) for name in names))


def _test(plan: Plan, keys: Keys, given: bool) -> str:
    n_test = _count(len(plan.test), say("row"))
    share = say("{n_test:.0%}", n_test=len(plan.test) / plan.n_rows)
    if given:
        return say(
            "{n_test} ({share} of all) given as test rows are sealed for the exam.",
            n_test=n_test,
            share=share,
        )
    if keys.time is not None:
        return say(
            "The latest {n_test} ({share}) by {clock} are sealed for the exam.",
            n_test=n_test,
            share=share,
            clock=_clock(plan),
        )
    if keys.group is not None:
        n_groups = len(np.unique(keys.group[plan.test]))
        all_groups = len(np.unique(keys.group))
        return say(
            "{count} of {all_groups:,} by {names} ({n_test}, {share}) are sealed for the exam.",
            count=_count(n_groups, say("whole group")),
            all_groups=all_groups,
            names=_names(plan.group),
            n_test=n_test,
            share=share,
        )
    shares = say(", with the class shares of the whole,") if keys.stratify and keys.classes else ""
    return say(
        "{n_test} ({share}) drawn at random{shares} are sealed for the exam.",
        n_test=n_test,
        share=share,
        shares=shares,
    )


def _clock(plan: Plan) -> str:
    return say("file order") if plan.time == FILE_ORDER else repr(plan.time)


def _folds(table: Table, plan: Plan, keys: Keys, auto: bool) -> str:
    k, n = len(plan.folds), len(plan.train)
    why = say(" ({auto_rule})", auto_rule=_auto_rule(k, n, keys)) if auto else ""
    how = {
        (False, False): say("at random"),
        (True, False): say("with whole groups by {names} on one side", names=_names(plan.group)),
        (
            False,
            True,
        ): say(
            "forward in time by {clock}: each fold trains only on rows before those it validates",
            clock=_clock(plan),
        ),
        (
            True,
            True,
        ): say(
            "forward in time by {clock} and with whole groups by {names} on one side",
            clock=_clock(plan),
            names=_names(plan.group),
        ),
    }[keys.group is not None, keys.time is not None]
    if keys.stratify:
        shares = say("the class shares") if keys.classes else say("the target's distribution (quantile bins)")
        how += say(", keeping {shares} in each", shares=shares)
    if k == 1:
        held = len(plan.folds[0].validation)
        return say(
            "Of the {count} left, {held:,} are one holdout for validation{why}, taken {how}.",
            count=_count(n, say("row")),
            held=held,
            why=why,
            how=how,
        )
    return say(
        "The {count} left are dealt into {k} folds{why} {how}.",
        count=_count(n, say("row")),
        k=k,
        why=why,
        how=how,
    )


def _auto_rule(k: int, n: int, keys: Keys) -> str:
    if k == 1 and n >= AUTO_HOLDOUT_ROWS:
        return say(
            "auto: {auto_holdout_rows:,} training rows or more need no more than one",
            auto_holdout_rows=AUTO_HOLDOUT_ROWS,
        )
    if k == 10:
        return say(
            "auto: fewer than {auto_ten_folds_rows:,} training rows", auto_ten_folds_rows=AUTO_TEN_FOLDS_ROWS
        )
    if k == 5 and keys.time is not None:
        return say("auto: by time")
    if k == 5 and AUTO_TEN_FOLDS_ROWS <= n < AUTO_HOLDOUT_ROWS:
        return say(
            "auto: between {auto_ten_folds_rows:,} and {auto_holdout_rows:,} training rows",
            auto_ten_folds_rows=AUTO_TEN_FOLDS_ROWS,
            auto_holdout_rows=AUTO_HOLDOUT_ROWS,
        )
    if keys.time is not None:
        return say("auto: as many as the different times allow")
    if keys.group is not None:
        return say("auto: as few as the groups are") if k < 5 else say("auto: the groups are few")
    return say("auto: as many as the rows allow")


def _caveats(table: Table, plan: Plan, keys: Keys) -> str:
    parts = []
    k = len(plan.folds)
    if keys.classes and keys.stratify and k > 1:
        count = np.bincount(table.target[plan.train].astype(np.int64), minlength=len(table.classes))
        rare = [
            say("{classes!s} ({count:,})", classes=table.classes[c], count=count[c])
            for c in np.flatnonzero(count < k)
        ]
        if rare:
            shown = joined(", ", rare[:5]) + (say(", …") if len(rare) > 5 else "")
            parts.append(
                say("Classes with fewer rows than folds are spread as far as they go: {shown}.", shown=shown)
            )
    if keys.time is not None and keys.gap:
        unit = "" if not isinstance(keys.gap, int) else (say(" time") if keys.gap == 1 else say(" times"))
        parts.append(say("A gap of {gap}{unit} is left out before later rows.", gap=keys.gap, unit=unit))
    if len(plan.left_out):
        why = say("the gap") if keys.group is None else say("groups on both sides of the cut")
        parts.append(
            say(
                "{count} at the cut before the exam left out: {why}.",
                count=_count(len(plan.left_out), say("row")),
                why=why,
            )
        )
    if keys.time is not None and k > 1:
        validated = sum(len(fold.validation) for fold in plan.folds)
        parts.append(
            say(
                "{count} at the start are only trained on.",
                count=_count(len(plan.train) - validated, say("row")),
            )
        )
    return joined(" ", parts)
