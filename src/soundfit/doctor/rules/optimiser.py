"""Causes at the optimiser: coverage, zero_grad, step. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

import numpy as np

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_after, added_before, changed, swap_name
from soundfit.records import Diagnosis, Severity
from soundfit.records.said import say

__all__ = ["rules"]


def coverage(case: Case) -> list[Diagnosis]:
    """The optimiser holds none, or not enough, of the parameters of the model that is trained."""
    o = case["optimiser"]
    if not o or not o.get("known") or not o.get("total"):
        return []
    place = o["place"]
    patch = changed(place, swap_name(r"\((?:[^,]*parameters\(\)|\[[^\]]*\])", "(model.parameters()"))
    strange = not o.get("taught")  # gradients reach layers that a model hides in a list as well
    if o["stale"] and o["steps"] and strange:
        fix = say(
            "Build the optimiser after the model has its final parameters, from the model that is trained."
        )
        return [
            case.diagnose(
                "optimizer-params",
                "the optimiser steps parameters of another model than the one trained",
                0.99,
                fix,
                place=place,
                patch=patch,
                change={"include": True},
                inside=o["inside"],
                total=o["total"],
            )
        ]
    if o.get("replaced"):
        fix = say(
            "The optimiser holds the layer that was there before: build it after {names} got its place in the model.",
            names=", ".join(o["replaced"][:4]),
        )
        return [
            case.diagnose("optimizer-params", "a layer was replaced after the optimiser had taken its parameters", 0.95, fix,
                          place=place, change={"include": True}, forgotten=o["replaced"])
        ]  # fmt: skip
    # What learned in an earlier phase is no part of the model any more, or frozen.
    lost = o["forgotten"] and case.sick
    if o["steps"] and o["inside"] == 0 and (strange or lost):
        fix = say("Hand the optimiser the parameters that are to learn; set requires_grad=True on them.")
        return [
            case.diagnose(
                "optimizer-params",
                "no trainable parameter of the model is in the optimiser",
                0.97,
                fix,
                place=place,
                patch=patch,
                change={"include": True},
                frozen=o["frozen"][:6],
            )
        ]
    if case["hidden"] and not case["by_hand"]:
        fix = say("{names} get gradients and are no parameters of the model, so no optimiser steps them: .float(), .to() and arithmetic after nn.Parameter(...) give a plain tensor. Convert first, and wrap what comes out in nn.Parameter.", names=", ".join(case["hidden"][:4]))  # fmt: skip
        return [
            case.diagnose("optimizer-params", "weights of the model are plain tensors, which nothing steps", 0.95, fix,
                          place=case["hidden_place"], change={"include": True}, forgotten=case["hidden"][:4])
        ]  # fmt: skip
    if case["unregistered"] and (case.sick or not case.judged or case["unregistered_taught"]):
        kind, where = next(iter(case["unregistered"].items()))
        fix = say(
            "A plain list or dict hides its {kind} layers from model.parameters(): use nn.ModuleList, nn.ModuleDict or nn.Sequential.",
            kind=kind,
        )
        return [
            case.diagnose(
                "optimizer-params",
                "layers the model calls are not registered as its parts, so they never learn",
                0.95,
                fix,
                place=where,
                patch=changed(where, swap_name(r"=\s*\[(.*)\]", r"= nn.ModuleList([\1])")),
                change={"include": True, "foreign": True},
            )
        ]
    cured = case.cure("all-parameters")
    missing = o["forgotten_elements"] / o["total"]
    # Most parameters get gradients for nothing, and a replay that steps them does better: half the usual gap will do.
    nearly = missing > 0.3 and cured > 0.4 and case.gap > 0.5 * case.tolerance
    replays = case["replays"] or {}
    held = [replays[name]["held_out"] for name in ("all-parameters", "same") if name in replays]
    better = len(held) == 2 and held[0] - held[1] > max(0.02, 2.5 * case.number("reference.se", 0.02))
    nearly |= missing > 0.3 and (better or case.gained("all-parameters", 0.02) is not None)
    if not (case.sick or nearly):
        return []
    out = []
    if o["forgotten"] and (cured > 0.4 or missing > 0.3):
        fix = say(
            "These parameters get gradients but no step: {names}. Hand all of model.parameters() to the optimiser.",
            names=", ".join(o["forgotten"][:4]),
        )
        out.append(
            case.diagnose(
                "optimizer-params",
                "the optimiser was not given all parameters",
                0.7 + 0.25 * min(1, max(cured, 0)),
                fix,
                place=place,
                patch=patch,
                change={"include": True},
                forgotten=o["forgotten"][:8],
                cured=cured,
            )
        )
    # Where training them too was tried and brought nothing, they are frozen on purpose.
    tried = case["replays.all-parameters.held_out"] is not None
    if o["frozen"] and (
        cured > 0.4 or (o["frozen_elements"] > 0.9 * o["total"] and not (tried and cured < 0.1))
    ):
        fix = say(
            "Frozen parameters keep the model from learning: set requires_grad=True on {names}.",
            names=", ".join(o["frozen"][:4]),
        )
        out.append(
            case.diagnose(
                "optimizer-params",
                "layers that must learn are frozen",
                0.6 + 0.3 * min(1, max(cured, 0)),
                fix,
                place=place,
                change={"include": True, "unfreeze": True},
                frozen=o["frozen"][:8],
                cured=cured,
            )
        )
    return out


def arrival(case: Case) -> list[Diagnosis]:
    """Gradients that are cleared before the step, or that never reach the parameters."""
    steps, moved = case.number("steps", 0), case.number("weights.moved", math.nan)
    at, after = case.trace.series.get("gradients_at_step"), case.trace.series.get("gradients_after_backward")
    o, arrived = case["optimiser"] or {}, float(np.nanmean(at)) if at is not None else 1.0
    untaught, left_out = o.get("untaught"), o.get("left_out")
    if untaught and (moved != 0.0 or arrived != 0.0):
        return [_untaught(case, untaught)]
    if left_out and steps >= 20 and o["unreached_elements"] < o["inside"]:
        return [_left_out(case, left_out)]
    if case["constant_term"] and o.get("unreached"):
        return [_constant_term(case, case["constant_term"])]
    if steps < 3 or case["together"]:
        return []
    made = float(np.nanmean(after)) if after is not None else math.nan
    if moved == 0.0 and arrived == 0.0 and o.get("inside", 0) > 0:
        if made > 0.5:
            fix = say(
                "zero_grad() clears the gradients between backward() and step(), so that steps do nothing: call it before backward()."
            )
            place = case["places.backward"]
            return [
                case.diagnose("missing-step", "gradients are cleared before the optimiser steps: no weight moved", 0.97, fix, place=place,
                              patch=added_before(place, "optimizer.zero_grad()  # here, not between backward() and step()"),
                              change={"keep_gradients": True, "zero_grad": True}, steps=steps)
            ]  # fmt: skip
        if o.get("unreached_elements", o["inside"]) < o["inside"]:
            return []  # gradients arrive and are zero: the loss is constant
        fix = say(
            "The loss is cut off from the parameters (detach(), .item(), .data, torch.tensor(…), no_grad): compute it from the model's output itself."
        )
        return [
            case.diagnose("optimizer-params", "no gradient ever reaches the parameters: no weight moved", 0.97, fix,
                          place=case["places.backward"], change={"connected": "all"}, steps=steps)
        ]  # fmt: skip
    cut = o.get("unreached_elements", 0)
    # A copy that a straight map through as few numbers betters, while weights that it hangs on get no gradient.
    worse = (
        case["task.kind"] == "copy" and case["behaviour.cut_off"] and case.got < case.number("linear_copy")
    )
    if (case.sick or worse) and cut > 0.02 * max(o.get("total", 1), 1) and arrived > 0:
        names = ", ".join(o["unreached"][:4])
        fix = say(
            "These parameters never get a gradient: {names}. What they make is detached (detach(), .data, no_grad, numpy) or not used.",
            names=names,
        )
        return [
            case.diagnose("optimizer-params", "a part of the model never gets a gradient", 0.85, fix, place=case["places.model"],
                          change={"connected": "inside"}, unreached=o["unreached"][:8])
        ]  # fmt: skip
    return []


def _untaught(case: Case, found: dict[str, Any]) -> Diagnosis:
    fix = say("None of this optimiser's parameters ever has a gradient at its steps, so that {steps} steps changed nothing: what its loss is made of is detached (detach(), .data, no_grad, numpy), or the loss of another part is asked for its gradient.", steps=found["steps"])  # fmt: skip
    return case.diagnose("optimizer-params", "an optimiser steps on parameters that never get a gradient", 0.95, fix, place=found["place"],
                         change={"connected": "all"}, steps=found["steps"], parameters=found["parameters"])  # fmt: skip


def _left_out(case: Case, names: list[str]) -> Diagnosis:
    fix = say("A loss on what {names} makes is computed, and its gradient is never asked for: it is overwritten or left out of the sum. Add the losses up (loss += one, not loss =+ one) before backward().", names=", ".join(names[:4]))  # fmt: skip
    return case.diagnose("optimizer-params", "a loss is computed and never taken backward: its part of the model learns nothing", 0.95, fix,
                         place=case["places.backward"], change={"all_losses": True}, left_out=names[:8])  # fmt: skip


def _constant_term(case: Case, found: dict[str, Any]) -> Diagnosis:
    names = ", ".join(case["optimiser.unreached"][:4])
    fix = say("This loss is added to the sum that goes backward and hangs on no parameter: what it judges was detached (detach(), .data, no_grad, numpy). {names} never get a gradient. Hand it the output itself.", names=names)  # fmt: skip
    return case.diagnose("optimizer-params", "a loss counts in the sum and has no gradient: its part of the model learns nothing", 0.95, fix,
                         place=found["place"], change={"connected": "all"}, loss=found["loss"], weight=found["weight"])  # fmt: skip


def zero_grad(case: Case) -> list[Diagnosis]:
    """Gradients of earlier steps are still there when a new backward pass begins."""
    if case["hand_steps.piled_up"]:
        return _piled_up_by_hand(case)
    kept = [n for n in case.trace.series if n.startswith("old_gradients_")]
    if not kept or case.number("steps") < 3:
        return []
    seen = sum(int(np.nansum(case.trace.series[n])) for n in kept)
    watched = max(1, int(np.isfinite(case.trace.series.get("gradient_norm", np.zeros(1))).sum()))
    # Optimisers that all step after one backward pass share a loss; models that play in turns have passes of their own.
    several = max(round(case.number("stepped", 1)), 1)
    shared = several > 1 and abs(several * case.number("backwards", 0) - case.number("steps")) <= 2 * several
    watched = max(1, round(watched / several)) if shared else watched
    if (
        seen < 0.6 * (watched - 1)
        or seen < 2
        or (case["together"] and not shared)
        or case["optimiser.handmade"]
    ):
        return []
    place = case["places.backward"]
    fix = say("Clear gradients before each backward pass: optimizer.zero_grad().")
    severity: Severity = "error" if case.sick or not case.judged else "warning"
    return [
        case.diagnose(
            "missing-zero-grad",
            "gradients pile up: zero_grad is never called between steps",
            0.95 if severity == "error" else 0.8,
            fix,
            severity=severity,
            place=place,
            patch=added_before(place, "optimizer.zero_grad()"),
            change={"zero_grad": True},
            steps_with_old_gradients=seen,
        )
    ]


def _piled_up_by_hand(case: Case) -> list[Diagnosis]:
    """Weights are updated by hand, and each update takes the gradients of all earlier ones once more."""
    place = case["places.backward"]
    fix = say(
        "backward() adds to what is in .grad: clear it after each update, p.grad = None or p.grad.zero_()."
    )
    return [
        case.diagnose("missing-zero-grad", "gradients pile up: nothing clears them between updates by hand", 0.95, fix,
                      place=place, patch=added_before(place, "for p in parameters: p.grad = None"), change={"zero_grad": True})
    ]  # fmt: skip


def step(case: Case) -> list[Diagnosis]:
    """Backward passes without any optimiser step, and weights that never move."""
    if case["hand_steps.moved"] is False and case["weights"] is None and case.number("backwards", 0) >= 10:
        place = case["places.backward"]
        fix = say("The update reaches no weight: p = p - lr * p.grad gives a new tensor to the name p alone. Update in place under torch.no_grad(): p -= lr * p.grad.")  # fmt: skip
        return [
            case.diagnose("missing-step", "gradients are computed and no weight moves", 0.97, fix, place=place,
                          backwards=case.number("backwards"))
        ]  # fmt: skip
    idle = case["idle"]
    if idle and case.number("steps", 0) >= 20 and not case.fine:
        fix = say("Each backward pass gives gradients to what this {optimiser} holds, and it never steps: call its step() beside the other's.", optimiser=idle["class"])  # fmt: skip
        place = case["places.backward"]
        return [
            case.diagnose("missing-step", "one of the optimisers never steps", 0.93, fix, place=idle["place"],
                          patch=added_after(place, "other_optimizer.step()  # this one as well"), change={"step": True},
                          parameters=idle["elements"])
        ]  # fmt: skip
    if case.number("backwards", 0) < 3 or case["weights"] is None:
        return []
    steps, moved = case.number("steps", 0), case.number("weights.moved", math.nan)
    if steps == 0 and moved == 0.0 and case["weights.gradients_finite"] is False:
        return [_skipped(case)]
    if (steps == 0 or case["by_hand"]) and moved == 0.0:
        place = case["places.backward"]
        fix = say("Call optimizer.step() after each backward pass.")
        return [
            case.diagnose(
                "missing-step",
                say(
                    "{backwards:.0f} backward passes, no optimiser step, no weight moved",
                    backwards=case.number("backwards"),
                ),
                0.99,
                fix,
                place=place,
                patch=added_after(place, "optimizer.step()"),
                change={"step": True},
            )
        ]
    if case.number("backwards") >= 10 * max(steps, 1) and steps * 50 < case.number("backwards") and case.sick:
        place = case["optimiser.place"]
        fix = say("Step after each batch, not once in many: optimizer.step() belongs inside the batch loop.")
        return [
            case.diagnose(
                "missing-step",
                say(
                    "{steps:.0f} optimiser steps for {backwards:.0f} backward passes",
                    steps=steps,
                    backwards=case.number("backwards"),
                ),
                0.8,
                fix,
                place=place,
                change={"step": True},
            )
        ]
    return []


def _skipped(case: Case) -> Diagnosis:
    """No gradient was ever finite, and the script steps on finite ones alone."""
    factor, operations = case.number("custom.factor", 1.0), case["custom.structure.operations"] or []
    cause = say("{backwards:.0f} backward passes, all skipped: their gradients are not finite", backwards=case.number("backwards"))  # fmt: skip
    fix = say("Gradients overflow, so that each step is skipped: lower the factor on the loss ({factor:g}) until they are finite, as torch.amp.GradScaler does, or compute in float32 or bfloat16.", factor=factor)  # fmt: skip
    half = "ToCopy" in operations or factor >= 1024.0
    return case.diagnose("half-precision-overflow" if half else "nonfinite", cause, 0.95, fix, place=case["places.backward"],
                         change={"float": True}, factor=factor)  # fmt: skip


rules = (coverage, arrival, zero_grad, step)
