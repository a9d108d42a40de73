"""Regularisation: error along a path of weight decay, and over dropout, at one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from soundfit.records import StudyResult
from soundfit.records.said import say
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.curve import Curve, score_point
from soundfit.study.grid import base_configuration
from soundfit.study.views import TableViews

__all__ = ["DECAYS", "DROPOUTS", "regularization_study"]

DECAYS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)


def regularization_study(
    views: TableViews,
    *,
    width: int = 128,
    depth: int = 2,
    decays: Sequence[float] = DECAYS,
    dropouts: Sequence[float] = DROPOUTS,
    seeds: Sequence[int] = (0, 1),
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Curve:
    """Measure error over weight decay (without dropout) and over dropout (at a light decay).

    Args:
        views: of the table.
        width, depth: the size; depth 0 is the linear model, which has no dropout.
        decays: decoupled weight decay, per unit of learning rate.
        dropouts: rates.
        seeds: initialisations per fold; scores are means over them.
        device: where to train.
        hooks: with ``seconds_left``, what would not fit is left out.
    """
    n_train = int(np.median([len(f.train) for f in views.folds]))
    base = base_configuration(n_train, width=width, depth=depth)
    light = 0.03
    grid = [base.with_(weight_decay=d) for d in sorted(set(decays))]
    if depth:
        grid += [base.with_(weight_decay=light, dropout=p) for p in sorted({*dropouts} - {0.0})]
    result = cross_validate_views(views, grid, seeds=seeds, device=device, hooks=hooks).result
    points = [
        {
            "weight_decay": config.weight_decay,
            "dropout": config.dropout,
            **score_point(result.training_scores_CK[c], result.scores_CK[c]),
        }
        for c, config in enumerate(result.configurations)
        if np.isfinite(result.scores_CK[c]).all()
    ]
    return Curve(
        "regularization",
        result.metric,
        result.greater_is_better,
        tuple(points),
        _sentence(result),
        {"width": base.width, "depth": depth, "training_rows": n_train},
        result,
    )


def _sentence(result: StudyResult) -> str:
    sign = -1.0 if result.greater_is_better else 1.0
    mean_C = sign * result.scores_CK.mean(axis=1)
    best = int(np.nanargmin(mean_C))
    config = result.configurations[best]
    none = next(
        (i for i, c in enumerate(result.configurations) if c.weight_decay == 0 and c.dropout == 0), None
    )
    how = say("weight decay {decay:g}", decay=config.weight_decay)
    if config.dropout:
        how = say(
            "weight decay {decay:g} with dropout {dropout:g}",
            decay=config.weight_decay,
            dropout=config.dropout,
        )
    said = {"how": how, "metric": result.metric, "value": sign * float(mean_C[best])}
    if none == best:
        return say(
            "Validation is best at {how} ({metric} {value:.4g}); restraint does not help here.", **said
        )
    if none is None or not np.isfinite(mean_C[none]):
        return say("Validation is best at {how} ({metric} {value:.4g}).", **said)
    difference = sign * (result.scores_CK[none] - result.scores_CK[best])
    se = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else float("nan")
    share = float(difference.mean()) / abs(mean_C[best]) if mean_C[best] else 0.0
    sure = difference.mean() > 2 * se
    said |= {"share": 100 * share, "se": se}
    if sure:
        return say(
            "Validation is best at {how} ({metric} {value:.4g}): {share:.1f} % better than without (paired "
            "SE {se:.2g}), which is clear.",
            **said,
        )
    return say(
        "Validation is best at {how} ({metric} {value:.4g}): {share:.1f} % better than without (paired "
        "SE {se:.2g}), which may be chance.",
        **said,
    )
