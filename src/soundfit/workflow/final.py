"""The final model: the chosen configuration's fold members, averaged."""

from __future__ import annotations

from soundfit.artifact import Predictor, build_predictor
from soundfit.study.cross_validation import StudyRun
from soundfit.study.views import TableViews

__all__ = ["final_predictor"]


def final_predictor(views: TableViews, study: StudyRun) -> Predictor:
    """Average the chosen configuration's fold members.

    By time, early folds saw little: only folds that trained on at least half as many rows as the
    largest one speak.
    """
    chosen = study.chosen_outcomes()
    largest = max(len(views.folds[m.fold].train) for m, _ in chosen)
    speaking = [(m, o) for m, o in chosen if 2 * len(views.folds[m.fold].train) >= largest]
    return build_predictor(
        study.result.chosen_config,
        [o.module.state_dict() for _, o in speaking],
        [views.encoders[m.fold] for m, _ in speaking],
        [views.scales[m.fold] for m, _ in speaking] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
    )
