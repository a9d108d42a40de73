"""Causes in modes and penalties: train and eval mode, batch norm, dropout, weight decay. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

from soundfit.doctor.case import Case
from soundfit.doctor.edits import added_before, changed, set_keyword, swap_name
from soundfit.doctor.thinning import HARDLY_ANY, STRONG, left, rates
from soundfit.records import Diagnosis, Place
from soundfit.records.said import say

__all__ = ["rules"]


def modes(case: Case) -> list[Diagnosis]:
    """Training in eval mode; evaluation in train mode where that changes the output."""
    out = []
    drops, norms = case["modules.dropout"] or [], case["modules.batchnorm"] or []
    reacts = bool(norms) or any(d["p"] > 0 for d in drops)
    calls, eval_mode = case.number("mode.train_calls", 0), case.number("mode.in_eval_mode", 0)
    place = case["places.model"] or Place()
    if norms and eval_mode >= 0.5 * calls > 0 and (case.sick or not case.judged):
        fix = say(
            "Call model.train() before training: in eval mode batch norm uses statistics that are never updated."
        )
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
        fix = say("After evaluation call model.train() again: most of the training ran in eval mode.")
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
        fix = say("Call model.train() before training: dropout and batch norm are off in eval mode.")
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
    drawn = bool(case["mode.sampled"])  # the same rows again and again: a band of outputs was meant
    if reacts and evals > 0 and wrong >= 0.5 * evals and not drawn:
        before, after = case.number("score.evaluation_by_script"), case.number("score.evaluation")
        lost = after - before if not math.isnan(after) and not math.isnan(before) else math.nan
        where = case["places.evaluation"] or place
        fix = say(
            "Call model.eval() before evaluating: dropout drops and batch norm uses (and changes) batch statistics otherwise."
        )
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
    bare = case["modules"] is None and any(on and grad for _, on, grad, _ in case["dropouts"] or [])
    if always and not wrong and (evals > 0 or bare) and not drawn:
        where = always[0]
        fix = say("F.dropout drops by default even in evaluation: pass training=self.training.")
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
    if case["stale_copy"]:
        return [_stale_copy(case)]
    norms = case["modules.batchnorm"] or []
    if not norms:
        return []
    size = case.number("batch_size", 32)
    trained, switched = case.number("score.train"), case.number("score.train_in_train_mode")
    odd = [
        n
        for n in norms
        if n["momentum"] is not None and _is_odd(n["momentum"], case.number("trained_steps", 0))
    ]
    lost = switched - trained if not math.isnan(trained) and not math.isnan(switched) else 0.0
    if 1 <= size <= 2 and case.number("mode.in_eval_mode", 0) < 0.5 * case.number("mode.train_calls", 1):
        fix = say(
            "Batch norm on batches of {size:.0f} normalises each row by itself: use batches of 16 and more, or LayerNorm or GroupNorm.",
            size=size,
        )
        if case.sick or lost > 0.1 or not case.judged:
            return [
                case.diagnose(
                    "batchnorm",
                    say("batch norm with batches of {size:.0f}", size=size),
                    0.92,
                    fix,
                    place=norms[0]["place"],
                    module=norms[0]["name"],
                    change={},
                )
            ]
        return []
    # With a momentum that keeps the last batch alone, a small loss on many rows says enough.
    needed = (
        0.03 if odd and case.number("rows", 0) >= 200 else max(0.08, case.tolerance if case.judged else 0.08)
    )
    often = [n for n in norms if n.get("uses", 0.0) > 1.9]
    if lost > needed and often and not odd:
        return [_shared_norm(case, often[0], lost)]
    if lost > needed:
        fix = say(
            "In eval mode the model is far worse than in train mode on the same rows: running statistics are off (momentum, or too few steps)."
        )
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


def _is_odd(momentum: float, steps: float) -> bool:
    """Return whether statistics with this momentum are the last batch's, or still hold much of their start."""
    return momentum >= 0.9 or momentum < 1.001e-3 or (momentum < 0.05 and (1 - momentum) ** steps > 0.2)


def _shared_norm(case: Case, norm: dict[str, Any], lost: float) -> Diagnosis:
    """One module normalises at several places, whose statistics are not alike."""
    fix = say("{name} is called {n:.0f} times in one forward pass: its running statistics mix places that differ. Give each place a norm of its own.", name=norm["name"], n=norm["uses"])  # fmt: skip
    return case.diagnose(
        "batchnorm", say("one batch norm serves {n:.0f} places of the model", n=norm["uses"]), 0.9, fix,
        place=norm["place"], module=norm["name"], change={"unshare": True, "include": True}, lost=lost,
    )  # fmt: skip


def _stale_copy(case: Case) -> Diagnosis:
    """A copy of the model takes over weights and no statistics, and is what the script evaluates."""
    found = case["stale_copy"]
    fix = say("Statistics are buffers, not parameters: copy them as well, for a, b in zip(copy.buffers(), model.buffers()): a.copy_(b).")  # fmt: skip
    return case.diagnose(
        "batchnorm", "the copy that is evaluated took over the weights, not the statistics of batch norm", 0.93, fix,
        place=found["place"], change={"buffers": True}, layers=found["norms"],
    )  # fmt: skip


def _fits_worse_than_others_hold(case: Case) -> bool:
    """Return whether the model, without dropout, errs more on its training rows than another kind does on new rows."""
    fitted, held = case.number("score.train"), case.number("reference.held_out")
    return bool(1 - fitted > 1.25 * max(1 - held, 0.01))


def regularised(case: Case) -> list[Diagnosis]:
    """Dropout or weight decay that takes away more than noise."""
    modules = case["modules.dropout"] or []
    calls = [(rate, p) for rate, on, grad, p in case["dropouts"] or [] if on and grad]
    every = rates(modules, case["dropouts"] or [])
    starved = len(every) > 0 and left(every) <= HARDLY_ANY and _fits_worse_than_others_hold(case)
    starved |= max(every, default=0.0) >= 0.8 and not case.judged  # nothing else says more
    if not (case.sick or starved):
        return []
    out = []
    # One layer that leaves little, or several that leave little together.
    least = STRONG / 2 if len(every) > 1 and left(every) < 0.2 else STRONG
    drops = [d for d in modules if d["p"] >= least]
    functional = [(rate, p) for rate, p in calls if rate >= least]
    cured = case.cure("no-dropout")
    if (drops or functional) and (
        starved or cured > 0.4 or max([d["p"] for d in drops] + [r for r, _ in functional]) >= 0.85
    ):
        worst = (
            max(drops, key=lambda d: d["p"])
            if drops
            else {"p": functional[0][0], "place": functional[0][1], "name": "dropout"}
        )
        if len(drops) > 1:
            fix = say(
                "{n} dropouts of up to {p:g} leave too little together: 0.1 to 0.3 is usual, and in few places.",
                n=len(drops), p=worst["p"],
            )  # fmt: skip
        else:
            fix = say("Dropout of {p:g} leaves too little: 0.1 to 0.3 is usual.", p=worst["p"])
        out.append(
            case.diagnose(
                "over-regularised",
                say("dropout of {p:g} is too strong", p=worst["p"]),
                max(0.75, min(0.95, cured)),
                fix,
                place=worst["place"],
                module=worst["name"],
                patch=changed(worst["place"], swap_name(r"0?\.[3-9]\d*", "0.2")),
                change={"dropout": 0.1},
                cured=cured,
            )
        )
    penalised = case.number("custom.structure.penalised", 0)
    if (
        penalised
        and case["loss.kind"] is not None
        and (case.cure("same") > 0.5 or case.number("custom.penalty_share", 0.0) > 0.5)
    ):
        place = case["places.backward"]  # a replay knows the loss function alone, not what was added to it
        fix = say("The penalty that is added to the loss outweighs it: divide its factor by 100 or more.")
        out.append(
            case.diagnose("over-regularised", say("a penalty on the size of {penalised:.0f} parameters is too strong", penalised=penalised), 0.88, fix, place=place,
                          change={"own_loss": True},
                          cured=case.cure("same"), share_of_the_loss=case.number("custom.penalty_share"))
        )  # fmt: skip
    decay, cured = case.number("optimiser.weight_decay", 0.0), case.cure("no-decay")
    strong = decay * (case.number("optimiser.lr", 1.0) if case["optimiser.class"] == "AdamW" else 1.0)
    adamw = case["optimiser.class"] == "AdamW"
    if (
        decay > 0
        and (cured > 0.4 or strong >= (0.005 if adamw else 0.3))
        and decay >= (0.1 if adamw else 0.005)
    ):
        place = case["optimiser.place"]
        fix = say(
            "Weight decay {decay:g} pulls the weights to zero (norm now {ratio:.2g} of the start's): try {new:.1g}.",
            decay=decay,
            ratio=case.number("weights.after_norm_ratio"),
            new=min(decay / 100, 1e-2),
        )
        out.append(
            case.diagnose(
                "over-regularised",
                say("weight decay {decay:g} is too strong", decay=decay),
                max(0.7, min(0.95, cured)),
                fix,
                place=place,
                patch=changed(place, set_keyword("weight_decay", "1e-4")),
                change={"weight_decay": 1e-4},
                cured=cured,
            )
        )
    return out


rules = (modes, batchnorm, regularised)
