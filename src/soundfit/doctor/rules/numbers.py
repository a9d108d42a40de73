"""Causes of numbers that are not finite: the first operation and why. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_before, changed, swap_name
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def nonfinite(case: Case) -> list[Diagnosis]:
    """The loss became NaN or infinite: bad input, a risky operation, overflow in half precision."""
    event = case.event("nonfinite")
    gradient = case.event("nonfinite-gradient")
    if event is None and gradient is None:
        return []
    if not case.nonfinite and event is None:
        return []
    detail = dict(event.detail) if event is not None else {}
    step = event.step if event is not None else gradient.step
    place = case["loss.place"] or case["places.backward"]
    if detail.get("inputs_finite") is False:
        fix = say("Inputs hold NaN or infinite values: impute or drop them before training.")
        return [
            case.diagnose(
                "nonfinite",
                "inputs are not finite",
                0.97,
                fix,
                place=case["places.model"],
                step=step,
                operation=say("input"),
                patch=added_before(case["places.model"], "x = torch.nan_to_num(x)"),
                change={"nan_to_num": True},
            )
        ]
    if detail.get("targets_finite") is False:
        return []
    operation = detail.get("operation")
    if detail.get("half"):
        place = (operation or {}).get("place") or place
        fix = say(
            "float16 ends at 65504: use autocast with GradScaler, or bfloat16, and keep loss and normalisation in float32."
        )
        return [
            case.diagnose(
                "half-precision-overflow",
                "a value overflowed in half precision",
                0.9,
                fix,
                place=place,
                step=step,
                change={"float": True},
            )
        ]
    risky = case["risky"] or {}
    if operation is not None and not operation.get("grew"):
        where = operation.get("place") or risky.get(operation["operation"]) or place
        name = operation["operation"]
        safe = {
            "log": say("torch.log(x.clamp_min(1e-8)), or the loss that works on logits"),
            "sqrt": "torch.sqrt(x + 1e-8)",
            "div": say("a denominator + 1e-8"),
        }.get(name, say("a bounded argument"))
        patch = (
            changed(where, swap_name(r"torch\.log\(([^()]+)\)", r"torch.log(\1 + 1e-8)"))
            if name == "log"
            else changed(where, swap_name(r"torch\.sqrt\(([^()]+)\)", r"torch.sqrt(\1 + 1e-8)"))
        )
        fix = say("Against that ({why}): use {safe}.", why=operation["why"], safe=safe)
        return [
            case.diagnose(
                "nonfinite",
                say("{why} made the loss non-finite", why=operation["why"]),
                0.95,
                fix,
                place=where,
                step=step,
                patch=patch,
                change={"guard": name},
                operation=name,
            )
        ]
    first = step <= 3
    steep = case["custom.steep"]
    if steep is not None and detail.get("largest_output", 0.0) < 1e6:
        fix = say("The slope of {name} is infinite at its end, which some rows reach: add a small constant to its argument, or clamp it.", name=steep)  # fmt: skip
        where = risky.get(steep) or place
        return [
            case.diagnose("nonfinite", say("the gradient of {name} is not finite", name=steep), 0.96, fix, place=where, step=step,
                          patch=changed(where, swap_name(r"torch\.sqrt\(([^()]+)\)", r"torch.sqrt(\1 + 1e-12)")),
                          change={"guard": steep}, operation=steep)
        ]  # fmt: skip
    for name in ("sqrt", "norm", "div", "log", "acos", "pow"):
        grew = (
            case.smooth(max(0.0, min(1.0, (step - 2) / max(len(case.loss), 1))))
            > 5 * abs(case.smooth(0.0)) + 1e-9
        )
        # Without a score no replay can tell; there the first steps say nothing, for a wild rate breaks them too.
        alone = not case.judged and not first and name in ("sqrt", "norm", "acos", "pow")
        if (
            name in risky
            and (first or not grew)
            and detail.get("largest_output", 0.0) < 1e6
            and (case.cure("same") > 0.5 or alone)
        ):
            fix = say(
                "The slope of {name} is infinite at its end: add a small constant to its argument.", name=name
            )
            return [
                case.diagnose(
                    "nonfinite",
                    say("the gradient of {name} is not finite", name=name),
                    0.8,
                    fix,
                    place=risky[name],
                    step=step,
                    change={"guard": name},
                    operation=name,
                )
            ]
    fix = say("Numbers grew until they overflowed: lower the learning rate, scale inputs, or clip gradients.")
    sure = 0.3 if case.sick else 0.5
    return [
        case.diagnose(
            "nonfinite",
            "numbers grew until they overflowed",
            sure,
            fix,
            place=place,
            step=step,
            change={"clip": 1.0},
            operation=say("growth"),
            largest_output=detail.get("largest_output"),
        )
    ]


rules = (nonfinite,)
