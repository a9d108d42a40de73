"""The final model: trained fold members, averaged. Those of the chosen configuration, or a blend of several.

No net is trained again on all rows (docs/decisions.md): the out-of-fold predictions of the fold members are
what intervals and probabilities are calibrated by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.artifact import AnyPredictor, Predictor, build_predictor
from soundfit.bank import Outcome
from soundfit.data.profile import profile_columns
from soundfit.data.target import TargetScale
from soundfit.records import Member, StudyResult
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import StudyRun
from soundfit.study.evidence import ROOTS
from soundfit.study.optimism import as_if_unseen, optimism
from soundfit.study.prediction_interval import PredictionInterval, fit_interval
from soundfit.study.temperature import fit_temperature
from soundfit.study.views import StudyViews, TableViews

__all__ = ["class_temperature", "final_predictor", "final_record", "speaking_members", "value_interval"]


def final_predictor(views: TableViews, study: StudyRun, blend: Blend | None = None) -> Predictor:
    """Average the fold members of the blend, with intervals or calibrated probabilities."""
    blend = blend or blend_study(views, study)
    members, weights = [], []
    for configuration, weight in zip(blend.configurations, blend.weights, strict=True):
        speaking = speaking_members(views, study, configuration)
        members += speaking
        weights += [weight / len(speaking)] * len(speaking)
    configs = study.result.configurations
    return build_predictor(
        study.result.chosen_config,
        [o.module.state_dict() for _, o in members],
        [views.encoders[m.fold] for m, _ in members],
        [views.scales[m.fold] for m, _ in members] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        interval=_interval(views, study, blend),
        temperature=_temperature(views, blend.outputs),
        configs=[configs[m.configuration] for m, _ in members],
        weights=weights,
        profile=profile_columns(views.table),
    )


def final_record(blend: Blend, study: StudyRun, predictor: AnyPredictor) -> dict[str, Any]:
    """Return ``final``: what the final model is made of, and what that is worth out of fold."""
    root = study.result.metric in ROOTS
    configs = study.result.configurations
    value, alone = (v**0.5 if root else v for v in (blend.loss, blend.loss_alone))
    return {
        "kind": "fold-ensemble" if blend.alone else "blend",
        "members": len(predictor.modules),
        "configurations": [
            {"configuration": c, "model": configs[c].model, "weight": w}
            for c, w in zip(blend.configurations, blend.weights, strict=True)
        ],
        "value": value,
        "chosen_alone": alone,
    }


def speaking_members(
    views: StudyViews, study: StudyRun, configuration: int | None = None
) -> list[tuple[Member, Outcome]]:
    """Return the members of a configuration (the chosen one if None) that join the final model.

    By time, early folds saw little: only folds that trained on at least half as many rows as the
    largest one speak.
    """
    mine = study.outcomes_of(study.result.chosen if configuration is None else configuration)
    largest = max(len(views.folds[m.fold].train) for m, _ in mine)
    return [(m, o) for m, o in mine if 2 * len(views.folds[m.fold].train) >= largest]


def class_temperature(views: StudyViews, result: StudyResult) -> float:
    """Return the temperature of class probabilities; 1 for regression, and where another does not help."""
    return 1.0 if result.predictions is None else _temperature(views, result.predictions)


def _temperature(views: StudyViews, outputs: NDArray[np.float64]) -> float:
    if views.scales:
        return 1.0
    return fit_temperature(views.target, outputs, [f.validation for f in views.folds])


def value_interval(views: StudyViews, result: StudyResult) -> PredictionInterval | None:
    """Return the interval of the chosen configuration on the scale of training; None for classes."""
    if not views.scales or result.predictions is None:
        return None
    return fit_interval(_unit(views).forward(views.target), _unit(views).forward(result.predictions))


def _interval(views: TableViews, study: StudyRun, blend: Blend) -> PredictionInterval | None:
    """Fit the interval to errors between those that validation shows and those of rows that chose nothing.

    The former are too small, for the rows chose each member's checkpoint; the latter too large, for they are
    those of single members, and the final model is the mean of many.
    """
    if not views.scales:
        return None
    ratio = sum(
        weight * optimism([outcome.trace for _, outcome in study.outcomes_of(c)])
        for c, weight in zip(blend.configurations, blend.weights, strict=True)
    )
    target = _unit(views).forward(views.target)
    return fit_interval(target, as_if_unseen(blend.outputs, target, ratio**0.5))


def _unit(views: StudyViews) -> TargetScale:
    """Return the scale of all folds together: the transform alone."""
    low, high = min(s.low for s in views.scales), max(s.high for s in views.scales)
    return replace(views.scales[0], mean=0.0, sd=1.0, low=low, high=high)
