"""Causes in the network: initial weights, missing nonlinearity, dead and saturated units, depth, modes. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_after, added_before, changed, set_keyword, swap_name
from soundfit.doctor.symptoms import gradient_profile
from soundfit.records import Diagnosis, Place

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
        return []
    hidden = [m for m in matrices[:-1] if m["units"] > 1] if len(matrices) > 1 else []
    constant = [m for m in hidden if m["constant"] or m["rows_equal"]]
    if constant and (case.sick or not case.judged):
        m = constant[0]
        fix = f"All weights of {m['name']} start equal, so all its units stay copies of one: use the layer's default initialisation."
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
        return []
    cured = max(case.cure("fresh"), 0.0)
    large = [m for m in matrices if m["gain"] > 4.0 or abs(m["mean"]) > 1.0]
    small = [m for m in matrices if m["gain"] < 0.05]
    for found, word, code in ((large, "large", "bad-init"), (small, "small", "bad-init")):
        if found and len(found) >= 0.3 * len(matrices):
            m = (
                max(found, key=lambda m: m["gain"])
                if word == "large"
                else min(found, key=lambda m: m["gain"])
            )
            extreme = m["gain"] > 15 or m["gain"] < 0.01
            sure = max(0.75 * min(1.0, cured), 0.5 if extreme else 0.0)
            sure = max(sure, 0.9 * min(cured, 1.0)) if cured > 0.4 else sure
            if sure < 0.3:
                continue
            fix = f"Initial weights of {m['name']} are too {word} (gain {m['gain']:.3g}, sound is about 1): use kaiming_ or xavier_ initialisation."
            return [
                case.diagnose(
                    code,
                    f"initial weights are far too {word}",
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
        fix = "The same training from freshly drawn default weights learns: the initial weights are at fault."
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


def nonlinearity(case: Case) -> list[Diagnosis]:
    """Linear layers follow each other with nothing curved between."""
    sequence = case["modules.sequence"] or []
    count = sum(1 for s in sequence if s == "linear")
    inner = sequence[: len(sequence) - 1 - sequence[::-1].index("linear")] if "linear" in sequence else []
    if count < 2 or any(s in _CURVED for s in inner) or case["modules.handmade"] or case["modules.recurrent"]:
        return []
    by_model = case["reference.by_model"] or {}
    bent = max((v for k, v in by_model.items() if k != "linear"), default=math.nan)
    gain = bent - by_model.get("linear", math.nan)
    place = case["modules.first_place"]
    fix = f"{count} linear layers without an activation between are one linear layer: put nn.ReLU() after each but the last."
    patch = changed(place, swap_name(r"(nn\.Linear\([^)]*\))\s*,", r"\1, nn.ReLU(),"))
    if case.sick:
        sure = 0.95 if gain > 0.04 or math.isnan(gain) or case.architecture_limits else 0.4
        return [
            case.diagnose(
                "missing-nonlinearity",
                f"{count} linear layers in a row, no activation between",
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


def dead(case: Case) -> list[Diagnosis]:
    """ReLU units that never fire."""
    if not case.sick:
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
    fix = (
        "Units below zero for every row get no gradient: lower the rate, start biases at 0, or use LeakyReLU."
    )
    return [
        case.diagnose(
            "dead-relu",
            f"{worst['dead']:.0%} of a layer's ReLU units never fire",
            sure,
            fix,
            place=place,
            patch=changed(place, swap_name(r"ReLU\(\)", "LeakyReLU(0.1)")),
            change={"activation": "leaky", "fresh": True},
            dead=worst["dead"],
            dead_at_start=start,
        )
    ]


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
    fix = f"{worst['kind']} units sit at their ends, where the slope is nothing: scale inputs, start from smaller weights, or use ReLU."
    return [
        case.diagnose(
            "saturation",
            f"{worst['saturated']:.0%} of {worst['kind']} units are saturated",
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
            sure = 0.9 if squashed >= 3 else 0.7
            fix = f"The first layer's gradient is {ratio:.1g} of the last's through {deep:.0f} layers: use ReLU with residual connections or normalisation."
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
                        change={"activation": "relu", "fresh": True},
                        ratio=ratio,
                        layers=deep,
                    )
                )
    norms = [v for v in case.trace.series.get("gradient_norm", []) if math.isfinite(v)]
    early = sorted(norms[:4])[len(norms[:4]) // 2] if norms else 0.0
    matrices = case["weights.matrices"] or []
    big = [m for m in matrices if m["gain"] > 4]
    clip = case.cure("clip")
    scale = max(
        case.number("input.rms", 1.0),
        case.number("target.std", 1.0) if case["task.kind"] == "regression" else 1.0,
    )
    if norms and max(norms) > 1e3 and not big and scale < 10:
        sure = 0.6 if clip > 0.4 or case["modules.recurrent"] else 0.45
        if deep >= 6 and early > 100:
            sure = 0.75
        fix = "Gradients explode: clip them (clip_grad_norm_(model.parameters(), 1.0)), lower the rate or normalise layers."
        place = case["places.backward"]
        out.append(
            case.diagnose(
                "exploding-gradient",
                f"gradient norm reached {max(norms):.3g}",
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


def capacity(case: Case) -> list[Diagnosis]:
    """The model is too small for what a larger one learns."""
    if not case.sick or not case.architecture_limits or case.nonfinite:
        return []
    widths = case["modules.widths"] or []
    by_model = case["reference.by_model"] or {}
    hidden = widths[:-1]
    linear = len(widths) == 1 and case.number("modules.linears") == 1
    narrow = (bool(hidden) and min(hidden) <= max(4, 0.5 * case.number("task.width", 1))) or linear
    sure = 0.75 if narrow else 0.4
    fix = "Even trained soundly this architecture falls short: widen it (64 units) and give it two hidden layers."
    if linear:
        fix = "One linear layer cannot bend: add a hidden layer of 64 units with ReLU."
    return [
        case.diagnose(
            "capacity-too-small",
            f"trained soundly, this model reaches {case.own_best:.3f} where {case.possible:.3f} is possible",
            sure,
            fix,
            place=case["modules.first_place"] or case["places.model"],
            change={},
            widths=widths[:12],
            own_best=case.own_best,
            references=by_model,
        )
    ]


def modes(case: Case) -> list[Diagnosis]:
    """Training in eval mode; evaluation in train mode where that changes the output."""
    out = []
    drops, norms = case["modules.dropout"] or [], case["modules.batchnorm"] or []
    reacts = bool(norms) or any(d["p"] > 0 for d in drops)
    calls, eval_mode = case.number("mode.train_calls", 0), case.number("mode.in_eval_mode", 0)
    place = case["places.model"] or Place()
    if norms and eval_mode >= 0.5 * calls > 0 and (case.sick or not case.judged):
        fix = "Call model.train() before training: in eval mode batch norm uses statistics that are never updated."
        out.append(
            case.diagnose(
                "train-eval-mode",
                "the model trains in eval mode",
                0.95,
                fix,
                place=place,
                patch=added_before(place, "model.train()"),
                change={"mode": True},
            )
        )
    elif reacts and eval_mode >= 0.5 * calls > 3 and calls > eval_mode:
        fix = "After evaluation call model.train() again: most of the training ran in eval mode."
        sure = 0.9 if norms else 0.75
        severity = "error" if case.sick else "warning"
        out.append(
            case.diagnose(
                "train-eval-mode",
                "after an evaluation the model trains on in eval mode",
                sure,
                fix,
                severity=severity,  # type: ignore[arg-type]
                place=case["places.evaluation"] or place,
                patch=added_before(place, "model.train()"),
                change={"mode": True},
            )
        )
    elif reacts and eval_mode >= 0.5 * calls > 3:
        fix = "Call model.train() before training: dropout and batch norm are off in eval mode."
        out.append(
            case.diagnose(
                "train-eval-mode",
                "the model trains in eval mode",
                0.85,
                fix,
                severity="error" if norms or case.sick else "warning",
                place=place,
                patch=added_before(place, "model.train()"),
                change={"mode": True},
            )
        )
    evals, wrong = case.number("mode.eval_calls", 0), case.number("mode.eval_in_train_mode", 0)
    if reacts and evals > 0 and wrong >= 0.5 * evals:
        before, after = case.number("score.evaluation_by_script"), case.number("score.evaluation")
        lost = after - before if not math.isnan(after) and not math.isnan(before) else math.nan
        where = case["places.evaluation"] or place
        fix = "Call model.eval() before evaluating: dropout drops and batch norm uses (and changes) batch statistics otherwise."
        sure = 0.9 if lost > 0.01 or math.isnan(lost) else 0.7
        out.append(
            case.diagnose(
                "train-eval-mode",
                "the model is evaluated in train mode",
                sure,
                fix,
                place=where,
                severity="error" if math.isnan(lost) or abs(lost) > 0.01 or norms else "warning",
                patch=added_before(where, "model.eval()"),
                change={"mode": True},
                lost=lost,
            )
        )
    always = [p for rate, on, grad, p in case["dropouts"] or [] if on and not grad and rate > 0]
    if always and not wrong and evals > 0:
        where = always[0]
        fix = "F.dropout drops by default even in evaluation: pass training=self.training."
        out.append(
            case.diagnose(
                "train-eval-mode",
                "functional dropout stays on in evaluation",
                0.9,
                fix,
                place=where,
                patch=changed(where, set_keyword("training", "self.training")),
                change={"mode": True},
            )
        )
    return out


def batchnorm(case: Case) -> list[Diagnosis]:
    """Batch norm whose running statistics are not those of the training."""
    norms = case["modules.batchnorm"] or []
    if not norms:
        return []
    size = case.number("batch_size", 32)
    trained, switched = case.number("score.train"), case.number("score.train_in_train_mode")
    odd = [n for n in norms if n["momentum"] is not None and (n["momentum"] <= 1e-3 or n["momentum"] >= 0.98)]
    lost = switched - trained if not math.isnan(trained) and not math.isnan(switched) else 0.0
    if size <= 2 and case.number("mode.in_eval_mode", 0) < 0.5 * case.number("mode.train_calls", 1):
        fix = f"Batch norm on batches of {size:.0f} normalises each row by itself: use batches of 16 and more, or LayerNorm or GroupNorm."
        if case.sick or lost > 0.1 or not case.judged:
            return [
                case.diagnose(
                    "batchnorm",
                    f"batch norm with batches of {size:.0f}",
                    0.92,
                    fix,
                    place=norms[0]["place"],
                    module=norms[0]["name"],
                    change={},
                )
            ]
        return []
    if lost > max(0.08, case.tolerance if case.judged else 0.08):
        fix = "In eval mode the model is far worse than in train mode on the same rows: running statistics are off (momentum, or too few steps)."
        sure = 0.95 if odd else 0.75
        where = odd[0] if odd else norms[0]
        return [
            case.diagnose(
                "batchnorm",
                "running statistics of batch norm do not match the data",
                sure,
                fix,
                place=where["place"],
                module=where["name"],
                patch=changed(where["place"], set_keyword("momentum", "0.1")),
                change={"momentum": 0.1},
                lost=lost,
                momentum=where["momentum"],
            )
        ]
    return []


def regularised(case: Case) -> list[Diagnosis]:
    """Dropout or weight decay that takes away more than noise."""
    if not case.sick:
        return []
    out = []
    drops = [d for d in case["modules.dropout"] or [] if d["p"] >= 0.6]
    functional = [(rate, p) for rate, on, grad, p in case["dropouts"] or [] if on and grad and rate >= 0.6]
    cured = case.cure("no-dropout")
    if (drops or functional) and (
        cured > 0.4 or max([d["p"] for d in drops] + [r for r, _ in functional]) >= 0.85
    ):
        worst = (
            max(drops, key=lambda d: d["p"])
            if drops
            else {"p": functional[0][0], "place": functional[0][1], "name": "dropout"}
        )
        fix = f"Dropout of {worst['p']:g} leaves too little: 0.1 to 0.3 is usual."
        out.append(
            case.diagnose(
                "over-regularised",
                f"dropout of {worst['p']:g} is too strong",
                max(0.75, min(0.95, cured)),
                fix,
                place=worst["place"],
                module=worst["name"],
                patch=changed(worst["place"], swap_name(r"0?\.[6-9]\d*", "0.2")),
                change={"dropout": 0.1},
                cured=cured,
            )
        )
    decay, cured = case.number("optimiser.weight_decay", 0.0), case.cure("no-decay")
    strong = decay * (case.number("optimiser.lr", 1.0) if case["optimiser.class"] == "AdamW" else 1.0)
    adamw = case["optimiser.class"] == "AdamW"
    if (
        decay > 0
        and (cured > 0.4 or strong >= (0.005 if adamw else 0.3))
        and decay >= (0.1 if adamw else 0.005)
    ):
        place = case["optimiser.place"]
        fix = f"Weight decay {decay:g} pulls the weights to zero (norm now {case.number('weights.after_norm_ratio'):.2g} of the start's): try {min(decay / 100, 1e-2):.1g}."
        out.append(
            case.diagnose(
                "over-regularised",
                f"weight decay {decay:g} is too strong",
                max(0.7, min(0.95, cured)),
                fix,
                place=place,
                patch=changed(place, set_keyword("weight_decay", "1e-4")),
                change={"weight_decay": 1e-4},
                cured=cured,
            )
        )
    return out


rules = (initial, nonlinearity, dead, saturated, gradients, capacity, modes, batchnorm, regularised)
