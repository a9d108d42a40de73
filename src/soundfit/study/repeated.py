"""Repeated cross-validation: the same configurations on several shuffles of the folds.

One split into folds is itself chance. Repeats show how much of it: the interval uses the corrected
resampled variance (Nadeau & Bengio 2003), since the folds of all repeats share rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.model_selection import KFold, StratifiedKFold

from soundfit.data.table import Table
from soundfit.records import Config, Fold, Plan
from soundfit.records.said import say
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.curve import Curve
from soundfit.study.grid import default_configurations
from soundfit.study.views import table_views

__all__ = ["corrected_interval", "repeat_folds", "repeated_study"]

Array = NDArray[np.float64]


def repeat_folds(table: Table, plan: Plan, repeats: int) -> Plan:
    """Return the plan with its folds drawn ``repeats`` times in all; test rows stay sealed.

    Only plans whose folds are shuffled rows can be drawn again: groups, times and given folds keep
    their one set.
    """
    if repeats < 2 or plan.kind not in ("k-fold", "stratified") or len(plan.folds) < 2:
        return plan
    rows, k = plan.train, len(plan.folds)
    folds = list(plan.folds)
    for r in range(1, repeats):
        kind = StratifiedKFold if table.task == "classification" and plan.kind == "stratified" else KFold
        splitter = kind(k, shuffle=True, random_state=plan.seed * 1_000 + r)
        codes = table.target[rows] if kind is StratifiedKFold else None
        folds += [Fold(rows[a], rows[b]) for a, b in splitter.split(rows, codes)]
    return replace(plan, folds=tuple(folds))


def repeated_study(
    table: Table,
    plan: Plan,
    *,
    repeats: int = 3,
    configurations: Sequence[Config] | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Curve:
    """Cross-validate a few configurations on repeated folds.

    Args:
        table, plan: what to study; test rows stay sealed.
        repeats: times that the folds are drawn.
        configurations: a linear model and three sizes of net if None.
        seed: of initialisation.
        device: where to train.
        hooks: with ``seconds_left``, what would not fit is left out.
    """
    k = len(plan.folds)
    views = table_views(table, repeat_folds(table, plan, repeats))
    n_train = int(np.median([len(f.train) for f in views.folds]))
    tried = configurations or _few(n_train, views.numeric)
    result = cross_validate_views(views, tried, seeds=(seed,), device=device, hooks=hooks).result
    overlap = float(np.mean([len(f.validation) / len(f.train) for f in views.folds]))
    points: list[dict[str, Any]] = []
    for c, config in enumerate(result.configurations):
        scores = result.scores_CK[c]
        if not np.isfinite(scores).all():
            continue
        low, high, se = corrected_interval(scores, overlap)
        points.append(
            {
                "model": config.model,
                "width": config.width,
                "depth": config.depth,
                "weight_decay": config.weight_decay,
                "dropout": config.dropout,
                "training": float(result.training_scores_CK[c].mean()),
                "validation": float(scores.mean()),
                "se": se,
                "low": low,
                "high": high,
                "by_repeat": [float(v) for v in scores.reshape(-1, k).mean(axis=1)],
                "chosen": c == result.chosen,
            }
        )
    n_repeats = len(views.folds) // k
    chosen = next(p for p in points if p["chosen"])
    between = float(np.std(chosen["by_repeat"], ddof=1)) if n_repeats > 1 else None
    sentence = say(
        "The chosen {model} has {metric} {value:.4g} over {n} × {k} folds (95 % interval {low:.4g} to "
        "{high:.4g}).",
        model=chosen["model"],
        metric=result.metric,
        value=chosen["validation"],
        n=n_repeats,
        k=k,
        low=chosen["low"],
        high=chosen["high"],
    )
    if between is not None:
        sentence += say(
            " Drawing the folds anew moves its score by {between:.2g} (standard deviation).", between=between
        )
    elif repeats > 1:
        sentence += say(
            " Folds of kind {kind} cannot be drawn anew, so there is one set of them.", kind=plan.kind
        )
    return Curve(
        "cv",
        result.metric,
        result.greater_is_better,
        tuple(points),
        sentence,
        {"folds": k, "repeats": n_repeats, "between_repeats": between, "rule": result.rule},
        result,
    )


def corrected_interval(scores: Array, overlap: float, *, level: float = 0.95) -> tuple[float, float, float]:
    """Return low, high and SE of a mean over folds, with variance · (1/J + n_validation/n_training)."""
    j = len(scores)
    mean = float(scores.mean())
    if j < 2:
        return mean, mean, float("nan")
    se = float(np.sqrt(scores.var(ddof=1) * (1.0 / j + overlap)))
    reach = float(student.ppf(0.5 + level / 2, j - 1)) * se
    return mean - reach, mean + reach, se


def _few(n_train: int, numeric: Sequence[int]) -> list[Config]:
    """Return the default configurations of light restraint, one of each size."""
    seen: dict[tuple[object, ...], Config] = {}
    for c in default_configurations(n_train, numeric=numeric):
        seen.setdefault((c.model, c.width, c.depth), c)
    return list(seen.values())
