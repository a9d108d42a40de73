"""The final model: the chosen configuration's fold members, averaged."""

from __future__ import annotations

from dataclasses import replace

from soundfit.artifact import Predictor, build_predictor
from soundfit.bank import Outcome
from soundfit.records import Member, StudyResult
from soundfit.study.cross_validation import StudyRun
from soundfit.study.prediction_interval import PredictionInterval, fit_interval
from soundfit.study.temperature import fit_temperature
from soundfit.study.views import StudyViews, TableViews

__all__ = ["class_temperature", "final_predictor", "speaking_members"]


def final_predictor(views: TableViews, study: StudyRun) -> Predictor:
    """Average the chosen configuration's fold members, with intervals or calibrated probabilities."""
    speaking = speaking_members(views, study)
    return build_predictor(
        study.result.chosen_config,
        [o.module.state_dict() for _, o in speaking],
        [views.encoders[m.fold] for m, _ in speaking],
        [views.scales[m.fold] for m, _ in speaking] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        interval=_interval(views, study.result),
        temperature=class_temperature(views, study.result),
    )


def speaking_members(views: StudyViews, study: StudyRun) -> list[tuple[Member, Outcome]]:
    """Return the members of the final model: the chosen configuration's.

    By time, early folds saw little: only folds that trained on at least half as many rows as the
    largest one speak.
    """
    chosen = study.chosen_outcomes()
    largest = max(len(views.folds[m.fold].train) for m, _ in chosen)
    return [(m, o) for m, o in chosen if 2 * len(views.folds[m.fold].train) >= largest]


def _interval(views: TableViews, result: StudyResult) -> PredictionInterval | None:
    if not views.scales or result.predictions is None:
        return None
    lowest = min(s.low for s in views.scales)
    unit = replace(views.scales[0], mean=0.0, sd=1.0, low=lowest, high=max(s.high for s in views.scales))
    return fit_interval(unit.forward(views.target), unit.forward(result.predictions))


def class_temperature(views: StudyViews, result: StudyResult) -> float:
    """Return the temperature of class probabilities; 1 for regression, and where another does not help."""
    if views.scales or result.predictions is None:
        return 1.0
    return fit_temperature(views.target, result.predictions, [f.validation for f in views.folds])
