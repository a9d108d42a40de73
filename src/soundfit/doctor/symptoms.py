"""Signs on a Trace: what is out of the ordinary, before anyone says why. Reads only a Trace."""

# ruff: noqa: E501

from __future__ import annotations

import math

import numpy as np

from soundfit.doctor.case import Case
from soundfit.records import Place, Symptom, Trace

__all__ = ["symptoms"]


def symptoms(trace: Trace) -> list[Symptom]:
    """Return the signs found, strongest first."""
    case = Case(trace)
    found = [*_loss(case), *_gradients(case), *_units(case), *_score(case)]
    return sorted(found, key=lambda s: -s.strength)


def _loss(case: Case) -> list[Symptom]:
    out = []
    event = case.event("nonfinite")
    if event is not None:
        out.append(Symptom("loss-nonfinite", 1.0, event.message, Place(step=event.step), dict(event.detail)))
    first, last = case.smooth(0.0), case.smooth(1.0)
    if math.isfinite(first) and math.isfinite(last) and len(case.loss) >= 5:
        scale = abs(first) + 1e-12
        if abs(last - first) < 0.01 * scale:
            out.append(
                Symptom(
                    "loss-flat", 0.7, f"loss stayed at {last:.4g}", evidence={"first": first, "last": last}
                )
            )
        if last > first + 0.5 * scale:
            message = f"loss rose from {first:.4g} to {last:.4g}"
            out.append(Symptom("loss-rising", 0.9, message, evidence={"first": first, "last": last}))
        tail = case.loss[len(case.loss) // 2 :]
        tail = tail[np.isfinite(tail)]
        if len(tail) > 8 and float(tail.std()) > abs(first) + 1e-9:
            message = "loss jumps by more than its first value"
            out.append(Symptom("loss-oscillating", 0.8, message, evidence={"spread": float(tail.std())}))
        middle = case.smooth(0.6)
        if math.isfinite(middle) and first > last and (middle - last) > 0.15 * (first - last) + 1e-12:
            out.append(Symptom("loss-still-falling", 0.4, "loss was still falling at the end"))
    return out


def gradient_profile(trace: Trace) -> list[tuple[str, float]]:
    """Return layers with the median of their first gradient sizes (root mean square), in order of the model."""
    out = []
    for layer, series in trace.layers.items():
        if "gradient_rms" in series:
            values = np.asarray(series["gradient_rms"])
            values = values[np.isfinite(values)][:4]
            if len(values):
                out.append((layer, float(np.median(values))))
    return out


def _gradients(case: Case) -> list[Symptom]:
    out = []
    profile = gradient_profile(case.trace)
    if len(profile) >= 3:
        first, last = profile[0][1], profile[-1][1]
        if last > 0 and first < 1e-4 * last:
            message = f"gradient of {profile[0][0]} is {first:.2g}, of {profile[-1][0]} {last:.2g}"
            evidence = {"first": first, "last": last}
            out.append(Symptom("gradients-vanish", 0.8, message, Place(profile[0][0]), evidence))
    norms = np.asarray(case.trace.series.get("gradient_norm", np.zeros(0)))
    norms = norms[np.isfinite(norms)]
    if len(norms) and float(norms.max()) > 1e3:
        message = f"gradient norm reached {norms.max():.3g}"
        out.append(Symptom("gradients-large", 0.6, message, evidence={"largest": float(norms.max())}))
    ratio = case.early("update_ratio", 20)
    if ratio < 1e-6:
        out.append(Symptom("updates-small", 0.6, f"a step changes weights by a share of {ratio:.2g}"))
    if ratio > 0.5:
        out.append(Symptom("updates-large", 0.6, f"a step changes weights by a share of {ratio:.2g}"))
    return out


def _units(case: Case) -> list[Symptom]:
    out = []
    for i, unit in enumerate((case["units"] or {}).get("last", [])):
        if unit.get("dead", 0.0) > 0.5:
            evidence = {"dead": unit["dead"], "units": unit["units"], "position": i}
            out.append(
                Symptom(
                    "dead-units",
                    unit["dead"],
                    f"{unit['dead']:.0%} of ReLU units never fire",
                    evidence=evidence,
                )
            )
        if unit.get("saturated", 0.0) > 0.5:
            evidence = {"saturated": unit["saturated"], "kind": unit["kind"], "position": i}
            message = f"{unit['saturated']:.0%} of {unit['kind']} units sit at an end"
            out.append(Symptom("saturated-units", unit["saturated"], message, evidence=evidence))
    spread = case.number("outputs.std")
    target = case.number("target.std", 1.0)
    if case["task.kind"] == "regression" and spread < 0.02 * target:
        out.append(Symptom("constant-output", 0.8, "the model predicts (nearly) the same for every row"))
    if case["task.classification"] and spread < 1e-4:
        out.append(Symptom("constant-output", 0.8, "the model predicts (nearly) the same for every row"))
    return out


def _score(case: Case) -> list[Symptom]:
    if not case.judged:
        return []
    if case.sick:
        room = max(case.possible - case.constant, 1e-6)
        message = f"score {case.got:.3f} where {case.possible:.3f} is possible"
        evidence = {"score": case.got, "possible": case.possible, "tolerance": case.tolerance}
        return [Symptom("shortfall", min(1.0, case.gap / room), message, evidence=evidence)]
    return []
