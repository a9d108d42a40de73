"""Learned: errors of members along their training, as several lessons read them off a study."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from soundfit.metrics.scores import metric_named
from soundfit.records import MemberResult, StudyResult
from soundfit.study.views import softmax

__all__ = ["accuracy_on", "error_at_the_end", "errors_at_the_end", "training_errors_at_the_end"]


def accuracy_on(module: nn.Module, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows (N, …) that a classifier is right on; NaN where its outputs are not finite."""
    with torch.no_grad():
        outputs = module(torch.as_tensor(inputs, dtype=torch.float32)).double().numpy()
    if not np.isfinite(outputs).all():
        return float("nan")
    return metric_named("accuracy")(labels, softmax(outputs))


def errors_at_the_end(result: StudyResult) -> list[float]:
    """Return each configuration's validation error after its last epoch, in the target's unit.

    Reported scores are those of the best checkpoint; this is what training without early stopping gives.
    """
    return _means(result, "validation_loss")


def training_errors_at_the_end(result: StudyResult) -> list[float]:
    """Return each configuration's training error after its last epoch, in the target's unit."""
    return _means(result, "training_loss")


def _means(result: StudyResult, series: str) -> list[float]:
    errors: list[list[float]] = [[] for _ in result.configurations]
    for found in result.members:
        errors[found.member.configuration].append(error_at_the_end(found, series))
    return [float(np.mean(values)) for values in errors]


def error_at_the_end(found: MemberResult, series: str = "validation_loss") -> float:
    """Return a member's root mean squared error after its last epoch, in the target's unit."""
    losses = np.asarray(found.trace.series[series])
    known = losses[np.isfinite(losses)]
    if not len(known) or not found.validation_loss > 0:
        return float("nan")
    # A root mean square is in proportion to the root of the loss that it was measured by.
    return float(found.validation_score * (known[-1] / found.validation_loss) ** 0.5)
