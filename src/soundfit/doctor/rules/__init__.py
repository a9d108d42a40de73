"""The rulebook: from a Trace to diagnoses, worst first. Reads only Traces."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable

from soundfit.doctor.case import Case
from soundfit.doctor.rules import (
    batches,
    data,
    demands,
    descent,
    fit,
    inputs,
    loss,
    modes,
    network,
    numbers,
    optimiser,
    rate,
    sequences,
    settings,
    start,
)
from soundfit.doctor.rules.rate import unusual_rate
from soundfit.records import Diagnosis, Trace
from soundfit.records.said import say

__all__ = ["RULES", "diagnose", "is_healthy"]

Rule = Callable[[Case], list[Diagnosis]]

RULES: tuple[Rule, ...] = (
    *loss.rules, *demands.rules, *descent.rules, *numbers.rules, *optimiser.rules, *rate.rules, *inputs.rules, *data.rules, *batches.rules, *start.rules, *network.rules, *modes.rules, *fit.rules,
    *sequences.rules, *settings.rules,
)  # fmt: skip

# A cause on the left explains the signs on the right: they stay, with less confidence.
_EXPLAINS: dict[str, tuple[str, ...]] = {
    "output-activation": ("loss-mismatch", "dead-relu", "saturation", "vanishing-gradient", "lr-too-low", "too-few-epochs", "bad-init"),
    "loss-mismatch": ("lr-too-low", "too-few-epochs", "bad-init", "output-activation", "class-imbalance"),
    "loss-reduction": ("lr-too-high", "exploding-gradient", "dead-relu", "nonfinite"),
    "shape-broadcast": ("lr-too-low", "too-few-epochs", "capacity-too-small", "loss-mismatch", "dead-relu", "labels-damaged", "batch-size", "bad-init"),
    "gradient-ascent": ("nonfinite", "exploding-gradient", "lr-too-high", "dead-relu", "saturation", "lr-too-low"),
    "optimizer-params": ("lr-too-low", "too-few-epochs", "missing-step", "bad-init", "capacity-too-small"),
    "missing-step": ("optimizer-params", "too-few-epochs", "lr-too-low", "missing-zero-grad"),
    "missing-zero-grad": ("lr-too-high", "exploding-gradient", "nonfinite", "dead-relu", "too-few-epochs"),
    "lr-too-high": ("dead-relu", "saturation", "exploding-gradient", "nonfinite", "bad-init"),
    "input-scale": ("saturation", "dead-relu", "nonfinite", "exploding-gradient", "too-few-epochs"),
    "target-scale": ("exploding-gradient", "nonfinite"),
    "bad-init": ("dead-relu", "saturation", "vanishing-gradient", "exploding-gradient", "nonfinite", "depth-without-residual"),
    "missing-nonlinearity": ("capacity-too-small",),
    "vanishing-gradient": ("capacity-too-small", "lr-too-low", "too-few-epochs"),
    "nonfinite": ("dead-relu", "exploding-gradient", "lr-too-high", "input-scale"),
    "half-precision-overflow": ("nonfinite", "exploding-gradient", "lr-too-high"),
    "batchnorm": ("train-eval-mode", "capacity-too-small"),
    "augmentation": ("labels-damaged", "lr-too-low", "too-few-epochs", "capacity-too-small", "inputs-constant"),
    "labels-damaged": ("class-imbalance", "lr-too-low", "loss-mismatch", "inputs-constant"),
    "schedule": ("lr-too-low", "too-few-epochs"),
}  # fmt: skip
_RANK = {"error": 0, "warning": 1, "note": 2}


def diagnose(trace: Trace) -> list[Diagnosis]:
    """Return the diagnoses of a Trace, worst first, each code once."""
    case = Case(trace)
    found: dict[str, Diagnosis] = {}
    for rule in RULES:
        for one in rule(case):
            if one.code not in found or one.confidence > found[one.code].confidence:
                found[one.code] = one
    made = _explained(list(found.values()))
    if case.sick and not any(d.severity != "note" for d in made):
        made.append(_unnamed(case))
    if any(d.severity != "note" for d in made):  # what is wrong is no limit of the rows
        made = [d for d in made if d.code != "noise-limited" or d.severity != "note"]
    return sorted(made, key=lambda d: (_RANK[d.severity], -d.confidence))


def is_healthy(diagnoses: list[Diagnosis]) -> bool:
    """Return whether nothing but notes was found."""
    return all(d.severity == "note" for d in diagnoses)


def _explained(found: list[Diagnosis]) -> list[Diagnosis]:
    """Lower the confidence of what a surer cause explains; drop what falls below a fifth."""
    out = []
    for one in found:
        sure = one.confidence
        for other in found:
            if (
                other is not one
                and one.code in _EXPLAINS.get(other.code, ())
                and other.confidence >= one.confidence
            ):
                sure = min(sure, one.confidence * 0.6)
        if sure >= 0.2 or one.severity == "note":
            out.append(_with(one, sure))
    return out


def _with(one: Diagnosis, confidence: float) -> Diagnosis:
    return Diagnosis(one.code, one.severity, one.cause, confidence, one.where, one.evidence, one.prescription)


def _unnamed(case: Case) -> Diagnosis:
    """Return the least unlikely cause where no rule is sure: the one whose change helped a replay most."""
    codes = {
        "scale-inputs": "input-scale", "rate-down-10": "lr-too-high", "rate-down-100": "lr-too-high",
        "rate-up-10": "lr-too-low", "rate-up-100": "lr-too-low", "fresh": "bad-init", "longer": "too-few-epochs",
        "sound-loss": "loss-mismatch", "scale-targets": "target-scale", "no-decay": "over-regularised",
        "no-dropout": "over-regularised", "flat-rate": "schedule", "small-batch": "batch-size", "large-batch": "batch-size",
        "train-mode": "train-eval-mode", "all-parameters": "optimizer-params", "clip": "exploding-gradient",
    }  # fmt: skip
    known = [k for k in codes if case[f"replays.{k}.held_out"] is not None]
    if case.ordinary_inputs:  # what helps then is another start, not another scale
        known = [k for k in known if k != "scale-inputs"]
    best = max(known, key=case.cure, default=None)
    if best is None or case.cure(best) < 0.2:
        if (odd := unusual_rate(case)) is not None:
            return odd
        text = say(
            "Trained soundly on the same rows, a small model does far better; no single change was found that cures this one."
        )
        return case.diagnose("capacity-too-small" if case.architecture_limits else "lr-too-low", "learns less than is possible", 0.2, text,
                             severity="warning")  # fmt: skip
    return case.diagnose(
        codes[best],
        say("a replay with '{best}' learns far better", best=best),
        0.3,
        say("Try this change: {best}.", best=best),
        cured=case.cure(best),
    )
