"""Causes at the sign of the loss: what should fall is climbed. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

from soundfit.doctor.case import Case
from soundfit.doctor.edits import changed, swap_name
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def ascent(case: Case) -> list[Diagnosis]:
    """The loss is climbed instead of descended."""
    found = case["custom.nearness"]
    if found:
        fix = say("The triplet loss takes a distance: 0 for the same, growing with difference. This function gives {same:.3g} for the same rows and {other:.3g} for others, so that rows of one kind are pushed apart: pass lambda a, b: 1 - similarity(a, b).", same=found["same"], other=found["other"])  # fmt: skip
        return [
            case.diagnose("gradient-ascent", "a similarity is taken for a distance", 0.96, fix, place=found["place"],
                          change={"turned_distance": True}, of_the_same=found["same"], of_others=found["other"])
        ]  # fmt: skip
    negated = bool(case["custom.structure.negated"]) and case["loss.kind"] in (
        "cross_entropy",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "nll_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
    )
    maximise = bool(case["optimiser.maximize"])
    if found := _disfavours(case):
        return found
    if case["together"]:
        return []
    if negated == maximise:
        return (
            _falls_while_wrong(case)
            or _opposed(case)
            or _runs_away(case)
            or _opposes(case)
            or _climbs(case)
            or _unlikely(case)
            or _pulled_away(case)
        )
    # Reached what is possible, where there was something to reach: then it is no loss that was climbed.
    if case.fine and not case.nonfinite:
        return []
    if maximise and case["loss.kind"] is None and not case.sick:
        return []  # a score of the author's own may be meant to be climbed: a bound, a reward
    place = case["places.backward"] if negated else case["optimiser.place"]
    fix = (
        say("Descend: drop the minus sign before the loss.")
        if negated
        else say("Descend: drop maximize=True.")
    )
    patch = (
        changed(place, swap_name(r"\(-\s*|-(?=loss)", "(" if negated else ""))
        if negated
        else changed(place, swap_name(r",?\s*maximize\s*=\s*True", ""))
    )
    return [
        case.diagnose(
            "gradient-ascent",
            "the optimiser climbs the loss",
            0.97,
            fix,
            place=place,
            patch=patch,
            change={"descend": True},
            negated=negated,
            maximize=maximise,
        )
    ]


def _opposed(case: Case) -> list[Diagnosis]:
    """A loss that rises while outputs come to say the opposite of the targets, whatever makes the steps."""
    z = case.number("score.train_z" if case["task.classification"] else "score.outputs_z")
    rises = case.smooth(1.0) > case.smooth(0.0)
    if case["loss.kind"] is None or not (case.sick and rises and z < -4.0 and case.got < case.constant):
        return []
    # Where no optimiser holds what is to learn nothing moves any more, in no direction.
    if case.number("optimiser.inside", 1) == 0 and not case["by_hand"]:
        return []
    place = case["places.backward"]
    fix = say("Outputs say the opposite of the targets, surer with each step: weights must move against the gradient (w -= rate * gradient).")  # fmt: skip
    return [
        case.diagnose("gradient-ascent", "the loss rises and outputs come to oppose the targets", 0.92, fix, place=place,
                      change={"descend": True}, agreement_in_standard_deviations=z)
    ]  # fmt: skip


def _falls_while_wrong(case: Case) -> list[Diagnosis]:
    """A loss written by hand that goes down while the outputs get worse than a constant would be."""
    if case["loss.kind"] is not None or not case.sick or case.nonfinite:
        return []
    first, last, start = case.smooth(0.0), case.smooth(1.0), case.number("score.train_at_start")
    fell = first - last > 0.5 * abs(first) + 1e-3
    if case["task.classification"]:  # surely worse than labels drawn blindly
        worse = case.got < case.constant and case.number("score.train_z") < -4.0
    else:
        worse = case.got < min(start, case.constant) - 0.25
    worse = worse or (case.got < case.constant and case.number("score.error_growth", 0.0) > 3)
    if not (fell and worse):
        return []
    place = case["places.backward"]
    fix = say("The loss falls while the outputs move away from the targets: its sign is turned (a log-likelihood must be negated).")  # fmt: skip
    return [
        case.diagnose(
            "gradient-ascent",
            "the loss falls while the error grows: its sign is turned",
            0.9,
            fix,
            place=place,
            patch=changed(place, swap_name(r"\b(loss\w*)\.backward", r"(-\1).backward")),
            change={"descend": True},
            score_at_start=start,
            loss_at_start=first,
            loss_at_end=last,
        )
    ]


def _runs_away(case: Case) -> list[Diagnosis]:
    """A squared distance from given numbers that is minimised with a minus sign, and grows without end."""
    first, last = case.smooth(0.0), case.smooth(1.0)
    if not (case["custom.structure.shuns"] and (last < 10 * first < 0 or case.nonfinite)):
        return []
    place = case["places.backward"]
    fix = say("The distance to the targets is minimised with a minus sign, so it grows: drop the minus, or step along the gradient instead of against it.")  # fmt: skip
    return [
        case.diagnose("gradient-ascent", "the loss is minus a distance to the targets, and runs away", 0.92, fix, place=place,
                      change={"descend": True}, loss_at_start=first, loss_at_end=last)
    ]  # fmt: skip


def _opposes(case: Case) -> list[Diagnosis]:
    """A cosine with given targets that is the loss itself: outputs turn away from them."""
    last = case.smooth(1.0)
    if case["custom.similarity"] != 1 or not (last < -0.2 and last < case.smooth(0.0) + 0.05):
        return []
    place = case["places.backward"]
    fix = say("The cosine with the targets is minimised, so outputs turn away from them: minimise minus the cosine, or 1 - cosine.")  # fmt: skip
    return [
        case.diagnose("gradient-ascent", "the loss is the cosine with the targets, and falls below 0", 0.93, fix, place=place,
                      patch=changed(place, swap_name(r"\b(loss\w*)\.backward", r"(-\1).backward")),
                      change={"descend": True}, loss_at_end=last)
    ]  # fmt: skip


_OF_SHARES = ("Log", "Log2", "Logsumexp", "LogSoftmax", "LogSigmoid")


def _climbs(case: Case) -> list[Diagnosis]:
    """Updates by hand that follow the gradient of an error, which rises."""
    error = case["loss.kind"] is not None or case["custom.structure.errs"] or _negates_logarithm(case)
    rises = case.smooth(1.0) > case.smooth(0.0) or case.nonfinite
    if not (case["hand_steps.climbs"] and error and rises):
        return []
    place = case["places.backward"]
    fix = say("The update by hand adds the gradient, and the error rises: weights must move against it (w -= rate * gradient).")  # fmt: skip
    return [
        case.diagnose("gradient-ascent", "weights move along the gradient of an error", 0.95, fix, place=place,
                      change={"descend": True}, loss_at_start=case.smooth(0.0), loss_at_end=case.smooth(1.0))
    ]  # fmt: skip


def _negates_logarithm(case: Case) -> bool:
    """Return whether a loss by hand is minus a logarithm of shares: an error, whoever makes the steps."""
    near = (case["custom.structure.operations"] or [])[:10]
    return bool(case["custom.structure.negated"]) and any(name in _OF_SHARES for name in near)


def _unlikely(case: Case) -> list[Diagnosis]:
    """A log-likelihood by hand that nothing negates, and that falls without end."""
    first, last = case.smooth(0.0), case.smooth(1.0)
    shape = case["custom.structure"] or {}
    plain = case["loss.kind"] is None and shape.get("likelihood") and not shape.get("signed")
    if not (plain and first <= 0.0 and last < first - max(1.0, abs(first))):
        return []
    place = case["places.backward"]
    fix = say("The log-likelihood of the targets is minimised: negate it.")
    return [
        case.diagnose("gradient-ascent", "a log-likelihood is minimised, and falls without end", 0.9, fix, place=place,
                      patch=changed(place, swap_name(r"\b(\w+)\.backward", r"(-\1).backward")),
                      change={"descend": True}, loss_at_start=first, loss_at_end=last)
    ]  # fmt: skip


def _pulled_away(case: Case) -> list[Diagnosis]:
    """Probabilities that each step moves away from zeros and from ones alike: an overlap is minimised."""
    looks = case["custom.pull"] or []
    if case["loss.kind"] is not None or len(looks) < 4:
        return []
    away = [x for x in looks if x["towards"] < -0.2 and x["both"]]
    if len(away) < 0.9 * len(looks) or looks[-1]["apart"] > 0.05:
        return []
    place = case["places.backward"]
    fix = say("Each step moves outputs away from their targets, from zeros and ones alike: what measures agreement (a Dice coefficient, an overlap, a likelihood) is minimised. Take 1 minus it, or minus it.")  # fmt: skip
    return [
        case.diagnose("gradient-ascent", "steps move outputs away from their targets", 0.93, fix, place=place,
                      patch=changed(place, swap_name(r"\b(loss\w*)\.backward", r"(-\1).backward")), change={"descend": True},
                      cosine_of_step_and_way_to_targets=sum(x["towards"] for x in looks) / len(looks), ones_above_zeros=looks[-1]["apart"])
    ]  # fmt: skip


def _disfavours(case: Case) -> list[Diagnosis]:
    """A policy gradient of the wrong sign: what earned more becomes rarer, and what the script prints of it does not rise."""
    for told in (case["custom.told"] or []) if case["custom.actions"] == 1 else []:
        values = told.values
        third = len(values) // 3
        if told.kind != "higher" or third == 0 or case["optimiser.maximize"]:
            continue
        first, last = sum(values[:third]) / third, sum(values[-third:]) / third
        if last > first or not (max(values) > first or last < first):
            continue
        place = case["places.backward"]
        fix = say("The loss rises with the log-probability of what earned a positive weight, so that each step makes it rarer; a reward or an advantage is climbed: take minus their product (where it is a cost that weighs, this is right and the printed score is another matter).")  # fmt: skip
        return [
            case.diagnose("gradient-ascent", "a policy gradient of the wrong sign: what is rewarded becomes rarer", 0.93, fix, place=place,
                          change={"favoured": True}, printed=told.label, at_start=first, at_end=last)
        ]  # fmt: skip
    return []


rules = (ascent,)
