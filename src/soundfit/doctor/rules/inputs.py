"""Causes in the inputs: how they are scaled, and whether they vary at all. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

from soundfit.doctor.case import Case
from soundfit.doctor.edits import STANDARDISED, added_before
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def input_scale(case: Case) -> list[Diagnosis]:
    """Inputs far from unit scale, and a training that learns once they are."""
    if case["input.kind"] != "float" or not case.sick:
        return []
    top, low = case.number("input.column_std_max", 1.0), case.number("input.column_std_min", 1.0)
    rms, mean = case.number("input.rms", 1.0), case.number("input.column_mean_max", 0.0)
    image = case.number("input.dims", 2) == 4
    off = max(rms, top, mean) / 1.0
    outlier = case.number("input.outlier", 0.0)
    uneven = top / max(low, 1e-12)
    cured = case.cure("scale-inputs")
    prior = 0.0
    if off > 20:
        prior = 1.0
    elif off > 5 or (rms < 0.05 and rms > 0):
        prior = 0.85
    elif uneven > 50 and not image:
        prior = 0.7
    elif off > 3:
        prior = 0.5
    if outlier > 60 and not image:
        prior = max(prior, 0.8)
    sure = prior * min(1.0, max(cured, 0.0))
    if cured > 0.3:
        sure = max(sure, 0.75 * prior)
    if prior >= 0.85 and case.nonfinite:
        sure = max(sure, 0.7)
    both = case.cure("scale-both")
    if prior >= 0.85 and both > 0.5 and cured <= 0.5:
        sure = max(sure, 0.6)
    if off > 20 and max(case.cure("sound-1e-3"), case.cure("sound-1e-2")) > 0.5 and sure < 0.5:
        sure = 0.55
    if sure < 0.3:
        return []
    place = case["places.model"]
    fix = say(
        "Inputs reach {max:.4g} (column spread up to {top:.4g}): standardise them with the training rows' mean and spread.",
        max=case.number("input.max"),
        top=top,
    )
    patch = added_before(place, STANDARDISED)
    return [
        case.diagnose(
            "input-scale",
            "inputs are not scaled",
            min(0.97, sure),
            fix,
            place=place,
            patch=patch,
            change={"scale_inputs": True},
            largest=case.number("input.max"),
            spread=top,
            outlier=outlier,
            cured=cured,
        )
    ]


def other_scale(case: Case) -> list[Diagnosis]:
    """Evaluation rows that are scaled otherwise than training rows, and a model that is lost on them."""
    train = case.number("score.train")
    other = case.number("score.evaluation", case.number("score.evaluation_by_script"))
    shift, scale = case.number("evaluation.shift", 0.0), case.number("evaluation.scale", 1.0)
    if (
        case["input.kind"] != "float"
        or case.number("evaluation.rows", 0) < 20
        or math.isnan(train)
        or math.isnan(other)
    ):
        return []
    # A share of right answers is worse than by chance at three standard errors.
    error = math.sqrt(max(train * (1 - train), 0.01) / case.number("evaluation.rows"))
    least = max(0.05, 3 * error) if case["task.classification"] else 0.15
    if train - other < least or not (shift > 3 or scale > 5 or scale < 0.2):
        return []
    place = case["places.evaluation"]
    fix = say(
        "Evaluation rows are scaled otherwise than training rows: give both the same preparation, with the training rows' mean and spread."
    )
    return [
        case.diagnose("input-scale", "evaluation rows are not scaled as training rows are", 0.9, fix, place=place,
                      patch=added_before(place, STANDARDISED),
                      train_score=train, evaluation_score=other, shift=shift, spread_ratio=scale)
    ]  # fmt: skip


def _mostly_constant(case: Case) -> bool:
    """Return whether half of the few columns of a table are constant; of many, rare words may be."""
    shape = case["input.shape"] or []
    return len(shape) == 1 and 4 <= shape[0] <= 64 and case.number("input.constant") >= 0.5


def constant_inputs(case: Case) -> list[Diagnosis]:
    """Inputs that carry nothing: the same row again and again, or the same batch."""
    if case["input"] is None:
        return []
    place = case["places.model"]
    rows, steps = case.number("rows", 0), case.number("steps", 0)
    batches, distinct = case.number("order.batches", 0), case.number("order.distinct", 0)
    out = []
    if case["input.kind"] == "float" and case.number("input.constant") > 0.99 and rows > 4:
        fix = say("Every input is the same: look at how inputs are loaded and scaled.")
        out.append(case.diagnose("inputs-constant", "inputs are constant", 0.98, fix, place=place))
    elif case["input.kind"] == "float" and case.number("input.constant") > 0.9 and case.sick and rows > 4:
        fix = say(
            "Nearly all inputs are constant: look at how they are loaded and scaled (an integer division?)."
        )
        out.append(case.diagnose("inputs-constant", "nearly all inputs are constant", 0.85, fix, place=place))
    elif case["input.kind"] == "float" and _mostly_constant(case) and rows >= 40:
        share = case.number("input.constant")
        fix = say("{share:.0%} of the columns hold one number each and tell nothing: look at how they are read and scaled (an overflow in half precision, a division by infinity, a wrong type).", share=share)  # fmt: skip
        out.append(
            case.diagnose(
                "inputs-constant",
                "most columns hold one number each",
                0.85,
                fix,
                place=place,
                constant_columns=share,
            )
        )
    divides = case["origin.divides_bytes"]
    if not out and divides is not None and case["input.binary"] and case.number("input.mean", 1.0) < 0.04:
        fix = say("The pixels are 0 and 1 alone after the division by 255: an array of whole numbers keeps whole numbers. Turn it into floats first (x.astype('float32') / 255).")  # fmt: skip
        out.append(
            case.diagnose(
                "inputs-constant", "pixels were divided as whole numbers: all but the brightest are 0", 0.9, fix,
                place=divides, change={"rewrite": ("true_division", divides.line)}, mean=case.number("input.mean"),
            )
        )  # fmt: skip
    if (
        case["input.kind"] == "codes"
        and case.number("input.codes", 99) <= 2
        and case.number("modules.embeddings", 0) >= 10
        and steps >= 10
    ):
        known = case.number("modules.embeddings")
        fix = say(
            "Of {known:.0f} known tokens only {codes:.0f} occur: texts are looked up wrongly (case, spaces, another vocabulary).",
            known=known,
            codes=case.number("input.codes"),
        )
        out.append(
            case.diagnose(
                "inputs-constant",
                "all inputs are one token",
                0.93,
                fix,
                place=place,
                codes=case.number("input.codes"),
                known=known,
            )
        )
    full = case.number("batch_size", 0) >= rows
    other = case.number("evaluation.rows", 0)
    lost = not case.number("score.evaluation") > case.number("score.train") - 0.05  # new rows fare worse
    anew = case["origin.starts_anew"]  # else the author has a few rows only, and takes all of them
    again = distinct == 1 and batches >= 10 and steps >= 10
    if anew is not None and again and full and other > 2 * rows and lost:
        fix = say(
            "All {steps:.0f} steps saw the same {rows:.0f} rows: take a new batch in each step (next(iter(loader)) starts anew each time).",
            steps=steps,
            rows=rows,
        )
        out.append(
            case.diagnose(
                "inputs-constant",
                "every step saw the same batch",
                0.9,
                fix,
                place=anew,
                change={"go_on": True, "shuffle": True},
                rows=rows,
                steps=steps,
            )
        )
    if again and lost and not out and (seed := _set_again(case)) is not None:
        name, found = seed
        fix = say("{name} is called before each step, so that all {steps:.0f} steps draw the same {rows:.0f} rows: make the generator once, before the loop, and draw from it.", name=name, steps=steps, rows=rows)  # fmt: skip
        out.append(
            case.diagnose("inputs-constant", "the same seed is set before every step: all draw one batch", 0.93, fix, place=found["place"],
                          change={"fresh_seeds": True}, rows=rows, steps=steps, times=found["steps"])
        )  # fmt: skip
    return out


def _set_again(case: Case) -> tuple[str, dict[str, Any]] | None:
    """Return the seed that was set before nearly every step, and where."""
    heard = case["custom.seeds"] or {}
    often = max(0.8 * case.number("steps", 0), 20)
    return next(((name, found) for name, found in heard.items() if found["steps"] >= often), None)


def kernels(case: Case) -> list[Diagnosis]:
    """Kernels of distances that are nothing for many rows: inputs lie on scales far beyond a kernel's width."""
    share = case.number("custom.unreached", 0.0)
    if share < 0.3 or (case.judged and not case.sick):
        return []
    fix = say("For {share:.0%} of the rows each exp(-distance) is below 1e-4, so outputs do not depend on them: standardise inputs column by column, or take the kernel's width from their distances (their median).", share=share)  # fmt: skip
    return [
        case.diagnose("input-scale", "rows lie beyond the reach of every kernel", 0.9, fix, place=case["places.model"] or case["custom.place"],
                      change={"scale_inputs": True}, share=share)
    ]  # fmt: skip


rules = (input_scale, other_scale, constant_inputs, kernels)
