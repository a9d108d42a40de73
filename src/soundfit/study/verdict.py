"""Verdict: what the scores of a study say about the fit, in a code, words and numbers.

Reads only a :class:`StudyResult` and the trivial baseline's scores; each threshold is a standard error
or a share stated beside it, and each line of evidence quotes the numbers that decided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Prescription, StudyResult, Verdict

__all__ = ["capacity_points", "reach_verdict"]

Array = NDArray[np.float64]

# A paired difference counts when it exceeds this many standard errors …
SURE = 2.0
# … and this share of the score: smaller ones are real but not worth acting on.
WORTH = 0.01


@dataclass(frozen=True)
class _Evidence:
    """The numbers a verdict is reached from (errors: smaller is better, whatever the metric)."""

    training: float
    validation: float
    se: float
    trivial: float
    gain: float
    gain_se: float
    linear: float | None
    chosen_size: int
    points: list[dict[str, float]]
    failed: int
    rolled_back: int
    members: int
    at_limit: float


def capacity_points(result: StudyResult) -> list[dict[str, float]]:
    """Return the best validation score at each number of parameters, with its training score and SE."""
    sign = -1.0 if result.greater_is_better else 1.0
    points = []
    sizes = np.array(result.parameters)
    for size in sorted(set(result.parameters)):
        same = np.flatnonzero(sizes == size)
        means = sign * result.scores_CK[same].mean(axis=1)
        if not np.isfinite(means).any():
            continue
        best = int(same[np.nanargmin(means)])
        config = result.configurations[best]
        scores = result.scores_CK[best]
        points.append(
            {
                "parameters": int(size),
                "width": config.width,
                "depth": config.depth,
                "training": float(result.training_scores_CK[best].mean()),
                "validation": float(scores.mean()),
                "se": _standard_error(scores),
                "configuration": best,
            }
        )
    return points


def reach_verdict(result: StudyResult, trivial_K: Array) -> Verdict:
    """Return the verdict on the chosen configuration.

    Args:
        result: of cross-validation.
        trivial_K: the trivial baseline's score on each fold, in the result's metric.
    """
    e = _collect(result, trivial_K)
    lines = _numbers(result, e)
    for rule in (_unstable, _no_signal, _underfitting, _overfitting, _noise_limited):
        verdict = rule(result, e, lines)
        if verdict is not None:
            return verdict
    return Verdict(
        "good-fit",
        "Good fit: validation error is lowest at this capacity; smaller models do worse and larger ones "
        "no better.",
        (*lines, _curve_line(result, e)),
        (Prescription("More rows would help most now: the model is as large as this data supports."),),
        confidence=0.8,
    )


def _collect(result: StudyResult, trivial_K: Array) -> _Evidence:
    sign = -1.0 if result.greater_is_better else 1.0
    chosen = result.chosen
    validation_K = sign * result.scores_CK[chosen]
    gain_K = sign * trivial_K - validation_K
    linear = [
        float((sign * result.scores_CK[i]).mean())
        for i, c in enumerate(result.configurations)
        if c.model == "linear" or c.depth == 0
    ]
    mine = [m for m in result.members if m.member.configuration == chosen]
    return _Evidence(
        float(sign * result.training_scores_CK[chosen].mean()),
        float(validation_K.mean()),
        _standard_error(validation_K),
        float(sign * trivial_K.mean()),
        float(gain_K.mean()),
        _standard_error(gain_K),
        min(linear) if linear else None,
        result.parameters[chosen],
        capacity_points(result),
        sum(m.status == "failed" for m in result.members),
        sum(any(e.kind == "rollback" for e in m.trace.events) for m in result.members),
        len(result.members),
        float(np.mean([m.best_epoch >= 0.95 * m.member.config.epochs for m in mine])),
    )


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _numbers(result: StudyResult, e: _Evidence) -> tuple[str, ...]:
    name = result.metric
    gap = e.validation - e.training
    lines = [
        f"training {name} {abs(e.training):.4g}, validation {name} {abs(e.validation):.4g} "
        f"(SE {e.se:.2g}), gap {gap:.3g} ({_percent(gap, e.validation)} of the validation error)",
        f"trivial baseline {abs(e.trivial):.4g}: the model is better by {e.gain:.4g}, SE {e.gain_se:.2g}",
    ]
    if e.linear is not None:
        lines.append(f"best linear model {abs(e.linear):.4g}")
    return tuple(lines)


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / abs(whole):.0f} %" if whole else "undefined"


def _curve_line(result: StudyResult, e: _Evidence) -> str:
    curve = ", ".join(f"{p['parameters']:,}: {p['validation']:.4g}" for p in e.points)
    return f"best validation {result.metric} by number of parameters: {curve}"


def _unstable(result: StudyResult, e: _Evidence, lines: tuple[str, ...]) -> Verdict | None:
    if e.failed + e.rolled_back <= 0.25 * e.members:
        return None
    return Verdict(
        "unstable",
        f"Unstable: {e.rolled_back} of {e.members} members went non-finite and were rolled back, "
        f"{e.failed} for good.",
        lines,
        (
            Prescription("Lower the learning rate; clip the gradient."),
            Prescription("Look for infinities and extreme values in the inputs and in the target."),
        ),
        confidence=0.9,
    )


def _no_signal(result: StudyResult, e: _Evidence, lines: tuple[str, ...]) -> Verdict | None:
    """No better than the trivial baseline: not learning, or nothing to learn."""
    better = e.gain > SURE * e.gain_se and e.gain > WORTH * abs(e.trivial)
    if better:
        return None
    sign = -1.0 if result.greater_is_better else 1.0
    fits = float(np.nanmin((sign * result.training_scores_CK).mean(axis=1)))
    if fits < 0.8 * e.trivial:
        return Verdict(
            "noise-limited",
            "Noise-limited: models can fit the training rows, but nothing they learn holds on validation "
            "rows; these columns do not predict the target beyond its trivial baseline.",
            (*lines, f"lowest training error of all configurations {fits:.4g}"),
            (
                Prescription("Look for columns that bear on the target; more capacity cannot help."),
                Prescription("Check that rows and targets are matched (not shuffled against each other)."),
            ),
            confidence=0.8,
        )
    return Verdict(
        "not-learning",
        "Not learning: neither training nor validation error is better than the trivial baseline.",
        (*lines, f"lowest training error of all configurations {fits:.4g}"),
        (
            Prescription("Check the target column and that the features bear on it."),
            Prescription("Train longer or with a larger learning rate."),
        ),
        confidence=0.7,
    )


def _underfitting(result: StudyResult, e: _Evidence, lines: tuple[str, ...]) -> Verdict | None:
    """The validation curve still falls at the largest capacity, or training was cut short."""
    if e.at_limit > 0.5 and len(e.points) > 1 and (e.validation - e.training) < 0.1 * abs(e.validation):
        return Verdict(
            "underfitting",
            "Underfitting: validation error was still falling when training ended.",
            (*lines, f"{100 * e.at_limit:.0f} % of the chosen members had their best epoch at the very end"),
            (Prescription("Train for more epochs or with a larger learning rate."),),
            confidence=0.7,
        )
    if len(e.points) < 3 or result.chosen != e.points[-1]["configuration"]:
        return None
    last, before = e.points[-1], e.points[-2]
    sign = -1.0 if result.greater_is_better else 1.0
    step_K = sign * (
        result.scores_CK[int(before["configuration"])] - result.scores_CK[int(last["configuration"])]
    )
    step, se = float(step_K.mean()), _standard_error(step_K)
    if step <= SURE * se or step <= WORTH * abs(e.validation):
        return None
    return Verdict(
        "underfitting",
        "Underfitting: the largest model tried is best and validation error still falls with capacity.",
        (*lines, _curve_line(result, e), f"last step of the curve {step:.3g} (paired SE {se:.2g})"),
        (Prescription("Try wider or deeper models, or more training epochs."),),
        confidence=0.8,
    )


def _overfitting(result: StudyResult, e: _Evidence, lines: tuple[str, ...]) -> Verdict | None:
    """A wide gap while the most restrained model tried is the best one."""
    if len(e.points) < 2 or e.training >= 0.5 * e.validation or e.validation <= 0:
        return None
    smallest = e.chosen_size == e.points[0]["parameters"]
    restrained = [
        (c.weight_decay, c.dropout)
        for c, p in zip(result.configurations, result.parameters, strict=True)
        if p == e.chosen_size
    ]
    config = result.chosen_config
    strongest = len(set(restrained)) > 1 and (config.weight_decay, config.dropout) == max(restrained)
    if not (smallest or strongest):
        return None
    return Verdict(
        "overfitting",
        "Overfitting: training error is less than half the validation error, and the most restrained "
        "configuration tried is the best, so stronger restraint may do better still.",
        (*lines, _curve_line(result, e)),
        (
            Prescription("Stronger weight decay and dropout, or a smaller model."),
            Prescription("More training rows; fewer or better features."),
        ),
        confidence=0.7,
    )


def _noise_limited(result: StudyResult, e: _Evidence, lines: tuple[str, ...]) -> Verdict | None:
    """Training and validation error meet, and more capacity moves neither."""
    if len(e.points) < 3:
        return None
    gap = e.validation - e.training
    larger = [p for p in e.points if p["parameters"] > e.chosen_size]
    sign = -1.0 if result.greater_is_better else 1.0
    plateau = all(sign * p["validation"] >= e.validation - SURE * max(e.se, 1e-12) for p in larger)
    if not larger or not plateau or gap > 0.1 * abs(e.validation):
        return None
    return Verdict(
        "noise-limited",
        "Noise-limited: training and validation error agree and larger models are no better, so what is "
        "left is noise, or information that these columns do not hold.",
        (*lines, _curve_line(result, e)),
        (Prescription("Better features or cleaner targets; neither capacity nor rows help much."),),
        confidence=0.7,
    )
