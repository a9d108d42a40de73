"""Causes in how the optimiser steps: learning rate, schedule, epochs, batch size. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

import numpy as np

from soundfit.doctor.case import Case
from soundfit.doctor.edits import changed, set_keyword
from soundfit.doctor.judge import usual_rates
from soundfit.doctor.series import spent_share
from soundfit.doctor.steps import lengthened
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules", "unusual_rate"]

_FEELS_CLIPPING = ("SGD", "ASGD", "LBFGS")  # whose steps are as long as the gradient


def _usual(case: Case) -> tuple[float, float]:
    return usual_rates(case["optimiser.class"] or "", case.number("optimiser.momentum", 0.0))


def _prior(case: Case) -> tuple[float, float]:
    """Return how unusual the rate is: ``(too high, too low)``, each from 0.35 to 1."""
    lr = case.number("optimiser.lr")
    low, high = _usual(case)
    up = 1.0 if lr > high else 0.6 if lr > high / 2.5 else 0.4
    down = 1.0 if lr < low else 0.6 if lr <= low * 2 else 0.4
    return up, down


def rate(case: Case) -> list[Diagnosis]:
    """The learning rate is too high or too low: a replay with another rate learns."""
    if math.isnan(case.number("optimiser.lr")):
        return []
    if not case.sick:
        return _proven_rate(case)
    lr, place = case.number("optimiser.lr"), case["optimiser.place"]
    clipped = case.early("clipped", 8)
    if clipped > 50 and case["optimiser.class"] in _FEELS_CLIPPING:
        where = case["custom.clip_place"]
        fix = say(
            "Gradients are cut to a {clipped:.0f}th of their size in each step, and the steps with them: clip at 1 or more, not to nearly nothing.",
            clipped=clipped,
        )
        return [
            case.diagnose("lr-too-low", "gradient clipping leaves steps next to nothing", 0.88, fix, place=where,
                          patch=changed(where, set_keyword("max_norm", "1.0")), change={"unclip": True},
                          gradient_over_limit=clipped, learning_rate=lr)
        ]  # fmt: skip
    up, down = _prior(case)
    out = []
    lower = {"rate-down-10": 0.1, "rate-down-100": 0.01}
    higher = {"rate-up-10": 10.0, "rate-up-100": 100.0}
    best_down = max(lower, key=case.cure)
    best_up = max(higher, key=case.cure)
    ratio = case.early("update_ratio", 8)
    violent = case.nonfinite or ratio > 0.3 or case.last("update_ratio") > 0.3
    for factors, best, prior, code, word in (
        (lower, best_down, up, "lr-too-high", "high"),
        (higher, best_up, down, "lr-too-low", "low"),
    ):
        cured = min(1.0, case.cure(best))
        sure = prior * max(cured, 0.0)
        if code == "lr-too-high":
            if not case["replays"] and violent:
                sure = max(sure, 0.6 * prior)
            if prior == 1.0 and violent:
                sure = max(sure, 0.75)
            tried = case["replays.rate-down-100"]  # a tenth may be far too long still
            if case.nonfinite and ratio > 1.0 and (not tried or max(map(case.cure, lower)) > 0.4):
                sure = max(sure, 0.6)  # whole weights are stepped over from the start, until numbers end
            if cured > 0.9 and ratio > 1.0 and case["optimiser.class"] == "SGD":
                sure = max(sure, 0.85)  # and a lower rate is all that it takes
            if prior == 1.0 and not any(case[f"replays.{name}"] for name in lower):
                sure = max(sure, 0.6)  # no time was left to try a lower one
            if prior == 1.0 and lr >= 5 * _usual(case)[1]:
                sure = max(sure, 0.85)
        elif prior == 1.0 and ratio < 3e-5:
            sure = max(sure, 0.8)
        if sure < 0.25:
            continue
        new = lr * factors[best]
        if code == "lr-too-high":
            new = min(new, _usual(case)[1])
        values = {"lr": lr, "optimiser": case["optimiser.class"], "new": new}
        if word == "high":
            cause = say("learning rate {lr:g} is too high", lr=lr)
            fix = say("Learning rate {lr:g} is too high for {optimiser} here: try {new:g}.", **values)
        else:
            cause = say("learning rate {lr:g} is too low", lr=lr)
            fix = say("Learning rate {lr:g} is too low for {optimiser} here: try {new:g}.", **values)
        out.append(
            case.diagnose(
                code,
                cause,
                min(0.95, sure),
                fix,
                place=place,
                patch=changed(place, set_keyword("lr", f"{new:g}")),
                change={"rate": new / lr},
                learning_rate=lr,
                update_ratio=ratio,
                cured=case.cure(best),
            )
        )
    return out


def _proven_rate(case: Case) -> list[Diagnosis]:
    """A rate far above the usual, and a smaller one that does significantly better on held-out rows."""
    found = case["rate_gains"]
    lr, place = case.number("optimiser.lr"), case["optimiser.place"]
    if not found or _prior(case)[0] < 1.0:
        return []
    factor = max(found, key=lambda k: found[k]["gain"])
    gain, z = found[factor]["gain"], found[factor]["z"]
    if gain < 0.04 or z < 3.0:
        return []
    new = min(lr * float(factor), _usual(case)[1])
    fix = say(
        "Learning rate {lr:g} is too high for {optimiser} here: {new:g} scores {gain:.3f} more on held-out rows.",
        lr=lr,
        optimiser=case["optimiser.class"],
        new=new,
        gain=gain,
    )
    return [
        case.diagnose(
            "lr-too-high",
            say("learning rate {lr:g} is too high", lr=lr),
            0.85,
            fix,
            place=place,
            patch=changed(place, set_keyword("lr", f"{new:g}")),
            change={"rate": new / lr},
            learning_rate=lr,
            held_out_gain=gain,
            gain_in_standard_errors=z,
        )
    ]


def stuck(case: Case) -> list[Diagnosis]:
    """Weights that hardly moved in all, under a class loss that is still what guessing costs."""
    series = np.asarray(case.trace.series.get("update_ratio", np.zeros(0)))
    series = series[np.isfinite(series)]
    steps, lr = case.number("trained_steps", case.number("steps", 0)), case.number("optimiser.lr")
    kind, shape = case["loss.kind"], tuple(case["loss.prediction_shape"] or ())
    guessing = case.guessing
    if (
        math.isnan(guessing)
        or (kind == "cross_entropy" and len(shape) != 2)
        or len(series) < 3
        or steps < 100
        or not lr > 0
        or case.fine
        or case.nonfinite
        or case["optimiser.frozen"]
    ):
        return []
    moved = float(series.mean()) * steps
    first, last = case.smooth(0.0), case.smooth(1.0)
    if moved > 0.05 or last < 0.85 * guessing or last < 0.9 * first or not last < 1.2 * guessing:
        return []
    usual = _usual(case)[1]
    new = min(lr / max(moved, 1e-3), usual)
    if new < 3 * lr:
        return []
    place = case["optimiser.place"]
    fix = say("All {steps:.0f} steps together moved the weights by at most {moved:.1%}: raise the rate from {lr:g}, to {new:g} for example, and look whether gradients are clipped too hard.", steps=steps, moved=moved, lr=lr, new=new)  # fmt: skip
    return [
        case.diagnose("lr-too-low", say("learning rate {lr:g} is too low", lr=lr), 0.8, fix, place=place,
                      patch=changed(place, set_keyword("lr", f"{new:g}")), change={"rate": new / lr},
                      moved=moved, loss_of_guessing=guessing)
    ]  # fmt: skip


def schedule(case: Case) -> list[Diagnosis]:
    """A schedule takes the rate to nothing (or to too much) long before the end."""
    rates = np.asarray(case.trace.series.get("learning_rate", np.zeros(0)))
    rates = rates[np.isfinite(rates)]
    if len(rates) < 10 or rates.max() <= 0:
        return []
    if made := _unfinished_warmup(case, rates):
        return made
    if not case.sick:
        return _proven_schedule(case, rates)
    early = rates[: max(1, len(rates) // 3)]
    top = max(float(rates.max()), case.number("optimiser.lr", 0.0))  # it may be tiny from the first step
    tiny, small = float((rates < 0.01 * top).mean()), float((rates < 0.1 * top).mean())
    cured = case.cure("flat-rate")
    spent = tiny > 0.4 and (cured > 0.4 or float(early[-1]) < 1e-3 * top)
    if spent or (small > 0.5 and cured > 0.5):
        cause = (
            say("the rate is below a hundredth of its top for {tiny:.0%} of the steps", tiny=tiny)
            if spent
            else say("the rate is below a tenth of its top for {small:.0%} of the steps", small=small)
        )
        fix = say(
            "The schedule brings the rate from {top:.2g} to {usual:.2g} for most of the training: step it per epoch, or decay more slowly.",
            top=top,
            usual=float(np.median(rates)),
        )
        return [
            case.diagnose(
                "schedule",
                cause,
                max(0.8, min(0.95, cured)),
                fix,
                place=case["optimiser.place"],
                change={"flat_rate": True},
                cured=cured,
            )
        ]
    if rates[-1] > 3 * rates[0] and rates[-1] == top and (cured > 0.4 or case.nonfinite):
        fix = say(
            "The schedule raises the rate from {first:.2g} to {top:.2g}: it should fall towards the end.",
            first=rates[0],
            top=top,
        )
        return [
            case.diagnose(
                "schedule",
                "the schedule raises the rate without end",
                0.85,
                fix,
                place=case["optimiser.place"],
                change={"flat_rate": True},
                cured=cured,
            )
        ]
    return []


def _unfinished_warmup(case: Case, rates: np.ndarray) -> list[Diagnosis]:
    """A rate that rises to the last step and is nowhere near the one that the optimiser was given."""
    asked, late = case.number("optimiser.lr"), rates[len(rates) // 2 :]
    rising = bool((np.diff(rates) >= 0).all()) and late[-1] > late[0]
    if not rising or rates[-1] > 0.5 * asked or case.got > 0.97:
        return []
    fix = say("The rate rises from {first:.2g} to {last:.2g} and the training ends there: it never comes to the {asked:.2g} that the optimiser was given. Step a warm-up that counts steps after each step, or give it as many epochs as there are.",
              first=rates[0], last=rates[-1], asked=asked)  # fmt: skip
    return [
        case.diagnose("schedule", "the training ends before its warm-up does", 0.9, fix, place=case["optimiser.place"],
                      change={"flat_rate": True}, first=rates[0], last=rates[-1], asked=asked)
    ]  # fmt: skip


def _proven_schedule(case: Case, rates: np.ndarray) -> list[Diagnosis]:
    """The rate is next to nothing for most steps, and the same training at its first rate does significantly better."""
    found = case.gained("flat-rate", 0.04)
    if not found:
        return []
    top, tiny = float(rates.max()), spent_share(list(rates))
    fix = say("The schedule brings the rate from {top:.2g} to {usual:.2g} for most of the training: at {top:.2g} throughout, held-out rows score {gain:.3f} more. Step it per epoch, or decay more slowly.",
              top=top, usual=float(np.median(rates)), gain=found["gain"])  # fmt: skip
    return [
        case.diagnose("schedule", say("the rate is below a hundredth of its top for {tiny:.0%} of the steps", tiny=tiny), 0.85, fix,
                      place=case["optimiser.place"], change={"flat_rate": True},
                      held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def epochs(case: Case) -> list[Diagnosis]:
    """More of the same training would have learned it."""
    if case.nonfinite or case.number("steps", 0) < 1:
        return []
    if not case.sick:
        return _proven_length(case)
    cured = case.cure("longer")
    count = case.number("epochs", 99)
    steps = case.number("trained_steps", case.number("steps"))
    prior = 1.0 if count <= 5 or steps <= 30 else 0.7 if count <= 15 or steps <= 100 else 0.45
    sure = prior * min(1.0, cured)
    if sure < 0.3:
        return []
    times = lengthened(steps)
    fix = say(
        "{steps:.0f} steps ({count:.1f} epochs) are too few: the same training {times:.0f} times as long gets there.",
        steps=steps,
        count=count,
        times=times,
    )
    return [
        case.diagnose(
            "too-few-epochs",
            say("training stopped after {count:.1f} epochs while it was still learning", count=count),
            min(0.9, sure),
            fix,
            place=case["places.backward"],
            change={"longer": round(times)},
            steps=steps,
            epochs=count,
            cured=cured,
        )
    ]


def _proven_length(case: Case) -> list[Diagnosis]:
    """A loss that still fell, and the same training for longer does significantly better on new rows."""
    few = case.number("rows", 0) < 300
    found = case.gained("longer", 0.07, 2.58) if few else case.gained("longer", 0.05)
    if not found:
        return []
    steps = case.number("trained_steps", case.number("steps"))
    times, count = lengthened(steps), case.number("epochs", 99)
    fix = say("{steps:.0f} steps ({count:.1f} epochs) are too few: {times:.0f} times as many score {gain:.3f} more on held-out rows.", steps=steps, count=count, times=times, gain=found["gain"])  # fmt: skip
    return [
        case.diagnose("too-few-epochs", say("training stopped after {count:.1f} epochs while it was still learning", count=count), 0.8, fix,
                      place=case["places.backward"], change={"longer": round(times)}, steps=steps, epochs=count,
                      held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def batch_size(case: Case) -> list[Diagnosis]:
    """One batch of everything with few steps, or one row at a time with noise that never settles."""
    size, rows = case.number("batch_size", 0), case.number("rows", 0)
    if not case.sick or size < 1 or rows < 40:
        return []
    cured = case.cure("small-batch")
    if size >= 0.3 * rows and size >= 256 and cured > 0.5 and case.number("epochs", 0) >= 3:
        sure = 0.55 * min(1.0, cured)
        fix = say(
            "Batches of {size:.0f} of {rows:.0f} rows leave few steps: use batches of about 32.",
            size=size,
            rows=rows,
        )
        return [
            case.diagnose(
                "batch-size",
                "batches so large that too few steps are made",
                sure,
                fix,
                place=case["places.backward"],
                change={},
                batch_size=size,
                cured=cured,
            )
        ]
    if size <= 2 and rows > 100 and max(case.cure("large-batch"), 0.0) > 0.5:
        fix = say("Batches of {size:.0f} give gradients of mostly noise: use 16 to 64 rows.", size=size)
        return [
            case.diagnose(
                "batch-size",
                "batches so small that steps are mostly noise",
                0.6,
                fix,
                place=case["places.backward"],
                change={},
                batch_size=size,
            )
        ]
    return []


def plateau(case: Case) -> list[Diagnosis]:
    """A scheduler that waits for its number to fall is handed a score that rises, or the other way round.

    The first number would have to stay the best of all while the training gets better with each: a loss on new
    rows falls at first, even where it rises later.
    """
    rates = [r for r in case.trace.series.get("learning_rate", ()) if math.isfinite(r)]
    if not rates or rates[-1] > 0.3 * max(rates):
        return []
    for found in case["plateaus"] or []:
        early, score = found["early"], found["mode"] == "min"
        if found["n"] < 4 or len(early) < 3 or not found["loss_ratio"] < 0.9 or not found["better"] < 0.5:
            continue
        steady = found["first_is_best"] and (early[0] < early[1] if score else early[0] > early[1])
        # A score that hovers before it rises: then it has to be the very score that the script's rows give.
        late = score and found["best_is_early"] and abs(found["last"] - _by_script(case)) < 0.005
        if not (steady or late) or (score and not _is_score(case, found)):
            continue
        fix = say("ReduceLROnPlateau takes less for better (mode='min') and is handed a number that rises as the training gets better, {first:.3g} to {last:.3g}: it lowers the rate all the time. Say mode='max', or hand it the loss.", first=found["first"], last=found["last"])  # fmt: skip
        if not score:
            fix = say("ReduceLROnPlateau takes more for better (mode='max') and is handed a number that falls as the training gets better, {first:.3g} to {last:.3g}: it lowers the rate all the time. Say mode='min'.", first=found["first"], last=found["last"])  # fmt: skip
        place = found["place"]
        return [
            case.diagnose("schedule", "the rate falls because the score that the scheduler watches gets better", 0.93, fix, place=place,
                          change={"turn_plateau": True}, mode=found["mode"], first=found["first"], last=found["last"])
        ]  # fmt: skip
    return []


def _by_script(case: Case) -> float:
    """Return the score of what the script's evaluation computed, else of its model on the evaluation's rows."""
    return case.number("score.evaluation_by_script", case.number("score.evaluation"))


def _is_score(case: Case, found: dict[str, Any]) -> bool:
    """Return whether numbers are the script's own score as a share or a percentage; a loss may start at its best."""
    numbers = (*found["early"], found["last"])
    if not all(0.0 <= v <= 100.0 for v in numbers):
        return False
    known = _by_script(case)
    if math.isnan(known):
        return bool(found["n"] >= 5 and found["better"] < 0.3 and max(numbers) <= 1.0)
    return any(abs(found["last"] / unit - known) < 0.05 for unit in (1.0, 100.0))


def unusual_rate(case: Case) -> Diagnosis | None:
    """Return that the rate is outside of what its optimiser usually gets, None where it is within."""
    lr, (low, high), place = case.number("optimiser.lr"), _usual(case), case["optimiser.place"]
    if not lr > 0 or low <= lr <= high:
        return None
    new, code = math.sqrt(low * high), "lr-too-low" if lr < low else "lr-too-high"
    cause = say("learning rate {lr:g} is too low", lr=lr) if lr < low else say("learning rate {lr:g} is too high", lr=lr)  # fmt: skip
    fix = say("Learning rate {lr:g} is unusual for {optimiser}, whose rates lie between {low:g} and {high:g}: try {new:.2g}.",
              lr=lr, optimiser=case["optimiser.class"], low=low, high=high, new=new)  # fmt: skip
    return case.diagnose(code, cause, 0.5, fix, place=place, patch=changed(place, set_keyword("lr", f"{new:.2g}")),
                         change={"rate": new / lr}, learning_rate=lr)  # fmt: skip


rules = (rate, stuck, schedule, plateau, epochs, batch_size)
