"""Causes in the network: missing nonlinearity, dead and saturated units, depth. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_after, changed, swap_name
from soundfit.doctor.symptoms import gradient_profile
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]

_CURVED = {
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "sigmoid",
    "tanh",
    "hardtanh",
    "prelu",
    "sin",
    "celu",
    "glu",
    "attention",
    "recurrent",
    "pool",
    "power",
    "exp",
    "maximum",
    "abs",
    "clamp",
}


def nonlinearity(case: Case) -> list[Diagnosis]:
    """Linear layers follow each other with nothing curved between."""
    if case["modules"] is None:
        return _straight_by_hand(case)
    sequence = case["modules.sequence"] or []
    count = sum(1 for s in sequence if s == "linear")
    inner = sequence[: len(sequence) - 1 - sequence[::-1].index("linear")] if "linear" in sequence else []
    # The function itself, whatever was called on its way; one that says the same of every row, as saturated
    # units do, tells nothing.
    tells = not case.number("outputs.std", 1.0) < 1e-4 and case.number("behaviour.own", 1.0) > 0.5
    straight = tells and case.number("behaviour.bend", 1.0) < 1e-4
    curved = any(s in _CURVED for s in inner) or case["modules.handmade"] or case["modules.recurrent"]
    curved = curved or case["custom.own_functions"]
    # What ran before may be another model, whose outputs this one reads: a single layer is straight by intent.
    alone = len(case["weights.matrices"] or ()) == 1 and not case["modules.handmade"]
    if count < 2 or (curved and not straight) or (curved and alone):
        return []
    by_model = case["reference.by_model"] or {}
    bent = max((v for k, v in by_model.items() if k != "linear"), default=math.nan)
    gain = bent - by_model.get("linear", math.nan)
    place = case["modules.first_place"]
    fix = say(
        "{count} linear layers without an activation between are one linear layer: put nn.ReLU() after each but the last.",
        count=count,
    )
    patch = changed(place, swap_name(r"(nn\.Linear\([^)]*\))\s*,", r"\1, nn.ReLU(),"))
    if not case.sick and (curved or not straight or not _falls_short(case)):
        return []
    if curved:
        return [_unused_activation(case, count)]
    sure = 0.95 if gain > 0.04 or math.isnan(gain) or case.architecture_limits else 0.4
    return [
        case.diagnose(
            "missing-nonlinearity",
            say("{count} linear layers in a row, no activation between", count=count),
            sure if case.sick else 0.75,
            fix,
            place=place,
            patch=patch,
            change={"activation": "relu"},
            linear_reference=by_model.get("linear"),
            curved_reference=bent,
        )
    ]


def _falls_short(case: Case) -> bool:
    """Return whether a straight classifier of maps or sequences, which no small model judges, is far from right.

    One that is right nearly always needs no curve, and what copies its inputs may be straight by intent.
    """
    dense = case.number("task.columns", 1) >= 16 and case["task.kind"] == "multilabel"
    wrong, chance = 1 - case.got, 1 - case.constant
    return dense and wrong > 0.05 and wrong > 0.2 * chance


def _straight_by_hand(case: Case) -> list[Diagnosis]:
    """Matrix products of the author's own follow each other with nothing curved between, and the loss stays up."""
    count = round(case.number("custom.straight", 0))
    if count < 2 or case.smooth(1.0) < 0.02 * case.smooth(0.0):
        return []
    fix = say(
        "{count} linear layers without an activation between are one linear layer: put torch.relu around each but the last.",
        count=count,
    )
    cause = say("{count} linear layers in a row, no activation between", count=count)
    return [case.diagnose("missing-nonlinearity", cause, 0.85, fix, place=case["places.backward"],
                          change={"between": True})]  # fmt: skip


def _unused_activation(case: Case, count: int) -> Diagnosis:
    """Activations are called, and the trained model is a straight map all the same: their results go nowhere."""
    place = case["origin.dropped_result"] or case["modules.first_place"]
    fix = say("The model is a straight map though activations are called: their results are not used, or no unit ever bends. Assign the result: x = F.relu(x).")  # fmt: skip
    patch = (
        changed(place, swap_name(r"^(\s*)(.*\((\w+)[,)].*)$", r"\1\3 = \2"))
        if case["origin.dropped_result"]
        else ""
    )
    cause = say("{count} linear layers act as one: what the activations give is not used", count=count)
    return case.diagnose("missing-nonlinearity", cause, 0.95, fix, place=place, patch=patch, change={"activation": "relu"},
                         bend=case.number("behaviour.bend"))  # fmt: skip


def dead(case: Case) -> list[Diagnosis]:
    """ReLU units that never fire."""
    if case["silent"] and case.number("backwards", 0) >= 20:
        return [_silent_by_hand(case)]
    severed = _is_severed(case)
    if not (case.sick or severed) or case.nonfinite:  # of weights that are no numbers any more no unit fires
        return []
    last = [u for u in (case["units"] or {}).get("last", []) if "dead" in u]
    first = [u for u in (case["units"] or {}).get("first", []) if "dead" in u]
    if not last:
        return []
    worst = max(last, key=lambda u: u["dead"])
    start = max((u["dead"] for u in first), default=0.0)
    if worst["dead"] < 0.8:
        return []
    relus = [a for a in case["modules.activations"] or [] if a["kind"] == "ReLU"]
    place = relus[0]["place"] if relus else None
    lost = worst["dead"] >= 0.999
    sure = 0.8 if lost else 0.5
    if start > 0.7:
        sure = 0.95 if severed else max(sure, 0.85)
    elif case.number("input.column_std_max", 1.0) > 100 and case.cure("scale-inputs") > 0.25:
        sure = min(sure, 0.7)  # units that lived died of what they were given
    fix = say(
        "Units below zero for every row get no gradient: lower the rate, start biases at 0, or use LeakyReLU."
    )
    return [
        case.diagnose(
            "dead-relu",
            say("{dead:.0%} of a layer's ReLU units never fire", dead=worst["dead"]),
            sure,
            fix,
            place=place,
            patch=changed(place, swap_name(r"ReLU\(\)", "LeakyReLU(0.1)")),
            change={"activation": "leaky", "fresh": True},
            dead=worst["dead"],
            dead_at_start=start,
        )
    ]


def _is_severed(case: Case) -> bool:
    """Return whether the outputs are one number for all rows, from the start to the end, behind a ReLU of zeros.

    Whatever the score is: of rare positives a constant gets nearly all right.
    """
    units = case["units"] or {}
    for found in (units.get("first") or [], units.get("last") or []):
        if not found or not any(u.get("dead", 0.0) >= 1.0 for u in found):
            return False
        if not found[-1].get("apart", math.inf) <= 1e-5 * found[-1].get("max", 0.0):
            return False
    return bool(units) and case.number("backwards", 0) >= 20


def _faded_by_hand(case: Case) -> list[Diagnosis]:
    """Weights without a module far from the loss get next to nothing of its gradient, and the loss stays up."""
    found = case["hand_steps.fading"]
    stays = case.smooth(1.0) > 0.9 * case.smooth(0.0)
    if not (
        stays and found["squashed"] >= 3 and found["ratio"] < 2e-3 and case.number("backwards", 0) >= 100
    ):
        return []
    fix = say("The first layer's gradient is {ratio:.1g} of the last's through {deep:.0f} layers: use ReLU with residual connections or normalisation.",
              ratio=found["ratio"], deep=found["layers"])  # fmt: skip
    return [
        case.diagnose("vanishing-gradient", "gradients vanish on their way to the first layers", 0.9, fix, place=case["places.backward"],
                      change={"fresh": True}, ratio=found["ratio"], layers=found["layers"])
    ]  # fmt: skip


def _silent_by_hand(case: Case) -> Diagnosis:
    """Weights without a module that no backward pass taught anything, though the loss hangs on them through a ReLU."""
    shapes = case["silent.shapes"]
    fix = say("Weights of shape {shapes} got a gradient of 0 in each step, and are what they were: no unit behind them fires for any row. Draw them around 0 with a standard deviation of √(2 / inputs of the layer), start biases at 0, or lower the rate.", shapes=", ".join(str(tuple(s)) for s in shapes[:3]))  # fmt: skip
    return case.diagnose("dead-relu", "no unit of a layer fires: weights before a ReLU never learn", 0.9, fix,
                         place=case["places.backward"], change={"fresh": True}, shapes=shapes[:3])  # fmt: skip


def saturated(case: Case) -> list[Diagnosis]:
    """Sigmoid or tanh units at an end for nearly every row."""
    if not case.sick:
        return []
    last = [u for u in (case["units"] or {}).get("last", []) if "saturated" in u]
    hidden = (
        last[:-1]
        if case["loss.activation"] in ("sigmoid", "tanh") or case["custom.activation"] in ("sigmoid", "tanh")
        else last
    )
    worst = max(hidden, key=lambda u: u["saturated"], default=None)
    if worst is None or worst["saturated"] < 0.6:
        return []
    first = [u for u in (case["units"] or {}).get("first", []) if "saturated" in u]
    start = max((u["saturated"] for u in first), default=0.0)
    fix = say(
        "{kind} units sit at their ends, where the slope is nothing: scale inputs, start from smaller weights, or use ReLU.",
        kind=worst["kind"],
    )
    return [
        case.diagnose(
            "saturation",
            say(
                "{saturated:.0%} of {kind} units are saturated",
                saturated=worst["saturated"],
                kind=worst["kind"],
            ),
            0.6,
            fix,
            change={"scale_inputs": True, "fresh": True},
            saturated=worst["saturated"],
            saturated_at_start=start,
        )
    ]


def gradients(case: Case) -> list[Diagnosis]:
    """Gradients that vanish or explode with depth."""
    if case["modules"] is None and case["hand_steps.fading"]:
        return _faded_by_hand(case)
    if not (case.sick or case.at_chance):
        return []
    out = []
    profile = gradient_profile(case.trace)
    sequence = case["modules.sequence"] or []
    squashed = sum(1 for s in sequence if s in ("sigmoid", "tanh"))
    deep = case.number("modules.linears", 0)
    if len(profile) >= 3:
        sizes = [g for _, g in profile if g >= 0 and math.isfinite(g)]
        first, last = sizes[0], max(sizes[-3:])
        ratio = first / (last + 1e-300)
        if last > 0 and ratio < 2e-3 and deep >= 4:
            sure = 0.9 if squashed >= 3 or (deep >= 10 and ratio < 1e-6) else 0.7
            fix = say(
                "The first layer's gradient is {ratio:.1g} of the last's through {deep:.0f} layers: use ReLU with residual connections or normalisation.",
                ratio=ratio,
                deep=deep,
            )
            code = "vanishing-gradient" if squashed >= 3 or deep < 10 else "depth-without-residual"
            both = ("vanishing-gradient", "depth-without-residual") if deep >= 10 else (code,)
            for i, name in enumerate(both):
                out.append(
                    case.diagnose(
                        name,
                        "gradients vanish on their way to the first layers",
                        sure - 0.15 * i,
                        fix,
                        module=profile[0][0],
                        place=case["modules.first_place"],
                        # A rate that suited vanishing gradients is often too large for those that arrive.
                        change={"activation": "relu", "fresh": True, "residual": True, "clip": 1.0},
                        ratio=ratio,
                        layers=deep,
                    )
                )
    out = [*(out or _faded(case)), *_clips_nothing(case)]
    norms = [v for v in case.trace.series.get("gradient_norm", []) if math.isfinite(v)]
    early = sorted(norms[:4])[len(norms[:4]) // 2] if norms else 0.0
    matrices = case["weights.matrices"] or []
    big = [m for m in matrices if m["gain"] > 4]
    clip = case.cure("clip")
    scale = max(
        case.number("input.rms", 1.0),
        case.number("target.std", 1.0) if case["task.kind"] == "regression" else 1.0,
    )
    # Before any step gradients are as large as the network makes them, be its loop over time the author's own.
    looped = _passes(sequence) >= 6 and bool(norms) and norms[0] > 100
    chained = bool(case["modules.recurrent"]) or deep >= 6 or looped
    if norms and max(norms) > 1e3 and scale < 10 and (not big or (chained and early > 1e3)):
        sure = 0.6 if clip > 0.4 or case["modules.recurrent"] else 0.45
        if chained and early > 100:
            sure = 0.75
        fix = say(
            "Gradients explode: clip them (clip_grad_norm_(model.parameters(), 1.0)), lower the rate or normalise layers."
        )
        place = case["places.backward"]
        out.append(
            case.diagnose(
                "exploding-gradient",
                say("gradient norm reached {norm:.3g}", norm=max(norms)),
                sure,
                fix,
                place=place,
                patch=added_after(place, "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),
                change={"clip": 1.0},
                largest=max(norms),
                early=early,
                cured=clip,
            )
        )
    return out


def _clips_nothing(case: Case) -> list[Diagnosis]:
    """Gradients are clipped at a moment at which there are none, and are large when the step is made."""
    lengths = [v for v in case.trace.series.get("clipped", []) if math.isfinite(v)]
    norms = [v for v in case.trace.series.get("gradient_norm", []) if math.isfinite(v)]
    if len(lengths) < 4 or max(lengths) > 0.0 or not norms or max(norms) < 1.0:
        return []
    place = case["custom.clip_place"]
    fix = say("clip_grad_norm_ finds no gradients each time, for they are cleared before it and made after it: put it between backward() and step().")  # fmt: skip
    return [
        case.diagnose("exploding-gradient", "gradients are clipped before there are any", 0.65, fix, place=place, change={"clip": 1.0},
                      patch=added_after(case["places.backward"], "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"), largest=max(norms))
    ]  # fmt: skip


def _passes(sequence: list[str]) -> int:
    """Return how many linear maps follow one another in a forward pass: a loop over time repeats the same ones."""
    return sum(1 for s in sequence if s == "linear")


def _faded(case: Case) -> list[Diagnosis]:
    """A signal that fades forward from layer to layer: then all gradients are as small, and none stands out."""
    deep = case.number("modules.linears", 0)
    if deep < 8 or case["modules.normalised"] or case["modules.recurrent"]:
        return []
    sizes = []
    for found in case.trace.layers.values():
        values = [v for v in found.get("activation_std", ())[:8] if math.isfinite(v)]
        sizes += values[:1]
    late = sorted(sizes[-len(sizes) // 3 : -2])  # without the output, where biases speak
    if len(late) < 3 or not late[len(late) // 2] < 0.01 * max(sizes[:2]):
        return []
    ratio = late[len(late) // 2] / max(sizes[:2])
    place = case["modules.first_place"]
    fix = say("At the start a signal keeps {ratio:.1g} of its size through {deep:.0f} layers, so outputs do not depend on inputs: draw weights with gain √2 before a ReLU (kaiming_normal_), and add residual connections or normalisation.", ratio=ratio, deep=deep)  # fmt: skip
    change = {"residual": True, "fresh": True, "clip": 1.0}
    return [
        case.diagnose(code, "the signal fades on its way through the layers", sure, fix, place=place, change=change,
                      ratio=ratio, layers=deep)
        for code, sure in (("vanishing-gradient", 0.8), ("depth-without-residual", 0.65 if deep >= 10 else 0.3))
    ]  # fmt: skip


def capacity(case: Case) -> list[Diagnosis]:
    """The model is too small for what a larger one learns."""
    if not case.sick or not case.architecture_limits or case.nonfinite:
        return []
    # What is too small learns too little. Far below a constant's score it is the training that went astray.
    if case.own_best < case.constant - 0.5 * (case.possible - case.constant):
        return []
    widths = case["modules.widths"] or []
    by_model = case["reference.by_model"] or {}
    hidden = widths[:-1]
    # Parameters of the author's own are layers as well.
    linear = (
        len(widths) == 1 and case.number("modules.linears") == 1 and len(case["weights.matrices"] or []) == 1
    )
    narrow = (bool(hidden) and min(hidden) <= max(4, 0.5 * case.number("task.width", 1))) or linear
    sure = 0.75 if narrow else 0.4
    fix = say(
        "Even trained soundly this architecture falls short: widen it (64 units) and give it two hidden layers."
    )
    if linear:
        fix = say("One linear layer cannot bend: add a hidden layer of 64 units with ReLU.")
    return [
        case.diagnose(
            "capacity-too-small",
            say(
                "trained soundly, this model reaches {own_best:.3f} where {possible:.3f} is possible",
                own_best=case.own_best,
                possible=case.possible,
            ),
            sure,
            fix,
            place=case["modules.first_place"] or case["places.model"],
            change={"widen": 64, "include": True, "unfreeze": True} if narrow and not linear else {},
            widths=widths[:12],
            own_best=case.own_best,
            references=by_model,
        )
    ]


def stopped(case: Case) -> list[Diagnosis]:
    """Layers whose gradient is zero to the last bit, behind a function that passes none on."""
    found, sizes = case["custom.stops"], {}
    for layer, series in case.trace.layers.items():
        values = [v for v in series.get("gradient_norm", ()) if math.isfinite(v)]
        if len(values) >= 3:
            sizes[layer] = max(values)
    still = [layer for layer, largest in sizes.items() if largest == 0]
    if not found or not still or len(still) == len(sizes) or not (case.sick or math.isnan(case.got)):
        return []
    if found["own"]:
        fix = say("The backward pass of {name} gives zeros, so that {layers} never learn: look at what it saves (the input, not the output) and at its mask. Straight-through passes the gradient on where the input lies in range.", name=found["name"], layers=", ".join(still[:4]))  # fmt: skip
    else:
        fix = say("The slope of {name}() is zero everywhere, so that {layers} never learn. Let the gradient pass as if it were not there: x + (torch.{name}(x) - x).detach().", name=found["name"], layers=", ".join(still[:4]))  # fmt: skip
    return [
        case.diagnose("vanishing-gradient", "a function on the way gives back no gradient", 0.95, fix, place=found["place"] or case["places.model"],
                      change={"pass_on": True}, layers=still[:8])
    ]  # fmt: skip


rules = (nonlinearity, dead, saturated, gradients, stopped, capacity)
