"""Causes in how rows and classes make up a batch: order, imbalance, class weights, mixed rows. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

from soundfit.doctor.case import Case
from soundfit.records import Diagnosis, Severity
from soundfit.records.said import say

__all__ = ["rules"]


def order(case: Case) -> list[Diagnosis]:
    """Batches of one class each: rows come sorted."""
    purity, base = case.number("order.purity", 0.0), case.number("order.base", 1.0)
    kinds, size = case.number("order.kinds", 0), case.number("order.size", 0)
    sick = case.sick or (case.judged and case.gap > 0.6 * case.tolerance)
    if (
        sick
        and size >= 4
        and kinds >= 2
        and purity > 0.9
        and base < 0.75
        and case.number("order.batches", 0) >= 6
    ):
        fix = say(
            "Batches hold one class each: shuffle the rows (DataLoader(shuffle=True) or a permutation each epoch)."
        )
        return [
            case.diagnose(
                "class-imbalance",
                "rows come sorted by class, each batch holds one class",
                0.85,
                fix,
                place=case["places.model"],
                change={"shuffle": True},
                purity=purity,
            )
        ]
    if sick and case.number("order.mean_spread_ratio", 1.0) > 3.0:
        fix = say("Rows come sorted by target: shuffle them (DataLoader(shuffle=True)).")
        return [
            case.diagnose(
                "batch-size",
                "rows come sorted by target, so that batches contradict each other",
                0.6,
                fix,
                place=case["places.model"],
                change={"shuffle": True},
            )
        ]
    return []


def sampled(case: Case) -> list[Diagnosis]:
    """A weighted sampler with fewer weights than rows: those beyond are never drawn."""
    found = case["custom.few_weights"]
    if not found:
        return []
    fix = say("The sampler has {weights} weights, one a class perhaps, for {rows} rows: it draws the first {weights} rows alone. Give it a weight for each row: weights[labels].", weights=found["weights"], rows=found["rows"])  # fmt: skip
    return [
        case.diagnose("class-imbalance", say("the sampler draws from the first {weights} of {rows} rows alone", weights=found["weights"], rows=found["rows"]),
                      0.95, fix, place=found["place"], change={"row_weights": True}, weights=found["weights"], rows=found["rows"])
    ]  # fmt: skip


def imbalance(case: Case) -> list[Diagnosis]:
    """The rare class is given up though the inputs tell it."""
    shares = [s for s in case["target.shares"] or [] if s > 0]
    reference = case["reference"]
    if len(shares) < 2 or reference is None or max(shares) < 0.75:
        return []
    mine, theirs = case.number("score.balanced"), reference["balanced"]
    if math.isnan(mine) or math.isnan(theirs):
        return []
    rare = min(shares) * case.number("rows", 0)
    given_up = mine < 1.0 / len(shares) + 0.08
    even = case.number("score.balanced_if_even", 0.0)
    seldom = case.number("score.rare_found", 1.0)
    if case["origin.ranks_alone"] and even > case.number("reference.evened", 1.0) - 0.05:
        return []  # nothing cuts outputs into classes, and they rank rows as well as any
    if max(shares) >= 0.9 and rare >= 20 and seldom < 0.3 and even - mine > (0.2 if seldom > 0.02 else 0.12):
        given_up, theirs = True, max(theirs, even)  # seldom named though the outputs tell it
    if given_up and theirs - mine > 0.15 and rare >= 8:
        fix = say(
            "The rare class is {share:.1%} of the rows and hardly ever found: weight the loss (pos_weight, weight=) or sample evenly.",
            share=min(shares),
        )
        sure = 0.5 if case.sick else 0.75
        return [
            case.diagnose(
                "class-imbalance",
                "the rare class is given up",
                sure,
                fix,
                place=case["loss.place"],
                change={"weights": True},
                balanced_score=mine,
                balanced_possible=theirs,
                shares=shares[:8],
            )
        ]
    return []


def weights(case: Case) -> list[Diagnosis]:
    """Class weights that grow with the classes' shares, so that a rare class counts even less."""
    shares = case["target.shares"] or []
    given, positive = case["loss.weights"], case["loss.pos_weights"]
    found = None
    if given is not None and len(given) == len(shares):
        found = _favoured(shares, given)
    elif positive is not None and len(positive) == 1 and case["task.kind"] == "binary" and len(shares) == 2:
        found = _favoured(shares, [1.0, positive[0]])
    if found is None:
        return []
    common, rare = found
    place = case["loss.place"]
    fix = say("The class with {common:.1%} of the rows weighs more than the one with {rare:.1%}: weights must fall with a class's share. Use total / (classes * counts), or negatives / positives as pos_weight.", common=common, rare=rare)  # fmt: skip
    severity: Severity = "error" if case.number("score.rare_found", 0.0) < 0.7 or case.sick else "warning"
    return [
        case.diagnose("class-imbalance", "class weights favour the frequent class", 0.9, fix, severity=severity, place=place,
                      change={"weights": True}, shares=shares[:8], weights=(given or positive)[:8])
    ]  # fmt: skip


def _favoured(shares: list[float], weights: list[float]) -> tuple[float, float] | None:
    """Return the largest and the smallest share where weights clearly rise with shares that clearly differ."""
    pairs = [(s, w) for s, w in zip(shares, weights, strict=True) if s > 0 and w > 0]
    if len(pairs) < 2:
        return None
    common, rare = max(pairs), min(pairs)
    by_shares = math.log(common[1] / rare[1]) - math.log(common[0] / rare[0])
    if abs(by_shares) < 0.1 and common[0] > 1.5 * rare[0]:  # they are the shares themselves
        return common[0], rare[0]
    if common[0] < 3 * rare[0] or common[1] < 2 * rare[1]:
        return None
    s, w = ([math.log(pair[k]) for pair in pairs] for k in (0, 1))
    a, b = ([x - sum(v) / len(v) for x in v] for v in (s, w))
    size = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    together = sum(x * y for x, y in zip(a, b, strict=True)) / size
    return (common[0], rare[0]) if together > 0.8 else None


def mixed(case: Case) -> list[Diagnosis]:
    """A row's output hangs on other rows of the batch: axes were confused inside the model."""
    own, others = case.number("behaviour.own", 1.0), case.number("behaviour.others", 0.0)
    if not others > 0 or case["together"]:
        return []
    axes = case.number("input.dims", 0) >= 3  # a row is a sequence or a picture: there are axes to confuse
    # An output that hangs on other rows and not on its own.
    stranger = own < 0.8 and (case.sick or (axes and not case.fine))
    # Rows read as time: each output hangs on the rows before it, though a row is a sequence itself.
    read = case["behaviour.later"] and others > 0.2 and case["modules.recurrent"] and axes
    alone = case["target.shape"] in ([], [1]) and not case.judged
    # A layer that takes sequences time first was given rows first, one answer to each: it reads from row to row.
    one = case["target.shape"] in ([], [1]) and (case["input.shape"] or [1])[0] > 1
    takes_time = axes and one and case["modules.sequence_first"]
    crossed = takes_time and others > 0.3 and case.number("score.train", 0.0) < 0.95
    # Else: a small model that sees one row at a time does better, so what others bring is no help.
    if not (stranger or case.sick or (read and alone) or crossed):
        return []
    sure = 0.93 if stranger or crossed else 0.85 if axes else 0.6
    place = case["places.model"]
    fix = say("Changing one row's input changes other rows' outputs ({others:.0%} of them), and its own in {own:.0%} of the cases: the batch axis was taken for another. Use permute or transpose instead of view or reshape, or batch_first=True.", own=own, others=others)  # fmt: skip
    return [
        case.diagnose("shape-broadcast", "rows of a batch are mixed inside the model", sure, fix, place=place,
                      change={"batch_first": True} if case["modules.sequence_first"] else {"rows_first": True}, own_input_counts=own, other_rows_that_count=others)
    ]  # fmt: skip


rules = (order, sampled, imbalance, weights, mixed)
