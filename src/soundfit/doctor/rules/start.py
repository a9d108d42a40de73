"""Causes in what a training starts from: weights that are alike, far too large or far too small. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

from soundfit.doctor.case import Case
from soundfit.doctor.judge import far_off
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def initial(case: Case) -> list[Diagnosis]:
    """Weights that are constant, far too large or far too small before the first step."""
    matrices = case["weights.matrices"] or []
    if not matrices:
        return _still_factors(case) or _stuck_by_hand(case) or _wild_by_hand(case) or _wild_factors(case)
    if still := _still_products(case) or _still_norms(case):
        return still
    hidden = [m for m in matrices[:-1] if m["units"] > 1] if len(matrices) > 1 else []
    constant = [m for m in hidden if m["constant"] or m["rows_equal"]]
    # Branches that start at zero are usual (residual, coupling and adapter layers): alone they prove nothing.
    whole = len(constant) >= 0.6 * len(hidden) or any(not m["constant"] or m["mean"] != 0.0 for m in constant)
    # Trained, and still as many copies of one unit: whatever the score, the others were never used.
    copies = [m for m in constant if m["units"] > 3 and m.get("change", 0.0) > 0 and _one_direction(m)]
    alike = whole and any(m["mean"] != 0.0 for m in copies)
    if constant and (case.sick or alike or (not case.judged and whole)):
        m = constant[0]
        fix = say(
            "All weights of {name} start equal, so all its units stay copies of one: use the layer's default initialisation.",
            name=m["name"],
        )
        sure = 0.97 if len(constant) == len(hidden) or alike or case.cure("fresh") > 0.4 else 0.7
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


def _one_direction(matrix: dict[str, Any]) -> bool:
    """Return whether a trained matrix is still of rank one: all of it is in its largest singular value."""
    after, spectral = matrix.get("after", 0.0), matrix.get("spectral", 0.0)
    return bool(spectral > (1 - 1e-6) * after > 0)


def _proven_start(case: Case) -> list[Diagnosis]:
    """First weights far too large, and the same training from sound ones does significantly better on new rows.

    Rows that were trained on may be learned from any start: they are told apart, and nothing is learned of others.
    """
    found, large = case.gained("fresh", 0.04), far_off(case["weights.matrices"] or [])
    if not found or not large:
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


def _still_products(case: Case) -> list[Diagnosis]:
    """Matrices that are taught, start at zero and stay there: each multiplies another one that is zero."""
    away = {n for kind in ("frozen", "unreached", "forgotten") for n in case[f"optimiser.{kind}"] or []}
    matrices = case["weights.matrices"] or []
    still = [m for m in matrices if m.get("norm") == m.get("after") == 0 and m["name"] not in away]
    if not 2 <= len(still) < len(matrices) or case.number("steps", 0) < 10:
        return []
    owners = {m["name"].rpartition(".")[0]: m["name"] for m in reversed(still)}
    fix = say("{names} start at zero and never move: the slope of a product by one factor is the other, and both are zero. Draw one of the two at random (nn.init.kaiming_uniform_), and leave the other at zero.", names=", ".join(m["name"] for m in still[:4]))  # fmt: skip
    return [
        case.diagnose("bad-init", "both factors of a product start at zero and stay there", 0.96, fix, place=still[0]["place"], module=still[0]["name"],
                      change={"wake": list(owners.values())}, matrices=[m["name"] for m in still[:8]])
    ]  # fmt: skip


def _still_norms(case: Case) -> list[Diagnosis]:
    """Norms whose scale and shift start at zero and stay there: a ReLU behind them lets no gradient pass."""
    away = {n for kind in ("frozen", "unreached", "forgotten") for n in case[f"optimiser.{kind}"] or []}
    still = [n for n in case["weights.still_norms"] or [] if n["name"] not in away]
    if not still or case.number("steps", 0) < 10:
        return []
    fix = say("Scale and shift of {names} start at zero and never move: all that comes out is zero, and a ReLU behind it passes no gradient at zero, so neither the norm nor what stands behind it learns. Start the last layer of the branch at zero instead (nn.init.zeros_ of its weight), or the scale at 1.", names=", ".join(n["name"] for n in still[:4]))  # fmt: skip
    return [
        case.diagnose("bad-init", "norms start at zero where that lets no gradient pass", 0.96, fix, place=still[0]["place"], module=still[0]["name"],
                      change={"wake": [n["name"] for n in still]}, norms=[n["name"] for n in still[:8]])
    ]  # fmt: skip


def _still_factors(case: Case) -> list[Diagnosis]:
    """Factors that all start at zero stay there: the slope of their product by each is the other."""
    tables = case["weights.embeddings"] or []
    still = [t for t in tables if t["width"] >= 2 and t["std"] == 0 and not t["moved"]]
    if not still or case.number("steps", 0) < 10:
        return []
    fix = say("All values of {name} are equal and never move: multiplied with others at zero they get no gradient. Draw them at random, nn.init.normal_(embedding.weight, std=0.1).", name=still[0]["name"])  # fmt: skip
    return [
        case.diagnose("bad-init", "embeddings start at zero and stay there", 0.95, fix, place=still[0]["place"], module=still[0]["name"],
                      change={"factors": 0.1}, embeddings=[t["name"] for t in still])
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
    if spread < 1.5 * told or case.number("score.train_at_start", 0.0) > -0.5 or not own < 0.2:
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


def unmatched(case: Case) -> list[Diagnosis]:
    """Weights were loaded under names that the model does not have, and none arrived."""
    found = case["custom.unmatched"]
    if not found:
        return []
    given, own = found["names"]
    fix = say("None of the {n} weights that are loaded has a name that the model knows ({given} is given, {own} is one of its own), and strict=False says nothing of it: the model keeps the weights that it was drawn with. Rename the keys, load into the part that they are of, and look at missing_keys in what load_state_dict() returns.", n=found["given"], given=given, own=own)  # fmt: skip
    return [
        case.diagnose("bad-init", "weights that are loaded find no name in the model, and none arrives", 0.95, fix, place=found["place"],
                      change={"matched_names": True}, given=found["given"])
    ]  # fmt: skip


rules = (initial, unmatched)
