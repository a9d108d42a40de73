"""Nested plans: for each outer fold, a plan over its training rows alone.

Nested cross-validation scores the whole procedure, selection included: the inner plan chooses, and
the outer validation rows, which are the inner plan's exam, score what was chosen (Varma & Simon 2006,
"Bias in error estimation when using cross-validation for model selection").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundfit.data.folds import Keys, make_auto_folds, make_folds
from soundfit.data.keys import group_codes, time_gap, time_key
from soundfit.data.table import Table
from soundfit.errors import UsageError
from soundfit.records import Fold, Plan
from soundfit.records.said import say

__all__ = ["nested"]


def nested(plan: Plan, table: Table, *, inner: int | str = "auto") -> tuple[Plan, ...]:
    """Return one inner plan per outer fold, of the same kind: groups and times are honoured.

    In an inner plan the test rows are the outer fold's validation rows, ``train`` are its training
    rows, and everything else (the sealed test rows too) is left out. Folds that the user gave stay as
    they are: the inner folds are the other outer folds.

    Args:
        plan: the outer plan.
        table: the table that it was made for.
        inner: folds of each inner plan; ``auto`` is at most 5.

    Raises:
        UsageError: fewer than 2 inner folds, or more than the rows, groups or times allow.
    """
    if inner != "auto" and (isinstance(inner, (str, bool)) or int(inner) < 2):
        raise UsageError(
            "Inner cross-validation needs at least 2 folds",
            received=repr(inner),
            fix="use 2 or more, or `auto`",
        )
    when = time_key(table, plan.time) if plan.time is not None else None
    keys = Keys(
        target=table.target,
        classes=table.task == "classification",
        stratify=when is None and plan.kind not in ("k-fold", "group"),
        group=group_codes(table, plan.group) if plan.group else None,
        time=when,
        gap=time_gap(plan.gap, when),
    )
    plans = []
    for number, outer in enumerate(plan.folds):
        outside = np.ones(plan.n_rows, dtype=bool)
        outside[outer.train] = False
        outside[outer.validation] = False
        if plan.kind == "given" and when is None and len(plan.folds) > 2:
            folds = _other_folds(plan, outer)
        else:
            k = None if inner == "auto" else int(inner)
            folds = _inner_folds(outer.train, k, keys, [plan.seed, 3, number], len(plan.folds))
        plans.append(
            Plan(
                kind=plan.kind,
                reason=(
                    f"Inner plan of outer fold {number + 1} of {len(plan.folds)}:"
                    f" {len(folds)} fold{'s' * (len(folds) != 1)} over {len(outer.train):,} rows;"
                    f" {len(outer.validation):,} rows score what is chosen on them."
                ),
                n_rows=plan.n_rows,
                test=outer.validation,
                folds=folds,
                seed=plan.seed,
                group=plan.group,
                time=plan.time,
                gap=plan.gap,
                left_out=np.flatnonzero(outside).astype(np.int64),
            )
        )
    return tuple(plans)


def _inner_folds(
    rows: NDArray[np.int64], k: int | None, keys: Keys, seed: list[int], n_outer: int
) -> tuple[Fold, ...]:
    try:
        if k is None:
            return make_auto_folds(rows, keys, seed, at_most=5)
        return make_folds(rows, k, keys, np.random.default_rng(seed))
    except UsageError as error:
        raise UsageError(
            say(
                "Nested cross-validation splits the training rows of each outer fold again ({rule})",
                rule=error.rule,
            ),
            received=say(
                "in outer fold {value} of {n_outer}: {received}",
                value=seed[-1] + 1,
                n_outer=n_outer,
                received=error.received,
            ),
            fix="use fewer inner or outer folds",
        ) from error


def _other_folds(plan: Plan, outer: Fold) -> tuple[Fold, ...]:
    return tuple(
        Fold(
            train=np.setdiff1d(outer.train, other.validation, assume_unique=True),
            validation=np.intersect1d(outer.train, other.validation, assume_unique=True),
        )
        for other in plan.folds
        if other is not outer
    )
