"""Nested cross-validation: an unbiased score of the whole procedure, selection included.

Plain cross-validation reports the best of many scores on the rows that chose it, and so flatters. Here
each outer fold's validation rows are kept from everything: an inner cross-validation on the outer
training rows chooses a configuration, its members predict the outer validation rows. Source: Cawley &
Talbot 2010, "On over-fitting in model selection and subsequent selection bias", JMLR 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.artifact import AnyPredictor
from soundfit.artifact.on_device import on_device
from soundfit.data.nested import nested
from soundfit.data.table import Table
from soundfit.metrics.scores import Metric
from soundfit.records import Config, Plan, StudyResult
from soundfit.records.said import say
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.views import table_views
from soundfit.workflow.final import final_predictor
from soundfit.workflow.record import standard_error

__all__ = ["NestedScore", "nested_score", "nested_sentence"]


@dataclass(frozen=True)
class NestedScore:
    """Scores of the procedure on each outer fold, (K,), and which configuration each inner study chose."""

    scores_K: NDArray[np.float64]
    chosen_K: tuple[int, ...]

    def record(self, plain: float, *, greater_is_better: bool) -> dict[str, Any]:
        """Return the JSON form: value, SE, per fold, and the optimism of the plain score."""
        value = float(self.scores_K.mean())
        return {
            "value": value,
            "se": standard_error(self.scores_K),
            "per_fold": [float(s) for s in self.scores_K],
            "optimism": plain - value if greater_is_better else value - plain,
        }


def nested_score(
    table: Table,
    plan: Plan,
    configurations: Sequence[Config],
    *,
    metric: Metric,
    seed: int = 0,
    device: torch.device | None = None,
    hooks: Hooks | None = None,
    views_of: Callable[[Plan], Any] | None = None,
    predictor_of: Callable[[Any, StudyRun], AnyPredictor] = final_predictor,
    inputs: Callable[[NDArray[np.int64]], Any] | None = None,
) -> NestedScore:
    """Run the whole procedure once per outer fold of ``plan``; the sealed test rows stay sealed.

    Args:
        table: the table.
        plan: its folds are the outer ones; each inner plan is of the same kind.
        configurations: what each inner study tries.
        metric: what outer rows are scored by.
        seed: of the members.
        device: where to train.
        hooks: progress and interruption.
        views_of, predictor_of, inputs: of data other than a table, as in :class:`Material`.

    Raises:
        UsageError: an outer fold is too small to be split again.
    """
    scores, chosen = [], []
    for fold, inner in zip(plan.folds, nested(plan, table), strict=True):
        views = views_of(inner) if views_of is not None else table_views(table, inner)
        study = cross_validate_views(views, configurations, seeds=(seed,), device=device, hooks=hooks)
        predictor = predictor_of(views, study)
        rows = table.take(fold.validation)
        read = rows.frame if inputs is None else inputs(fold.validation)
        with on_device(predictor, device or torch.device("cpu")):
            scores.append(metric(rows.target, predictor.outputs(read)))
        chosen.append(study.result.chosen)
    return NestedScore(np.array(scores), tuple(chosen))


def nested_sentence(record: dict[str, Any], result: StudyResult) -> str:
    """Say what nested cross-validation found, beside the plain score."""
    plain = float(result.scores_CK[result.chosen].mean())
    spread = "" if record["se"] is None else say(" (SE {record:.2g})", record=record["se"])
    optimism = record["optimism"]
    tone = say("optimistic by") if optimism > 0 else say("no better than nested, by")
    return say(
        "Nested cross-validation, selection included: {metric} {record:.4g}{spread}; the plain score of "
        "{plain:.4g} is {tone} {optimism:.2g}.",
        metric=result.metric,
        record=record["value"],
        spread=spread,
        plain=plain,
        tone=tone,
        optimism=abs(optimism),
    )
