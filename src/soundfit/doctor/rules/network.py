"""Causes in the network: initial weights, missing nonlinearity, dead and saturated units, depth. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_after, changed, swap_name
from soundfit.doctor.judge import far_off
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


def initial(case: Case) -> list[Diagnosis]:
    """Weights that are constant, far too large or far too small before the first step."""
    matrices = case["weights.matrices"] or []
    if not matrices:
        return _stuck_by_hand(case) or _wild_by_hand(case) or _wild_factors(case)
    hidden = [m for m in matrices[:-1] if m["units"] > 1] if len(matrices) > 1 else []
    constant = [m for m in hidden if m["constant"] or m["rows_equal"]]
    # Branches that start at zero are usual (residual, coupling and adapter layers): alone they prove nothing.
    whole = len(constant) >= 0.6 * len(hidden) or any(not m["constant"] or m["mean"] != 0.0 for m in constant)
    if constant and (case.sick or (not case.judged and whole)):
        m = constant[0]
        fix = say(
            "All weights of {name} start equal, so all its units stay copies of one: use the layer's default initialisation.",
            name=m["name"],
        )
        sure = 0.97 if len(constant) == len(hidden) or case.cure("fresh") > 0.4 else 0.7
        return [
            case.diagnose(
                "bad-init",
                "weights start constant",
                sure,
                fix,
                place=m["place"],
                module=m["name"],
                change={"fresh": True},
            )
        ]
    if not case.sick:
        return _proven_start(case)
    cured = max(case.cure("fresh"), 0.0)
    large = far_off(matrices)
    small = [m for m in matrices if 0.0 < m["gain"] < 0.05]  # zero on purpose: see above
    for found, word, code in ((large, "large", "bad-init"), (small, "small", "bad-init")):
        if found and len(found) >= 0.3 * len(matrices):
            m = (
                max(found, key=lambda m: m["gain"])
                if word == "large"
                else min(found, key=lambda m: m["gain"])
            )
            extreme = m["gain"] > 15 or m["gain"] < 0.01
            sure = max(0.75 * min(1.0, cured), 0.5 if extreme else 0.0)
            if word == "large" and _wild_start(case):
                sure = max(sure, 0.65)
            sure = max(sure, 0.9 * min(cured, 1.0)) if cured > 0.4 else sure
            if sure < 0.3:
                continue
            values = {"name": m["name"], "gain": m["gain"]}
            if word == "large":
                cause = say("initial weights are far too large")
                fix = say(
                    "Initial weights of {name} are too large (gain {gain:.3g}, sound is about 1): use kaiming_ or xavier_ initialisation.",
                    **values,
                )
            else:
                cause = say("initial weights are far too small")
                fix = say(
                    "Initial weights of {name} are too small (gain {gain:.3g}, sound is about 1): use kaiming_ or xavier_ initialisation.",
                    **values,
                )
            return [
                case.diagnose(
                    code,
                    cause,
                    min(0.95, sure),
                    fix,
                    place=m["place"],
                    module=m["name"],
                    change={"fresh": True},
                    gain=m["gain"],
                    cured=cured,
                )
            ]
    if cured > 0.7 and case.cure("same") < 0.3 and case.number("score.train") <= case.constant + 0.05:
        fix = say(
            "The same training from freshly drawn default weights learns: the initial weights are at fault."
        )
        return [
            case.diagnose(
                "bad-init",
                "initial weights keep the model from learning",
                0.35,
                fix,
                change={"fresh": True},
                cured=cured,
            )
        ]
    return []


def _proven_start(case: Case) -> list[Diagnosis]:
    """First weights far too large, and the same training from sound ones does significantly better on new rows.

    Rows that were trained on may be learned from any start: they are told apart, and nothing is learned of others.
    """
    found, large = (case["start_gains"] or {}).get("fresh"), far_off(case["weights.matrices"] or [])
    if not found or not large or found["gain"] < 0.04 or found["z"] < 3.0:
        return []
    m = max(large, key=lambda m: m["gain"])
    fix = say("Initial weights of {name} are too large (gain {gain:.3g}, sound is about 1): from kaiming_ or xavier_ initialisation the same training scores {more:.3f} more on held-out rows.", name=m["name"], gain=m["gain"], more=found["gain"])  # fmt: skip
    return [
        case.diagnose("bad-init", say("initial weights are far too large"), 0.85, fix, place=m["place"], module=m["name"], change={"fresh": True},
                      gain=m["gain"], held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def _stuck_by_hand(case: Case) -> list[Diagnosis]:
    """Weights without a module that start alike, or next to zero with a loss that hardly leaves its first value."""
    alike = case["custom.alike"] or []
    # One after the other: of two heads side by side each may well start at 0.
    chained = any(a is not b and a[1] == b[0] for a in alike for b in alike)
    if chained and case["weights"] is None and case.number("backwards", 0) >= 20:
        fix = say("Weights of shape {shapes} hold one number throughout: hidden units start alike, get the same gradients and stay one unit. Draw them at random, with a standard deviation of 1/√(inputs of the layer).", shapes=", ".join(str(tuple(s)) for s in alike[:3]))  # fmt: skip
        return [case.diagnose("bad-init", "all weights of a layer start as one number", 0.93, fix, place=case["places.backward"],
                              change={"fresh": True}, shapes=alike[:3])]  # fmt: skip
    gains, first, last = case["custom.gains"] or [], case.smooth(0.0), case.smooth(1.0)
    stuck = math.isfinite(first) and abs(last - first) < 0.02 * abs(first)
    if len(gains) < 2 or max(gains) > 0.15 or case.number("backwards", 0) < 200 or not stuck:
        return []
    fix = say("All weights start next to zero (gain {gain:.3g}, sound is about 1), so hidden units stay alike: draw them with a standard deviation of 1/√(inputs of the layer).", gain=max(gains))  # fmt: skip
    return [
        case.diagnose("bad-init", "weights start next to zero and the loss stays where it began", 0.75, fix,
                      place=case["places.backward"], change={"fresh": True}, gain=max(gains), loss_at_start=first, loss_at_end=last)
    ]  # fmt: skip


def _wild_by_hand(case: Case) -> list[Diagnosis]:
    """Weights without a module that start far too large: the first loss is many times that of a blind guess."""
    gains, first = case["custom.gains"] or [], case.loss[0] if len(case.loss) else math.nan
    shape = list(case["loss.prediction_shape"] or [])
    if case["loss.kind"] != "cross_entropy" or len(shape) != 2 or shape[1] < 2 or len(gains) < 2:
        return []
    blind = math.log(shape[1])
    if max(gains) < 5.0 or not first > 3 * blind:
        return []
    fix = say("The first loss is {first:.3g}, a blind guess has {blind:.3g}: weights start too large (gain {gain:.3g}, sound is about 1), and squashing units at their ends. Draw them with a standard deviation of 1/√(inputs of the layer), the last layer's smaller.", first=float(first), blind=blind, gain=max(gains))  # fmt: skip
    return [
        case.diagnose("bad-init", "weights start far too large", 0.8, fix, place=case["places.backward"], change={"fresh": True},
                      gain=max(gains), loss_at_start=float(first), loss_of_a_blind_guess=blind)
    ]  # fmt: skip


def _wild_factors(case: Case) -> list[Diagnosis]:
    """Factors of a product model start so large that their products are far beyond the targets, and get nowhere."""
    tables, told = case["weights.embeddings"] or [], case.number("target.std", 0.0)
    wide = [t for t in tables if t["width"] >= 2]
    if (
        case["task.kind"] != "regression"
        or case.number("modules.linears", 1)
        or len(wide) < 2
        or not told > 0
    ):
        return []
    spread = max(t["std"] for t in wide) ** 2 * math.sqrt(max(t["width"] for t in wide))
    own = case.number("score.evaluation_by_script", case.number("score.evaluation", case.got))
    if spread < 1.5 * told or case.number("score.train_at_start", 0.0) > -0.5 or not own < 0.05:
        return []
    fix = say("Products of these factors start with a spread of {spread:.2g} where targets have {told:.2g}: what rows that were seen seldom are told is noise of that size for long. Start smaller, nn.init.normal_(embedding.weight, std=0.05).", spread=spread, told=told)  # fmt: skip
    return [
        case.diagnose("bad-init", "factors start far too large for their products", 0.88, fix, place=wide[0]["place"], module=wide[0]["name"],
                      change={"factors": 0.05}, spread_of_products=spread, spread_of_targets=told, evaluation_score=own)
    ]  # fmt: skip


def _wild_start(case: Case) -> bool:
    """Return whether the very first outputs were far beyond inputs and targets of ordinary size."""
    target = case.number("target.std", 1.0) if case["task.kind"] == "regression" else 1.0
    ordinary = max(case.number("input.rms", 1.0), case.number("input.column_mean_max", 0.0)) < 10
    return ordinary and case.early("output_std", 1) > 30 * max(target, 1.0)


def nonlinearity(case: Case) -> list[Diagnosis]:
    """Linear layers follow each other with nothing curved between."""
    if case["modules"] is None:
        return _straight_by_hand(case)
    sequence = case["modules.sequence"] or []
    count = sum(1 for s in sequence if s == "linear")
    inner = sequence[: len(sequence) - 1 - sequence[::-1].index("linear")] if "linear" in sequence else []
    # The function itself, whatever was called on its way; one that says the same of every row tells nothing.
    straight = case.number("behaviour.bend", 1.0) < 1e-4 and not case.number("outputs.std", 1.0) < 1e-4
    curved = any(s in _CURVED for s in inner) or case["modules.handmade"] or case["modules.recurrent"]
    if count < 2 or (curved and not straight):
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
    if case.sick and curved:
        return [_unused_activation(case, count)]
    if case.sick:
        sure = 0.95 if gain > 0.04 or math.isnan(gain) or case.architecture_limits else 0.4
        return [
            case.diagnose(
                "missing-nonlinearity",
                say("{count} linear layers in a row, no activation between", count=count),
                sure,
                fix,
                place=place,
                patch=patch,
                change={"activation": "relu"},
                linear_reference=by_model.get("linear"),
                curved_reference=bent,
            )
        ]
    return []


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
    if not case.sick or case.nonfinite:  # of weights that are no numbers any more no unit fires
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
        sure = max(sure, 0.85)
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
    if not case.sick:
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


rules = (initial, nonlinearity, dead, saturated, gradients, capacity)
