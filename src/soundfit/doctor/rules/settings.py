"""Settings that look wrong where the score does not tell: pairs of trainings decide. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

from soundfit.doctor.case import Case
from soundfit.doctor.edits import STANDARDISED, added_before, changed, set_keyword, swap_name
from soundfit.records import Diagnosis, Place
from soundfit.records.said import say

__all__ = ["rules"]

_SURE = 0.8


def unscaled(case: Case) -> list[Diagnosis]:
    """Inputs far from unit scale, and the same training on scaled ones does significantly better on new rows."""
    found = case.gained("scale-inputs", 0.04)
    if not found or case.sick:
        return []
    place = case["places.model"]
    fix = say(
        "Inputs reach {max:.4g}: the same training on standardised inputs scores {gain:.3f} more on held-out rows.",
        max=case.number("input.max"), gain=found["gain"],
    )  # fmt: skip
    patch = added_before(place, STANDARDISED)
    return [
        case.diagnose("input-scale", "inputs are not scaled", _SURE, fix, place=place, patch=patch,
                      change={"scale_inputs": True}, largest=case.number("input.max"),
                      held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def starved(case: Case) -> list[Diagnosis]:
    """Dropout without which the same training does significantly better on new rows.

    Where labels are told only a little better than by a constant, less is enough.
    """
    if not case["gains"] or case.sick:
        return []
    room = case.possible - case.constant
    found = case.gained("no-dropout", 0.04) or case.gained("no-dropout", max(0.01, 0.4 * room), 4.0)
    if not found:
        return []
    made = [(d["p"], d["place"], d["name"]) for d in case["modules.dropout"] or []]
    made += [(p, place, "dropout") for p, on, grad, place in case["dropouts"] or [] if on and grad]
    p, place, name = max(made, key=lambda one: one[0], default=(0.0, Place(), "dropout"))
    fix = say(
        "Dropout of {p:g} takes too much: the same training without any scores {gain:.3f} more on held-out rows. 0.1 to 0.3 is usual.",
        p=p, gain=found["gain"],
    )  # fmt: skip
    return [
        case.diagnose("over-regularised", say("dropout of {p:g} is too strong", p=p), _SURE, fix, place=place, module=name,
                      patch=changed(place, swap_name(r"0?\.[3-9]\d*", "0.2")), change={"dropout": 0.1},
                      held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def shrunk(case: Case) -> list[Diagnosis]:
    """Weight decay without which the same training does significantly better on new rows."""
    found = case.gained("no-decay", 0.04)
    if not found or case.sick:
        return []
    decay, place = case.number("optimiser.weight_decay"), case["optimiser.place"]
    fix = say(
        "Weight decay {decay:g} is too strong: the same training without it scores {gain:.3f} more on held-out rows.",
        decay=decay, gain=found["gain"],
    )  # fmt: skip
    return [
        case.diagnose("over-regularised", say("weight decay {decay:g} is too strong", decay=decay), _SURE, fix, place=place,
                      patch=changed(place, set_keyword("weight_decay", "1e-4")), change={"weight_decay": 1e-4},
                      held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def thinned_out(case: Case) -> list[Diagnosis]:
    """KLDivLoss divides by the columns as well as by the rows, and summed over columns it does better on new rows."""
    found, columns = case.gained("summed-over-columns", 0.03), case.number("task.columns", 1)
    if not found:
        return []
    place = case["loss.place"]
    fix = say(
        "KLDivLoss with reduction='mean' divides by rows and columns, so its gradient is {columns:.0f} times too small: the divergence is reduction='batchmean', and with it the same training scores {gain:.3f} more on held-out rows.",
        columns=columns, gain=found["gain"],
    )  # fmt: skip
    return [
        case.diagnose("loss-reduction", "the divergence is divided by its columns as well", 0.9, fix, place=place,
                      patch=changed(place, set_keyword("reduction", '"batchmean"')), change={"reduction": "batchmean"},
                      columns=columns, held_out_gain=found["gain"], gain_in_standard_errors=found["z"])
    ]  # fmt: skip


def counted(case: Case) -> list[Diagnosis]:
    """Rates are handed to a Poisson likelihood that takes their logarithms: it takes the exponential once more."""
    if case["loss.kind"] != "poisson_nll_loss" or case["loss.activation"] != "exp" or case.fine:
        return []
    made = case["custom.structure.operations"] or []
    if case["loss.kwargs.log_input"] is False or made.count("Exp") < 2 or "Log" in made[:6]:
        return []
    place = case["loss.place"]
    fix = say("The model ends in exp, and poisson_nll_loss takes its input for a logarithm unless told otherwise (log_input=True): the outputs end up as logarithms of what is predicted. Say log_input=False, or drop the exp before the loss and take it at prediction.")  # fmt: skip
    return [
        case.diagnose("output-activation", "exp before a Poisson loss that takes logarithms", 0.94, fix, place=place,
                      patch=changed(place, set_keyword("log_input", "False")), change={"rates": True})
    ]  # fmt: skip


rules = (unscaled, starved, shrunk, thinned_out, counted)
