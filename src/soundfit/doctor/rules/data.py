"""Causes in what goes in: scale of inputs and targets, labels, constant inputs, augmentation. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_before
from soundfit.doctor.judge import HELD_SHARE
from soundfit.records import Diagnosis, Severity
from soundfit.records.said import say

__all__ = ["rules"]


def target_scale(case: Case) -> list[Diagnosis]:
    """Targets far from unit scale in a regression that does not learn."""
    if case["task.kind"] != "regression" or not case.sick:
        return []
    spread, mean = case.number("target.std", 1.0), abs(case.number("target.mean", 0.0))
    off = max(spread, mean)
    cured = max(case.cure("scale-targets"), case.cure("scale-both") * 0.9)
    prior = 1.0 if off > 50 else 0.8 if off > 8 else 0.5 if off > 3 or spread < 0.02 else 0.0
    sure = prior * min(1.0, max(0.0, cured))
    if off > 1000 and sure < 0.6 and max(case.cure("sound-1e-3"), case.cure("sound-1e-2")) > 0.4:
        sure = 0.6
    if sure < 0.3:
        return []
    place = case["loss.place"] or case["places.backward"]
    fix = say(
        "Targets have mean {mean:.4g} and spread {spread:.4g}: standardise them, and undo it at prediction.",
        mean=case.number("target.mean"),
        spread=spread,
    )
    return [
        case.diagnose(
            "target-scale",
            "targets are not scaled",
            min(0.95, sure),
            fix,
            place=place,
            patch=added_before(place, "y = (y - y_mean) / y_std  # undo at prediction"),
            change={"scale_targets": True},
            mean=case.number("target.mean"),
            spread=spread,
            cured=cured,
        )
    ]


def labels(case: Case) -> list[Diagnosis]:
    """Labels that are damaged: one class, not finite, off by one, cast away, or shuffled against the inputs."""
    out = []
    place = case["loss.place"] or case["places.backward"]
    if case.number("target.nonfinite", 0.0) > 0:
        fix = say("Some targets are NaN or infinite: drop or repair these rows.")
        out.append(case.diagnose("labels-damaged", "targets are not finite", 0.95, fix, place=place))
    if case["collated"] is not None:
        moved, of = case["collated.moved"], case["collated.rows"]
        fix = say("The function that puts batches together gives inputs another order and leaves labels as they were: of {of} items {moved} got another one's label. Sort the items themselves, before they are taken apart: batch = sorted(batch, key=lambda item: len(item[0]), reverse=True).", of=of, moved=moved)  # fmt: skip
        out.append(
            case.diagnose("labels-damaged", "inputs are reordered when batches are put together, and labels are not", 0.97, fix,
                          place=case["collated.place"] or place, change={"aligned": True}, moved=moved, rows=of)
        )  # fmt: skip
    share = case.number("custom.filled.share", 0.0)
    if share > 0.05 and case["task.kind"] != "copy":
        fix = say("{share:.0%} of the targets were NaN and filled in: the loss takes the filling for the truth. Judge what is known alone: known = ~target.isnan(); loss(output[known], target[known]).", share=share)  # fmt: skip
        out.append(
            case.diagnose("labels-damaged", "unknown targets are filled in and learned as if they were known", 0.94, fix,
                          place=case["custom.filled.place"], change={"known_targets": True}, filled=share)
        )  # fmt: skip
    present, classes = case.number("target.present", 2), case.number("task.classes", 2)
    if case["task.classification"] and present == 1 and case.number("rows", 0) >= 20:
        fix = say(
            "All training labels are one class: look at how labels are made (a cast to int, a wrong comparison, a sorted split)."
        )
        out.append(
            case.diagnose(
                "labels-damaged", "only one class among the training labels", 0.97, fix, place=place
            )
        )
    if (
        case["task.kind"] == "regression"
        and case.number("target.values", 9) == 1
        and case.number("rows", 0) >= 10
    ):
        fix = say("All targets are equal: look at how they are made (a cast to int?).")
        out.append(case.diagnose("labels-damaged", "all targets are equal", 0.97, fix, place=place))
    if out:
        return out
    shares = case["target.shares"] or []
    reference, rows = case["reference"], case.number("rows", 0)
    # NaN from the first steps leaves nothing of what was compared with what.
    if reference is not None and rows >= 100 and not case.nonfinite:
        gain = reference["held_out"] - reference["constant"]
        own = case.own_best - reference["constant"] if not math.isnan(case.own_best) else 0.0
        elsewhere = reference["evaluation_gain"]
        none = max(gain, own) < max(0.04, 2 * reference["se"])
        if not math.isnan(elsewhere) and elsewhere > 0.12 + gain and _altered(case):
            return []  # see augmentation
        if not math.isnan(elsewhere) and elsewhere > 0.12 + gain and reference["agreement"] < 2.5:
            fix = say(
                "Evaluation rows can be learned, training rows cannot: training labels do not belong to their inputs (shuffled or sorted apart)."
            )
            out.append(
                case.diagnose(
                    "labels-damaged",
                    "training labels are unrelated to their inputs",
                    0.95,
                    fix,
                    place=place,
                    change=_one_order(case),
                    gain=gain,
                    gain_on_evaluation=elsewhere,
                )
            )
        elif none and case.number("structure.clusters", 0.0) > 0.5:
            fix = say(
                "Inputs have clear groups that the labels ignore: inputs and labels were probably shuffled apart."
            )
            out.append(
                case.diagnose(
                    "labels-damaged",
                    "labels are unrelated to clearly grouped inputs",
                    0.75,
                    fix,
                    place=place,
                    change=_one_order(case),
                    gain=gain,
                )
            )
        elif none and case.number("order.lag_gain", 0.0) > 0.2:
            fix = say("Labels fit the inputs {lag} rows away: they are shifted.", lag=case["order.lag"])
            out.append(
                case.diagnose(
                    "labels-damaged", "labels are shifted against the inputs", 0.95, fix, place=place
                )
            )
    apart = case["origin.shuffled_apart"]
    if not out and apart is not None and rows >= 40 and _tells_nothing(case):
        fix = say("Two arrays that belong together are shuffled one after the other, each in an order of its own: draw one order (order = permutation(n)) and index both with it.")  # fmt: skip
        out.append(
            case.diagnose(
                "labels-damaged",
                "inputs and labels are shuffled apart, and nothing tells held-out labels from inputs",
                0.9,
                fix,
                place=apart,
                change=_one_order(case),
                evaluation_in_standard_deviations=case["score.evaluation_z"],
            )
        )
    behind = case["origin.left_behind"]
    if not out and behind is not None and rows >= 40 and _tells_nothing(case):
        fix = say("The rows are put into another order after the labels were taken from them, and the labels keep the old one: take the labels after the shuffle.")  # fmt: skip
        out.append(
            case.diagnose("labels-damaged", "rows were shuffled after their labels were taken, and nothing tells held-out labels from inputs",
                          0.9, fix, place=behind, change=_one_order(case),
                          evaluation_in_standard_deviations=case["score.evaluation_z"])
        )  # fmt: skip
    several, spread = case.number("target.retargeted", 0), case.number("target.retargeted_spread", 0.0)
    unlearned = case.got - case.constant < 0.05 and _tells_nothing(case)
    most = case.number("target.retargeted_share", 0.0) > 0.5
    drawn = several >= 50 and spread > 0.8 and unlearned
    if not out and drawn and ((most and _labelled(case)) or case["task.kind"] == "sequence"):
        out.append(_drawn_targets(case, several, spread))
    if not out and not _has_signal(case):
        fix = say(
            "Labels carry no information on these inputs: shuffled against each other, or pure noise. Look at how inputs and labels are joined (a sort, a shuffle or an index on one side alone)."
        )
        text = say("labels carry no information on these inputs: shuffled against each other, or pure noise")
        out.append(
            case.diagnose(
                "labels-damaged",
                text,
                0.8,
                fix,
                place=place,
                signal_in_standard_deviations=case["signal.z"],
                correlation_below=case["signal.correlation_below"],
                evaluation_in_standard_deviations=case["score.evaluation_z"],
            )
        )
    if (
        case["task.kind"] == "classes"
        and len(shares) >= 3
        and shares[0] == 0.0
        and min(shares[1:]) > 0
        and classes == present + 1
    ):
        fix = say("Labels run from 1: subtract 1, and give the model one output per class.")
        severity: Severity = "error" if case.sick else "note"
        out.append(
            case.diagnose(
                "labels-damaged",
                "labels start at 1, output 0 has no class",
                0.6,
                fix,
                severity=severity,
                place=place,
            )
        )
    return out


def pairs(case: Case) -> list[Diagnosis]:
    """Pairs that are alike from the start are pushed apart, unlike ones pulled together, and neither is learned."""
    looks = case["custom.pairs"] or []
    if case["loss.kind"] is not None or len(looks) < 4:
        return []
    alike, learned = (
        sum(x[k] for x in some) / len(some) for k, some in (("alike", looks), ("learned", looks[-3:]))
    )
    error = math.sqrt(sum(x["error"] ** 2 for x in looks)) / len(looks)
    # Pairs that are mined for being hard are turned around too, by the outputs most of all, or are learned.
    if alike > min(0.35, 0.5 - 4 * error) or not alike + 0.05 < learned < 0.6:
        return []
    place = case["custom.place"] or case["places.backward"]
    fix = say("The loss pulls together pairs that are less alike than those it pushes apart (inputs of a pulled pair are nearer with a probability of {alike:.2f}), and hardly gets them there ({learned:.2f}): the meaning of 0 and 1 is turned around between labels and loss.", alike=alike, learned=learned)  # fmt: skip
    return [
        case.diagnose("labels-damaged", "the loss pulls unlike pairs together and pushes like ones apart", 0.85, fix, place=place,
                      change={"turn_pairs": True}, pulled_pairs_nearer_by_inputs=alike, pulled_pairs_nearer_by_outputs=learned)
    ]  # fmt: skip


def _one_order(case: Case) -> dict[str, Any]:
    """Return the change to the text that keeps labels with their inputs, where the text shows how they parted."""
    for name, found in (("same_order", "shuffled_apart"), ("kept_order", "left_behind")):
        place = case[f"origin.{found}"]
        if place is not None:
            return {"rewrite": (name, place.line)}
    return {}


def _tells_nothing(case: Case) -> bool:
    """Return whether neither a small model nor the script's own evaluation is above chance on rows held out."""
    reference = case["reference"]
    if reference is None:
        return False
    own = case.own_best - reference["constant"] if not math.isnan(case.own_best) else 0.0
    gain = max(reference["held_out"] - reference["constant"], own)
    return gain < max(0.04, 2 * reference["se"]) and not case.number("score.evaluation_z", 0.0) >= 2.33


def _labelled(case: Case) -> bool:
    """Return whether rows of numbers come back with a target each for the outputs of one model.

    Rows that never come back (a policy's, a generator's) or a loss on something computed from the output (a
    chosen action's value, a similarity of pairs) have no labels in this sense.
    """
    shape = case["loss.prediction_shape"] or (case["custom.shapes"] or ((),))[0]
    if case.number("epochs", 0.0) < 2 or math.prod(shape[1:]) != case.number("outputs.width", 0):
        return False
    return case.number("roots", 1) == 1 and case["input.kind"] == "float"


def _has_signal(case: Case) -> bool:
    """Return False where enough rows were looked at and nothing told anything of the labels.

    No reference, no out-of-fold fit, no sound training of the script's own model, and not the script's own
    evaluation is above chance, each by a one-sided test at the 1 % level.
    """
    if (
        not _labelled(case)
        or case.number("signal.rows", 0) < 400
        or case.number("input.dims", 9) not in (2, 4)
    ):
        return True
    if case.number("signal.z", 9.0) > 2.33 or case.number("signal.correlation_below", 1.0) > 0.14:
        return True
    if case.number("reference.surest", 9.0) > 2.33 or case.number("score.evaluation_z", 0.0) > 2.33:
        return True
    constant = case.number("reference.constant", 0.0)
    own = case.own_best
    held = HELD_SHARE * case.number("rows", 0)
    spread = math.sqrt(max(constant * (1 - constant), 0.01) / held) if case["task.classification"] else 0.02
    return not math.isnan(own) and own > constant + 2.33 * spread


def _altered(case: Case) -> bool:
    """Return whether training rows never come back though many were kept, or as mirrored or turned copies."""
    return case.number("rows", 0) >= 300 and (
        case.number("repeats", 1.0) < 0.01 or case.number("mirrored", 0.0) > 0.1
    )


def _unaltered(case: Case) -> list[Diagnosis]:
    """The same training does better on its own evaluation rows when rows are fetched without draws."""
    found = case["unaltered"] or {}
    mine = case.number("score.evaluation", case.number("score.evaluation_by_script"))
    if not found or math.isnan(mine):
        return []
    there, spread = found["score"], 2.5 * case.number("reference.se", 0.05)
    if not there - mine > max(0.05, spread):
        return []
    fix = say("What is drawn each time a row is fetched destroys its signal: the same training reaches {there:.2f} on the evaluation rows without it, and {mine:.2f} with it. Weaken or drop it.", there=there, mine=mine)  # fmt: skip
    return [
        case.diagnose("augmentation", "what is done to training rows destroys their signal", 0.85, fix, place=case["places.model"],
                      change={"neutral": True}, unaltered_rows_reach=there, evaluation_score=mine)
    ]  # fmt: skip


def _relabelled(case: Case) -> list[Diagnosis]:
    """Rows of which nothing can be learned come back, as they were or mirrored, with other targets."""
    others = case.number("relabelled", 0.0)
    if others >= 0.6 and case.number("repeats", 1.0) < 0.01:  # drawn anew each time: an augmentation mirrors
        fix = say("Rows come in another form each time, and mirrored or turned ones look like rows with other labels, {others:.0%} as often as any two rows: of these pictures a mirrored one is something else. Leave the flip out, or flip only what keeps its label.", others=min(others, 1.0))  # fmt: skip
        return [
            case.diagnose("augmentation", "mirrored rows look like rows of other classes", 0.9, fix, place=case["places.model"],
                          change={"neutral": True}, copies=case.number("mirrored"), other_labels=others)
        ]  # fmt: skip
    if others >= 0.6:
        fix = say("Mirrored or turned copies carry other labels than their originals, {others:.0%} as often as any two rows: labels were not copied in the order of their pictures. Of [x, mirrored x] they are np.tile(y, 2) or torch.cat([y, y]), not np.repeat(y, 2).", others=min(others, 1.0))  # fmt: skip
        return [
            case.diagnose("labels-damaged", "mirrored copies carry other labels than their originals", 0.9, fix, place=case["places.model"],
                          copies=case.number("mirrored"), other_labels=others)
        ]  # fmt: skip
    several, spread = case.number("target.retargeted", 0), case.number("target.retargeted_spread", 0.0)
    if several < 10 or spread < 0.6 or not case.number("reference.surest", 0.0) < 2.33:
        return []
    return [_drawn_targets(case, several, spread)]


def _drawn_targets(case: Case, several: float, spread: float) -> Diagnosis:
    fix = say("The same row comes with another target each time that it is trained on, as far apart as those of any two rows: targets are drawn or put into another order apart from their inputs, in each batch or epoch. Index both with one order.")  # fmt: skip
    return case.diagnose("labels-damaged", "the same rows come with other targets each time", 0.9, fix, place=case["loss.place"] or case["places.backward"],
                         inputs_with_several_targets=several, spread_within_an_input=spread)  # fmt: skip


def augmentation(case: Case) -> list[Diagnosis]:
    """Training rows are altered until they no longer tell what evaluation rows tell."""
    if case["stored_rows_change"]:
        fix = say("Each reading of a row changes what the dataset holds, so that the next reading changes it further: copy the row first (row = self.rows[i].copy() or .clone()), or do it once in __init__.")  # fmt: skip
        code = "augmentation" if case["stored_rows_change"] == "drawn" else "input-scale"
        return [
            case.diagnose(code, "the dataset changes its own rows each time that they are read", 0.95, fix, place=case["places.model"],
                          change={"kept_rows": True})
        ]  # fmt: skip
    made = _unaltered(case)
    if made:
        return _relabelled(case) or made
    reference = case["reference"]
    if reference is None or not _altered(case):
        return []
    gain, elsewhere = reference["held_out"] - reference["constant"], reference["evaluation_gain"]
    mine = case.number("score.evaluation", case.number("score.evaluation_by_script"))
    if math.isnan(elsewhere) or math.isnan(mine) or case.number("evaluation.rows", 0) < 40:
        return []
    constant = case.constant
    behind = constant + elsewhere - mine
    # Turned and mirrored copies of few pictures make many rows: fewer, as they are, tell more all the same.
    turned = case.number("mirrored", 0.0) > 0.5 and case.number("rows", 0) > 2 * case.number(
        "evaluation.rows", 0
    )
    margin = 0.03 + 2 * case.number("reference.se", 0.05) if turned else 0.12
    if elsewhere < gain + margin or behind < 0.15:
        return []
    if made := _relabelled(case):
        return made
    place = case["places.model"]
    fix = say(
        "Evaluation rows can be learned (to {elsewhere:.2f}), training rows as the model sees them far less (to {here:.2f}): the augmentation or noise put on them destroys what the labels depend on. Weaken or drop it.",
        elsewhere=constant + elsewhere,
        here=constant + gain,
    )
    return [
        case.diagnose(
            "augmentation",
            "what is done to training rows destroys their signal",
            0.85,
            fix,
            place=place,
            change={"neutral": True},
            gain_on_training_rows=gain,
            gain_on_evaluation_rows=elsewhere,
            evaluation_score=mine,
            spread_ratio=case.number("evaluation.scale"),
        )
    ]


_OF_NUMBERS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def drowned(case: Case) -> list[Diagnosis]:
    """An output that is learned where its loss stands alone, and not beside another loss many times as large."""
    times, other = case.number("judged_output.times", 0.0), case["judged_output.largest"]
    if not (case.sick and times >= 20 and case.cure("same") >= 0.5):
        return []
    place = case["judged_output.place"]
    fix = say("The loss {other} is {times:.0f} times as large as the one on this output, which is learned where its loss stands alone. Standardise the targets of the large one (or divide it by its usual size), so that both are about 1.", other=other, times=times)  # fmt: skip
    code = "target-scale" if other in _OF_NUMBERS else "loss-reduction"
    return [
        case.diagnose(code, "a loss many times as large drowns what this output is taught", 0.85, fix, place=place,
                      times_as_large=times, cured=case.cure("same"))
    ]  # fmt: skip


rules = (target_scale, drowned, labels, pairs, augmentation)
