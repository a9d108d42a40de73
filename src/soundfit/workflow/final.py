"""The final model: trained members, averaged. Of the chosen configuration, or of a blend of several.

Fold members, or members trained again on all rows where that validates better. The out-of-fold predictions of
the fold members are what intervals and probabilities are calibrated by either way (docs/decisions.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from soundfit.artifact import AnyPredictor, Predictor, build_predictor
from soundfit.bank import Outcome
from soundfit.data.profile import profile_columns
from soundfit.data.target import TargetScale
from soundfit.records import Config, Member, StudyResult
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import StudyRun
from soundfit.study.evidence import ROOTS
from soundfit.study.optimism import as_if_unseen, optimism
from soundfit.study.prediction_interval import PredictionInterval, fit_interval
from soundfit.study.refit import Refit
from soundfit.study.retransform import mean_shift
from soundfit.study.temperature import fit_temperature
from soundfit.study.views import StudyViews, TableViews

__all__ = [
    "Speaking",
    "class_temperature",
    "final_predictor",
    "final_record",
    "members_of",
    "prediction_shift",
    "refit_record",
    "speaking_members",
    "value_interval",
]


def final_predictor(
    views: TableViews, study: StudyRun, blend: Blend | None = None, refit: Refit | None = None
) -> Predictor:
    """Average the members of the blend, with intervals or calibrated probabilities.

    Its fold members, or those of ``refit`` where that was chosen.
    """
    blend = blend or blend_study(views, study)
    read, members = views, members_of(views, study, blend)
    if refit is not None and refit.views is not None:
        read, members = refit.views, _refitted(refit)
    shift = prediction_shift(views, blend)
    scales = [_shifted(read.scales[m.fold], shift) for m in members] if read.scales else []
    interval = _interval(views, study, blend)
    return build_predictor(
        study.result.chosen_config,
        [m.outcome.module.state_dict() for m in members],
        [read.encoders[m.fold] for m in members],
        scales,
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        interval=None if interval is None else interval.around(shift),
        temperature=class_temperature(views, study.result, blend),
        configs=[m.config for m in members],
        weights=[m.weight for m in members],
        profile=profile_columns(views.table),
    )


def prediction_shift(views: StudyViews, blend: Blend) -> float:
    """Return what is added to the logarithms that a blend tells; 0 for other targets (see ``mean_shift``)."""
    if not views.scales or views.scales[0].transform == "identity":
        return 0.0
    return mean_shift(_unit(views).forward(views.target), blend.outputs)


def _shifted(scale: TargetScale, shift: float) -> TargetScale:
    """Return the scale whose predictions are ``shift`` larger before the logarithm is undone."""
    return replace(scale, mean=scale.mean + shift, low=scale.low + shift, high=scale.high + shift)


@dataclass(frozen=True)
class Speaking:
    """A member of the final model, the fold whose view it reads, and its share."""

    config: Config
    outcome: Outcome
    fold: int
    weight: float


def members_of(views: StudyViews, study: StudyRun, blend: Blend | None = None) -> list[Speaking]:
    """Return the fold members of a blend or of the chosen configuration; those of one have equal shares."""
    shares = {study.result.chosen: 1.0}
    if blend is not None:
        shares = dict(zip(blend.configurations, blend.weights, strict=True))
    members = []
    for configuration, weight in shares.items():
        config = study.result.configurations[configuration]
        speaking = speaking_members(views, study, configuration)
        members += [Speaking(config, o, m.fold, weight / len(speaking)) for m, o in speaking]
    return members


def _refitted(refit: Refit) -> list[Speaking]:
    return [Speaking(m.config, m.outcome, 0, m.weight) for m in refit.members]


def final_record(
    blend: Blend, study: StudyRun, predictor: AnyPredictor, refit: Refit | None = None, shift: float = 0.0
) -> dict[str, Any]:
    """Return ``final``: what the final model is made of, and what that is worth out of fold.

    ``mean_factor`` is by how much predictions are larger than the exponentials of what the members tell.
    """
    root = study.result.metric in ROOTS
    configs = study.result.configurations
    value, alone = (v**0.5 if root else v for v in (blend.loss, blend.loss_alone))
    kind = "blend" if not blend.alone else "refit" if refit is not None and refit.chosen else "fold-ensemble"
    return {
        "kind": kind,
        "members": len(predictor.modules),
        "configurations": [
            {"configuration": c, "model": configs[c].model, "weight": w}
            for c, w in zip(blend.configurations, blend.weights, strict=True)
        ],
        "value": value,
        "chosen_alone": alone,
        **({"mean_factor": round(math.exp(shift), 5)} if shift and type(predictor) is Predictor else {}),
    }


def refit_record(refit: Refit) -> dict[str, Any] | None:
    """Return ``refit``: how fold members and a refit compare one scale smaller, and which was chosen."""
    compared = refit.comparison
    if compared is None:
        return None
    return {
        "chosen": refit.chosen,
        "loss": compared.loss,
        "loss_folds": compared.loss_folds,
        "difference": compared.difference,
        "se": compared.se,
        "rows": compared.rows,
        "members": len(refit.members),
        "epochs": {str(c): epochs for c, epochs in refit.epochs},
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


def class_temperature(views: StudyViews, result: StudyResult, blend: Blend | None = None) -> float:
    """Return the temperature of the chosen configuration's or a blend's class probabilities.

    1 for regression, and where another does not help.
    """
    outputs = result.predictions if blend is None else blend.outputs
    if views.scales or outputs is None:
        return 1.0
    return fit_temperature(views.target, outputs, [f.validation for f in views.folds])


def value_interval(
    views: StudyViews, result: StudyResult, blend: Blend | None = None
) -> PredictionInterval | None:
    """Return the interval of the chosen configuration or of a blend, on the scale of training.

    None for classes.
    """
    if not views.scales or result.predictions is None:
        return None
    if blend is not None:
        return fit_interval(_unit(views).forward(views.target), blend.outputs)
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
