"""Causes at the loss: output activation, wrong loss, reduction, silent broadcast. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

import numpy as np

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_before, changed, drop_call, set_keyword, swap_name
from soundfit.doctor.judge import ACTIVATION_RANGES, PRODUCTS
from soundfit.records import Diagnosis, Place
from soundfit.records.said import say

__all__ = ["rules"]


def _loss_place(case: Case) -> Place:
    return case["loss.place"] or case["custom.place"] or case["places.backward"] or Place()


def _activation_place(case: Case, *kinds: str) -> Place | None:
    """Return where the output's activation module was built, where it is a module."""
    found = [a for a in case["modules.activations"] or [] if a["kind"] in kinds and a["place"] is not None]
    return found[-1]["place"] if found else None


def output_activation(case: Case) -> list[Diagnosis]:
    """Softmax or sigmoid before a loss that applies it itself; softmax on one unit; bounded regression."""
    kind, made = case["loss.kind"], case["loss.activation"]
    if kind is None:
        made = case["custom.activation"]
    shape: tuple[int, ...] = case["loss.prediction_shape"] or (case["custom.shapes"] or [()])[0]
    width = shape[1] if len(shape) > 1 else 1
    where = _activation_place(case, "Softmax", "LogSoftmax", "Sigmoid", "ReLU", "Tanh") or _loss_place(case)
    squeezed = len(shape) == 1 and (case.number("outputs.width") == 1 or case.number("outputs.std") < 1e-7)
    if made in ("softmax", "log_softmax") and width == 1 and (len(shape) == 2 or squeezed):
        fix = say("One unit's softmax is 1 whatever the input: end the model in a plain linear layer and use BCEWithLogitsLoss (or a sigmoid with BCELoss).")  # fmt: skip
        patch = changed(where, swap_name(r"Softmax\([^)]*\)", "Sigmoid()"), "") or changed(
            where, swap_name(r"softmax\(([^,]+),[^)]*\)", r"sigmoid(\1)")
        )
        return [
            case.diagnose(
                "output-activation",
                "softmax over a single output unit is always 1",
                0.99,
                fix,
                place=where,
                patch=patch,
                change={"output": "sigmoid"},
                activation=made,
                width=width,
            )
        ]
    axis = case["loss.axis"]
    if (
        kind is not None
        and axis is not None
        and len(shape) > 1
        and (axis == 0 or (kind == "nll_loss" and axis != 1))
    ):
        over = say("the rows of the batch") if axis == 0 else say("not the classes")
        fix = say(
            "The {made} runs over axis {axis} ({over}): its outputs of one row do not sum to 1. Use dim=1.",
            made=made, axis=axis, over=over,
        )  # fmt: skip
        patch = changed(where, swap_name(rf"dim\s*=\s*-?{axis}", "dim=1")) or changed(
            where, set_keyword("dim", "1")
        )
        return [
            case.diagnose("output-activation", say("{made} over the wrong axis", made=made), 0.97, fix, place=where, patch=patch,
                          change={"axis": 1}, axis=axis, shape=list(shape))
        ]  # fmt: skip
    if kind == "kl_div" and (
        made in ("softmax", "sigmoid", "relu") or case.number("loss.prediction_max") > 1e-3
    ):
        fix = say("kl_div wants log-probabilities as its input: use log_softmax (its target stays probabilities).")  # fmt: skip
        patch = changed(where, swap_name(r"\bsoftmax|\bSoftmax", "log_softmax"))
        return [
            case.diagnose("output-activation" if made else "loss-mismatch", "kl_div on values that are no log-probabilities", 0.96, fix,
                          place=where, patch=patch, change={"output": "log"} if made == "softmax" else {}, activation=made)
        ]  # fmt: skip
    double: dict[str, tuple[str, ...]] = {
        "cross_entropy": ("softmax", "sigmoid", "relu", "tanh"),
        "binary_cross_entropy_with_logits": ("sigmoid", "softmax", "relu", "tanh"),
        "nll_loss": ("softmax", "sigmoid", "relu"),
    }
    if kind in double and made in double[kind]:
        if kind == "nll_loss":
            fix = say("NLLLoss wants log-probabilities: use log_softmax, or drop the softmax and use CrossEntropyLoss.")  # fmt: skip
            patch = changed(where, swap_name("Softmax", "LogSoftmax")) or changed(
                where, swap_name("softmax", "log_softmax")
            )
            change = {"output": "log"} if made == "softmax" else {"output": "drop", "loss": "cross_entropy"}
        else:
            fix = say("{kind} applies its own {own}: remove the {made} and hand it the plain linear output.", kind=kind, own="softmax" if kind == "cross_entropy" else "sigmoid", made=made)  # fmt: skip
            patch = changed(where, drop_call(made.capitalize(), "ReLU", made)) or say(
                "- {made} on the output", made=made
            )
            change = {"output": "drop"}
        sure = 0.98 if made in ("softmax", "sigmoid") else 0.9
        silent = made == "relu" and case.number("outputs.own_zero", 0.0) > 0.02
        if made in ("relu", "tanh") and not (case.sick or silent):
            return []
        cause = say(
            "{made} on the output before {kind}, which expects {expected}",
            made=made,
            kind=kind,
            expected=say("log-probabilities") if kind == "nll_loss" else say("raw logits"),
        )
        return [
            case.diagnose(
                "output-activation",
                cause,
                sure,
                fix,
                place=where,
                patch=patch,
                change=change,
                activation=made,
                loss=kind,
                rows_without_gradient=case["outputs.own_zero"] if silent else None,
            )
        ]
    positive = min(case.number("outputs.max"), case.number("loss.prediction_max", math.inf)) > 0.01
    if kind == "nll_loss" and made is None and positive:
        fix = say("NLLLoss wants log-probabilities: use CrossEntropyLoss on the logits, or end the model in LogSoftmax.")  # fmt: skip
        return [
            case.diagnose(
                "loss-mismatch",
                "NLLLoss on raw outputs, not log-probabilities",
                0.97,
                fix,
                place=_loss_place(case),
                patch=changed(_loss_place(case), swap_name("NLLLoss|nll_loss", "CrossEntropyLoss")),
                change={"loss": "cross_entropy"},
                loss=kind,
            )
        ]
    apart = case.number("target.off_simplex", 0.0) > 0.05 and not case.fine and case["task.kind"] != "copy"
    # Most rows have several ones or none: known of the loss even where rows have no score.
    unscored = not case.judged and case.number("loss.many_hot", 0.0) > 0.2
    many = (case["task.kind"] == "multilabel" and case.sick) or unscored
    shared = "softmax" in (made, case["custom.logged"] if kind is None else None)
    if shared and width > 1 and (apart or (many and kind == "binary_cross_entropy")):
        fix = say("Labels that do not exclude each other need a sigmoid each, not one softmax over all.")
        return [
            case.diagnose(
                "output-activation",
                "softmax over labels that do not exclude each other",
                0.9,
                fix,
                place=where,
                change={"output": "sigmoid"},
            )
        ]
    return _bounded_output(case, made, where)


_WEIGHED = (*PRODUCTS, "gather", "__getitem__", "where")


def _bounded_output(case: Case, made: str | None, where: Place) -> list[Diagnosis]:
    """A bounded or one-sided output against targets beyond its range."""
    if case["task.kind"] not in ("regression", "binary", "one-hot", "copy") or made is None:
        return []
    if case["loss.kind"] is None and case["custom.first_meeting"] in _WEIGHED:
        return []  # a likelihood by hand: shares of classes weigh logarithms, and are no amounts to be met
    low, high = case.number("target.min"), case.number("target.max")
    spread = case.number("target.std", 1.0)
    if made not in ACTIVATION_RANGES or case["loss.kind"] not in (
        None,
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
    ):
        return []
    bottom, top = ACTIVATION_RANGES[made]
    beyond = (low < bottom - 0.05 * spread) or (high > top + 0.05 * spread)
    # Where a twentieth of the targets or more lies beyond, no training can reach them.
    far = (
        case.number("target.low", bottom) < bottom - 0.2 * spread
        or case.number("target.high", top) > top + 0.2 * spread
    )
    # Without a reference what is possible was found with the same output.
    doubt = not case.fine or case["reference"] is None
    amounts = case["task.kind"] == "regression" and (case.sick or not case.judged or (far and doubt))
    if beyond and (amounts or (case["task.kind"] == "copy" and far)):
        fix = say("Targets run from {low:.4g} to {high:.4g}, a {made} gives {bottom:g} to {top:g}: end the model in a plain linear layer.", low=low, high=high, made=made, bottom=bottom, top=top)  # fmt: skip
        return [
            case.diagnose(
                "output-activation",
                say("{made} on the output cannot reach the targets", made=made),
                0.95,
                fix,
                place=where,
                patch=changed(where, drop_call(made.capitalize(), "ReLU", made)),
                change={"output": "drop"},
                activation=made,
                target_min=low,
                target_max=high,
            )
        ]
    if made == "relu" and case.sick and case["task.kind"] in ("binary", "one-hot"):
        fix = say("A ReLU on the output has no slope below zero: end the model in a plain linear layer.")
        return [
            case.diagnose(
                "output-activation",
                "ReLU on the output of a classifier",
                0.85,
                fix,
                place=where,
                patch=changed(where, drop_call("ReLU", "relu")),
                change={"output": "drop"},
                activation=made,
            )
        ]
    return []


def out_of_reach(case: Case) -> list[Diagnosis]:
    """The same where no module makes the output: tensors alone, without a score to judge by."""
    found = case["custom.reach"]
    if not found or case["task"] is not None or found["beyond"] < 0.1:
        return []
    made, where = found["activation"], _loss_place(case)
    fix = say("{beyond:.0%} of the targets ({low:.4g} to {high:.4g}) lie beyond what a {made} gives: end the model in a plain linear layer.", made=made, **{k: found[k] for k in ("beyond", "low", "high")})  # fmt: skip
    text = say("{made} on the output cannot reach the targets", made=made)
    return [
        case.diagnose(
            "output-activation",
            text,
            0.9,
            fix,
            place=where,
            change={"output": "drop"},
            activation=made,
            beyond=found["beyond"],
        )
    ]


def mismatch(case: Case) -> list[Diagnosis]:
    """A regression loss on classes, or a class loss on numbers."""
    kind = case["loss.kind"]
    squared = kind in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss") or (
        kind is None and any(o in ("Pow", "Abs") for o in case["custom.structure.operations"] or [])
    )
    task = case["task.kind"]
    place = _loss_place(case)
    if squared and task in ("binary", "one-hot") and case.sick:
        loss = "CrossEntropyLoss" if task == "one-hot" else "BCEWithLogitsLoss"
        made = case["loss.activation"] or case["custom.activation"]
        fix = say("The targets are classes: use {loss} on raw outputs.", loss=loss)
        sure = 0.85 if case.cure("sound-loss") > 0.4 else 0.6
        return [
            case.diagnose(
                "loss-mismatch",
                say("{loss} on classes", loss=kind or say("squared error")),
                sure,
                fix,
                place=place,
                patch=changed(place, swap_name(r"MSELoss|L1Loss|SmoothL1Loss", loss)),
                change={"loss": "sound"},
                activation=made,
                cured_by_loss=case.cure("sound-loss"),
            )
        ]
    signed = kind in ("soft_margin_loss", "hinge_embedding_loss") and task == "binary"
    if signed or (kind is None and case["custom.margin"] == [0.0, 1.0]):
        fix = say("A margin loss multiplies outputs by -1 or 1: rows with a target of 0 get no gradient at all. Use 2 * target - 1.")  # fmt: skip
        return [case.diagnose("loss-mismatch", "a margin loss on targets 0 and 1", 0.95, fix, place=place)]
    unknown = task is None and case.number("loss.many_hot", 0.0) > 0.2
    if kind == "cross_entropy" and (task == "multilabel" or unknown):
        fix = say("Several labels are 1 in a row, and a softmax divides one probability among them: use BCEWithLogitsLoss, and a sigmoid and a threshold for each label.")  # fmt: skip
        return [
            case.diagnose("loss-mismatch", "cross-entropy on labels that may stand together", 0.95, fix, place=place,
                          patch=changed(place, swap_name(r"CrossEntropyLoss", "BCEWithLogitsLoss")), change={"loss": "bce"})
        ]  # fmt: skip
    shape = case["loss.prediction_shape"] or (0, 0)
    width = shape[1] if len(shape) > 1 else 1
    values, integers = case.number("target.values", 0), case["target.integers"]
    many = (
        2 < values <= 100
        and integers
        and case.number("target.min") == 0
        and case.number("target.max") == values - 1
    )
    if (
        squared
        and task == "regression"
        and many
        and case.number("rows") > 5 * values
        and case["target.dtype"]
    ):
        if width == values and len(shape) == 2 and shape[0] != shape[1]:
            fix = say("Class numbers are names, not amounts: CrossEntropyLoss on one output per class.")
            return [
                case.diagnose(
                    "loss-mismatch",
                    "squared error between class scores and class numbers",
                    0.95,
                    fix,
                    place=place,
                    change={"loss": "sound"},
                )
            ]
        gain = case.number("classes_reference.gain")
        if gain > 0.04 and case.number("classes_reference.accuracy") > 0.75:
            fix = say("The target has {values:.0f} values 0 … {last:.0f} like class numbers: one output per class and CrossEntropyLoss.", values=values, last=values - 1)  # fmt: skip
            return [
                case.diagnose(
                    "loss-mismatch",
                    "squared error on class numbers",
                    0.7 if case.sick else 0.55,
                    fix,
                    place=place,
                    change={},
                    values=values,
                    gain=gain,
                )
            ]
    by_hand = kind is None and case["custom.logged"] == "sigmoid"
    bce = by_hand or kind in ("binary_cross_entropy", "binary_cross_entropy_with_logits")
    if bce and task in ("regression",) and (case.number("target.max") > 1 or case.number("target.min") < 0):
        fix = say("Binary cross-entropy wants targets from 0 to 1: recode them, or use MSELoss for amounts, CrossEntropyLoss for several classes.")  # fmt: skip
        code = "labels-damaged" if case.number("target.values", 99) <= 2 else "loss-mismatch"
        return [
            case.diagnose(
                code,
                "binary cross-entropy on targets outside 0 … 1",
                0.95,
                fix,
                place=place,
                change={"target": "unit"} if code == "labels-damaged" else {"loss": "sound"},
                target_min=case.number("target.min"),
                target_max=case.number("target.max"),
            )
        ]
    if bce and task == "one-hot" and case.sick and case.cure("sound-loss") > 0.5:
        fix = say("Classes that exclude each other: CrossEntropyLoss on raw outputs.")
        return [
            case.diagnose(
                "loss-mismatch",
                "binary cross-entropy over classes that exclude each other",
                0.6,
                fix,
                place=place,
                change={"loss": "sound"},
            )
        ]
    if (
        kind == "cross_entropy"
        and width == 1
        and case["loss.target_dtype"] in ("float32", "float64", "int64")
    ):
        fix = say("Cross-entropy over one output is always 0: use BCEWithLogitsLoss for two classes, MSELoss for amounts.")  # fmt: skip
        return [
            case.diagnose(
                "loss-mismatch",
                "cross-entropy over a single output is constant",
                0.97,
                fix,
                place=place,
                patch=changed(place, swap_name("CrossEntropyLoss|cross_entropy", "BCEWithLogitsLoss")),
                change={"loss": "sound"},
            )
        ]
    return []


def broadcast(case: Case) -> list[Diagnosis]:
    """(N, 1) against (N,): every row compared with every other."""
    grown = case["custom.structure.broadcast"]
    for kind, one in (case["losses"] or {}).items():
        p, y = tuple(one["prediction_shape"]), tuple(one["target_shape"])
        subtracts = kind in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss") and one["calls"] > 0
        stretched = p != y and len(p) == len(y) > 0 and p[-1] != y[-1] and 1 in (p[-1], y[-1])
        if subtracts and (stretched or _squares(p, y)):
            grown = (p, y)
    if grown is None or case["task.kind"] == "copy":
        return []
    fix = say("Give prediction and target one shape: target.view_as(prediction) or prediction.squeeze(1).")
    place = _loss_place(case)
    patch = added_before(place, "target = target.view_as(prediction)")
    return [
        case.diagnose(
            "shape-broadcast",
            say(
                "shapes {one} and {other} broadcast: each row is compared with all rows",
                one=str(tuple(grown[0])),
                other=str(tuple(grown[1])),
            ),
            0.99,
            fix,
            place=place,
            patch=patch,
            change={"align": True},
            shapes=[list(grown[0]), list(grown[1])],
        )
    ]


def _squares(p: tuple[int, ...], y: tuple[int, ...]) -> bool:
    # (N, N) against (N,): the square was made before, where the output was put together.
    one, two = sorted((p, y), key=len)
    return len(one) == 1 and len(two) == 2 and two[1] in (1, one[0]) and one[0] == two[0] and one[0] > 1


def _twice(case: Case) -> list[Diagnosis]:
    """The same loss goes backward twice before a step: every gradient counts double."""
    twice = case.trace.series.get("backward_twice")
    seen = int(np.isfinite(twice).sum()) if twice is not None else 0
    if seen < 2:
        return []
    place = case["places.backward"]
    fix = say("One backward pass a step: the second adds every gradient once more, as twice the learning rate would.")  # fmt: skip
    return [
        case.diagnose(
            "loss-reduction",
            "the same loss goes backward twice before each step",
            0.8 if case.sick else 0.6,
            fix,
            severity="error" if case.sick else "warning",
            place=place,
            patch=changed(place, lambda line: f"# {line}"),
            change={"once": True},
            steps_seen=seen,
        )
    ]


def _drowned(case: Case) -> list[Diagnosis]:
    """A copy that says the same for every row, under a loss of which one part is a mean and another a sum."""
    straight = case.number("linear_copy", 0.0)
    unlike = abs(case.number("score.outputs_z", 9.0)) < 2.33 or case.got < 0.1 * straight
    same = case["task.kind"] == "copy" and case.got < 0.1 and unlike
    parts = case["custom.structure.operations"] or []
    by_hand = case["loss.kind"] is None and parts[:1] in (["Add"], ["Sub"]) and "Mean" in parts
    averaged = case["loss.reduction"] == "mean" or by_hand
    mixed = averaged and "Sum" in parts and "Add" in parts
    if not (same and mixed and straight > 0.3 and case.number("trained_steps", 0) >= 100):
        return []
    place = _loss_place(case)
    fix = say("The error is averaged over rows and columns and the other term is summed, which drowns it: sum both (reduction='sum') or average both.")  # fmt: skip
    return [
        case.diagnose("loss-reduction", "the output is the same for every row: the summed term of the loss drowns the averaged error", 0.9, fix, place=place, patch=changed(place, set_keyword("reduction", "'sum'")),
                      change={"reduction": "sum"}, linear_copy=case.number("linear_copy"))
    ]  # fmt: skip


def reduction(case: Case) -> list[Diagnosis]:
    """A loss summed over the batch, or scaled, so that the rate no longer fits."""
    drowned = _drowned(case) or _shrunk(case)
    if drowned:
        return drowned
    summed = case["loss.reduction"] == "sum" or (
        case["custom.structure.reduction"] == "sum" and case["loss.kind"] is None and case["task"] is not None
    )
    if not summed or not case.sick:
        return _twice(case)
    size = max(case.number("batch_size", 1), 1)
    down = max(case.cure("rate-down-10"), case.cure("rate-down-100"))
    sure = 0.9 if (down > 0.5 or case.nonfinite) and size >= 8 else 0.6
    place = _loss_place(case)
    fix = say("Average over the batch: reduction='mean' (the gradient is now as many times too large as the batch has rows).")  # fmt: skip
    return [
        case.diagnose(
            "loss-reduction",
            say("the loss is summed over {size:.0f} rows", size=size),
            sure,
            fix,
            place=place,
            patch=changed(place, set_keyword("reduction", "'mean'"))
            or changed(place, swap_name(r"\.sum\(\)", ".mean()")),
            change={"reduction": "mean"},
            batch_size=size,
        )
    ]


def _shrunk(case: Case) -> list[Diagnosis]:
    """A mean loss that is divided once more, by hundreds or by its rows, before steps that are as long as its gradient."""
    factor, passes = case["custom.factor"], case.number("backwards", 1) / max(case.number("steps", 1), 1)
    if case["optimiser.class"] not in ("SGD", "ASGD") or factor is None or not factor > 0:
        return []
    rows = (case["loss.prediction_shape"] or (0,))[0]
    by_rows = passes < 1.5 and rows >= 16 and abs(factor * rows - 1) < 0.02
    if not (factor * max(passes, 1) < 0.01 or by_rows):
        return []
    if case.fine or not (case.sick or case.smooth(1.0) > 0.9 * case.smooth(0.0)):
        return []
    times, place = 1 / factor, case["places.backward"]
    fix = say("The loss is divided by {times:.0f} before backward(), and each step with it: it is a mean over the batch already.", times=times)  # fmt: skip
    return [
        case.diagnose("loss-reduction", say("a mean loss is divided by {times:.0f} once more", times=times), 0.88, fix, place=place,
                      change={"own_loss": True} if by_rows else {"rate": times}, factor=factor)
    ]  # fmt: skip


def half(case: Case) -> list[Diagnosis]:
    """A likelihood by hand that only rewards ones: in the end every output is 1, whatever its target."""
    found = case["custom.half"]
    if not found or case.fine or found["raised"] < 0.8 or found["given"] > 0.7:
        return []
    place = _loss_place(case)
    fix = say("The loss is y * log(p) alone: nothing speaks against p = 1, and it is {raised:.2f} where targets are 0. Add (1 - y) * log(1 - p), or use binary_cross_entropy.", raised=found["raised"])  # fmt: skip
    return [
        case.diagnose("loss-mismatch", "half of the binary cross-entropy is missing: every output goes to 1", 0.93, fix, place=place,
                      outputs_where_targets_are_0=found["raised"], mean_target=found["given"])
    ]  # fmt: skip


rules = (output_activation, out_of_reach, half, mismatch, broadcast, reduction)
