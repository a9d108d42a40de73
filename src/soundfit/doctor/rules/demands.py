"""What a loss demands of the labels and outputs that it is handed. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

from soundfit.doctor.case import Case
from soundfit.doctor.edits import changed, drop_call
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def signed(case: Case) -> list[Diagnosis]:
    """A loss that takes labels of 1 and -1 is given others: a 0 drops out without a word."""
    found = case["custom.unsigned"]
    if not found:
        return []
    values = ", ".join(f"{v:g}" for v in found["labels"])
    fix = say("{loss} takes labels of 1 and -1, and is given {values}: a label of 0 makes its pair drop out. Hand it 2 * y - 1.", loss=found["loss"], values=values)  # fmt: skip
    return [
        case.diagnose("loss-mismatch", "a loss for labels of 1 and -1 is given others", 0.97, fix, place=found["place"], change={"signs": True},
                      loss=found["loss"], labels=found["labels"])
    ]  # fmt: skip


def shares(case: Case) -> list[Diagnosis]:
    """Shares of what a ReLU lets through are taken for probabilities: a class at 0 gets no gradient."""
    if case["custom.shared"] != "relu" or not case.sick:
        return []
    place = case["modules.last_place"] or case["custom.place"] or case["places.backward"]
    fix = say("The loss takes shares of a ReLU's outputs for probabilities: a class at 0 has no slope, and cannot come back. End the model in a plain linear layer, with a softmax or cross_entropy.")  # fmt: skip
    return [
        case.diagnose("output-activation", "ReLU on the output of a classifier", 0.93, fix, place=place,
                      patch=changed(place, drop_call("ReLU", "relu")), change={"output": "softmax"}, activation="relu")
    ]  # fmt: skip


def slopes(case: Case) -> list[Diagnosis]:
    """A backward pass of the author's own that is not the slope of its forward pass."""
    found = case["custom.slope"]
    if not found or case.fine:
        return []
    times, name = found["times"], found["name"]
    fix = say("backward() of {name} gives {times:.3g} times the slope of its forward(): compare both with torch.autograd.gradcheck. A mean in forward divides the gradient by the number of elements.", name=name, times=times)  # fmt: skip
    if times < 0:
        return [case.diagnose("gradient-ascent", "a backward pass of its own gives the opposite of the slope", 0.93, fix, place=found["place"],
                              change={"slopes": True}, times=times)]  # fmt: skip
    return [
        case.diagnose("loss-reduction", say("a backward pass of its own gives {times:.3g} times the slope", times=times), 0.93, fix,
                      place=found["place"], change={"slopes": True}, times=times)
    ]  # fmt: skip


rules = (signed, shares, slopes)
