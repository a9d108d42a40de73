"""What is left when the training ran well: overfitting, a noise ceiling, leaks between rows. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

from soundfit.doctor.case import Case
from soundfit.doctor.edits import changed, swap_name
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def leak(case: Case) -> list[Diagnosis]:
    """Evaluation rows that were trained on."""
    shared, rows = case.number("evaluation.shared", 0), case.number("evaluation.rows", 0)
    train = case.number("rows", 0)
    if rows < 20 or shared < max(0.1 * rows, 8) or case["evaluation.recur"]:
        return []
    # Short words come back by chance: more must be shared than that gives.
    if shared < 1.5 * rows * case.number("evaluation.by_chance", 0.0) + 8:
        return []
    everything = shared >= 0.98 * rows
    place = case["places.evaluation"]
    if everything:  # scoring the training rows is common and honest; it says nothing of held-out rows
        return [
            case.diagnose(
                "split-leak",
                "the only evaluation is on training rows",
                0.5,
                say("Hold rows back and score those."),
                severity="note",
                place=place,
                shared=shared,
                rows=rows,
                training_rows=train,
            )
        ]
    fix = say(
        "{shared:.0f} of {rows:.0f} evaluation rows were also trained on: split before augmenting or resampling, on whole rows or groups.",
        shared=shared,
        rows=rows,
    )
    return [
        case.diagnose(
            "split-leak",
            "evaluation rows were seen in training",
            0.9,
            fix,
            place=place,
            shared=shared,
            rows=rows,
        )
    ]


def selection(case: Case) -> list[Diagnosis]:
    """The checkpoint, or the time to stop, is chosen by a score on test rows."""
    found = case["selection"]
    if not found:
        return []
    fix = say(
        "The {chosen} is chosen by {score}, a score on test rows, so that score is no longer an honest one: choose by validation rows held out of the training rows, and look at the test rows once, at the end.",
        chosen=found["chosen"],
        score=found["score"],
    )
    return [
        case.diagnose(
            "test-used-for-selection",
            say("test rows choose the {chosen}", chosen=found["chosen"]),
            0.85,
            fix,
            severity="warning",
            place=found["place"],
            patch=changed(found["place"], swap_name(r"\btest", "validation")),
            chosen=found["chosen"],
            score_name=found["score"],
        )
    ]


def overfitting(case: Case) -> list[Diagnosis]:
    """Training rows are learned far better than evaluation rows, and a small model does better there."""
    train, other = case.number("score.train"), case.number("score.evaluation")
    if math.isnan(other) or math.isnan(train) or case.sick:
        return []
    if train - other > 0.1 and not math.isnan(case.possible):
        behind, room = case.possible - other, case.possible - case.constant
        # Worse than saying the mean where much can be said: what was learned is of no use.
        useless = room > 0.25 and other - case.constant < 0.1 * room and behind > case.tolerance
        fix = say(
            "Stop at the best evaluation loss, add weight decay or dropout, use a smaller model, or get more rows."
        )
        return [
            case.diagnose(
                "overfitting",
                say(
                    "score {train:.3f} on training rows, {other:.3f} on evaluation rows",
                    train=train,
                    other=other,
                ),
                0.6,
                fix,
                severity="warning" if useless else "note",
                behind=behind,
            )
        ]
    return []


def lost_checkpoint(case: Case) -> list[Diagnosis]:
    """The best weights were kept by reference: loading them changes nothing."""
    found = case["custom.own_state"]
    if not found:
        return []
    fix = say("state_dict() gives references to the weights: what was kept {steps} steps before has changed with them, and loading it restores nothing. Keep a copy: copy.deepcopy(model.state_dict()).", steps=found["steps"])  # fmt: skip
    return [
        case.diagnose("overfitting", "the kept weights are the last ones, not the best: no checkpoint is restored", 0.9, fix, place=found["place"],
                      change={"copied_state": True}, severity="warning", steps_since=found["steps"])
    ]  # fmt: skip


def noise(case: Case) -> list[Diagnosis]:
    """The possible score itself is low, and the training reached it."""
    if case.sick or not case.judged or case["task.kind"] == "copy":
        return []
    if case["task.kind"] == "sequence" and case["reference"] is None:
        return []  # its own net, trained anew, tells nothing of the rows
    if case.possible < 0.9 and -0.1 - case.tolerance <= case.gap <= 0.6 * case.tolerance:
        text = say(
            "No sound model got beyond {possible:.3f} on these rows: better inputs or more rows would help, not more training.",
            possible=case.possible,
        )
        return [
            case.diagnose(
                "noise-limited", "the score is at what these rows allow", 0.6, text, severity="note"
            )
        ]
    return []


def at_chance(case: Case) -> list[Diagnosis]:
    """A loss over classes that ends where guessing begins, of outputs that have no score."""
    kind, shape = case["loss.kind"], tuple(case["loss.prediction_shape"] or ())
    plain = kind == "cross_entropy" and case["loss.reduction"] == "mean" and not case["loss.weighted"]
    # Each row's class is its own place in the batch: no small model tells that.
    pairs = len(shape) == 2 and shape[0] == shape[1] > 12
    if (case.judged and not pairs) or case["together"] or not plain or len(shape) < 2 or shape[1] < 2:
        return []
    guessing, steps = case.guessing, case.number("trained_steps", case.number("steps", 0))
    first, last = case.smooth(0.0), case.smooth(1.0)
    if steps < 300 or not 0.98 * guessing < last < 1.05 * guessing or first > 2 * guessing:
        return []
    fix = say("After {steps:.0f} steps the loss is {last:.3g}, what guessing among {classes} costs: look whether each target still stands beside its own input (two loaders shuffled apart, an index applied to one of both), and whether the rate lets anything be learned.", steps=steps, last=last, classes=shape[1])  # fmt: skip
    return [
        case.diagnose("labels-damaged", "the loss stays at what guessing costs", 0.5, fix, place=case["places.backward"],
                      loss_of_guessing=guessing, last_loss=last, steps=steps)
    ]  # fmt: skip


rules = (leak, selection, lost_checkpoint, overfitting, at_chance, noise)
