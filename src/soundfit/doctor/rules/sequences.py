"""Causes in how sequences and pictures of targets are put together. Reads only a Case."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from soundfit.doctor.case import Case
from soundfit.records import Diagnosis
from soundfit.records.said import say

__all__ = ["rules"]


def padded(case: Case) -> list[Diagnosis]:
    """A recurrent model's last state comes after the padding, where nothing of the words is left."""
    share, reached = case.number("padding.share", 0.0), case.number("padding.reached", 1.0)
    if share < 0.2 or reached > 0.02 or not (case.sick or not case.judged):
        return []
    fix = say("{share:.0%} of the places are padding at the end, and the state that is read comes after it: {reached:.1e} of the gradient falls on words. Use pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), take the output at each length - 1, or pad in front.", share=share, reached=reached)  # fmt: skip
    return [
        case.diagnose("vanishing-gradient", "the recurrent state that is read comes after the padding", 0.93, fix, place=case["places.model"],
                      change={"pack": True}, padding=share, gradient_on_words=reached)
    ]  # fmt: skip


def forgotten(case: Case) -> list[Diagnosis]:
    """However it is trained, a recurrent model falls short, and hardly a gradient reaches its first steps."""
    start, now = case.number("recall.start", 1.0), case.number("recall.now", 1.0)
    if start > 1e-3 or now > 0.02 or not case.sick or not case.architecture_limits:
        return []
    steps, looped = case.number("recall.steps"), case["recall.looped"] or []
    sequence = case["modules.sequence"] or []
    change: dict[str, Any] = {
        "recall": {"steps": round(steps), "of_state": case["recall.of_state"] or []},
        "clip": 1.0,
    }
    if looped and "sigmoid" in sequence and "tanh" not in sequence:
        change["activation"] = "tanh"
    fix = say("Before training the first steps get {start:.1g} of the gradient that the last ones get, through {steps:.0f} steps: a product of small factors. Let the state be a sum that gates keep (nn.LSTM or nn.GRU, with the forget gate's bias at 1 or more); in a cell of your own take tanh instead of sigmoid and orthogonal recurrent weights; or read the mean over the steps.", start=start, steps=steps)  # fmt: skip
    return [
        case.diagnose("vanishing-gradient", "gradients vanish on their way to a sequence's first steps", 0.8, fix, place=case["modules.first_place"] or case["places.model"],
                      change=change, gradient_at_start=start, gradient_now=now, steps=steps)
    ]  # fmt: skip


def apart(case: Case) -> list[Diagnosis]:
    """Pictures and the pictures that they are to be turned into were mirrored or turned each by itself."""
    turned, other = case.number("dense.turned", 0.0), case.number("dense.turned_in_evaluation", 0.0)
    if turned < 0.3 or other > 0.1:
        return []
    fix = say("In {turned:.0%} of the rows the target fits its picture clearly better once it is mirrored or turned: picture and target are augmented apart. Draw once, and do the same to both.", turned=turned)  # fmt: skip
    return [
        case.diagnose("augmentation", "pictures and their targets are mirrored or turned apart", 0.95, fix, place=case["places.model"],
                      change={"neutral": True}, rows_turned=turned, rows_turned_in_evaluation=other)
    ]  # fmt: skip


def shifted_twice(case: Case) -> list[Diagnosis]:
    """Each token is to tell the one after the next: targets were shifted twice."""
    seen = [k for k in case["custom.shifts"] or [] if k is not None]
    if len(seen) < 3 or any(k != seen[0] for k in seen) or seen[0] < 2:
        return []
    place = case["loss.place"] or case["places.backward"]
    fix = say("Each target is the token {k:.0f} places after its input: they were shifted where rows are put together and again where the loss is computed. Shift them once, by one place.", k=seen[0])  # fmt: skip
    return [
        case.diagnose("labels-damaged", "targets lie more than one place ahead of the tokens that tell them", 0.93, fix, place=place,
                      change={"shift_back": True}, places_ahead=seen[0], looks=len(seen))
    ]  # fmt: skip


def across(case: Case) -> list[Diagnosis]:
    """A layer that takes places first was given rows first, with an answer at each place: it reads from row to row."""
    if not case["dealt"]:
        return []
    rows, places = case.number("dealt.across", 0.0), case.number("dealt.along", 0.0)
    fix = say("The batches' first axis holds rows ({rows:.0%} of what lies along it comes back in other batches), and a layer reads it as time: batch_first=True is missing.", rows=rows)  # fmt: skip
    return [
        case.diagnose("shape-broadcast", "a recurrent or attention layer reads from row to row", 0.94, fix, place=case["modules.sequence_place"] or case["places.model"],
                      change={"batch_first": True}, rows_that_come_back=rows, places_that_come_back=places)
    ]  # fmt: skip


def seen_ahead(case: Case) -> list[Diagnosis]:
    """The model is given the token that it is to tell: it learns to copy, and has nothing to copy once it writes."""
    share = case.number("looks_ahead", 0.0)
    if share < 0.5:
        return []
    fix = say("In {share:.0%} of the rows the output changes with the very token that it is to tell: the model looks ahead. Give attention a causal mask (is_causal=True, or nn.Transformer.generate_square_subsequent_mask), and let recurrent and convolutional layers see what came before alone.", share=share)  # fmt: skip
    return [
        case.diagnose("split-leak", "the model sees the tokens that it is to tell", 0.94, fix, place=case["places.model"], rows_that_see=share)
    ]  # fmt: skip


def cut_across(case: Case) -> list[Diagnosis]:
    """A view gives an axis another place without moving a number: what belongs to one place is mixed up."""
    found = case["custom.cut_across"]
    if not found or not case.sick:
        return []
    before, after = (", ".join(str(size) for size in found[name]) for name in ("before", "after"))
    fix = say("view and reshape move no number: from (rows, {before}) to (rows, {after}) an axis of the same size stands elsewhere and holds other numbers than before. Split the last axis first, x.view(rows, places, heads, size), then .transpose(1, 2); on the way back .transpose(1, 2) before .reshape(rows, places, heads * size).", before=before, after=after)  # fmt: skip
    return [
        case.diagnose("shape-broadcast", "a view cuts across the axes of what it is given", 0.92, fix, place=found["place"],
                      change={"axes": True}, before=before, after=after)
    ]  # fmt: skip


def turned_lists(case: Case) -> list[Diagnosis]:
    """Outputs and targets were made flat in different orders: a line of one meets another place's in the other."""
    found = case["custom.orders"]
    if not found:
        return []
    if shape := found.get("shape"):
        sizes = {"shape": ", ".join(map(str, shape)), "classes": shape[1]}
        fix = say("Outputs of shape ({shape}) have their {classes} classes on the second axis: view(-1, {classes}) puts neighbouring places of one class into a line, not the classes of one place. Move that axis to the end first, outputs.movedim(1, -1).reshape(-1, {classes}), or hand outputs and labels to the loss as they are.", **sizes)  # fmt: skip
        return [
            case.diagnose("shape-broadcast", "lines of outputs belong to other places than their labels", 0.96, fix, place=found["place"],
                          change={"turned_lists": True}, shape=sizes["shape"])
        ]  # fmt: skip
    fix = say("Outputs ({first}, {second}, …) and targets ({second}, {first}) are each made flat: the lists have one length, and their lines belong to different rows and places. Give both one order first: outputs.transpose(0, 1).reshape(…).", first=found["first"], second=found["second"])  # fmt: skip
    return [
        case.diagnose("shape-broadcast", "outputs and targets are made flat in different orders", 0.96, fix, place=found["place"],
                      change={"turned_lists": True}, first=found["first"], second=found["second"])
    ]  # fmt: skip


rules = (padded, forgotten, apart, across, shifted_twice, seen_ahead, cut_across, turned_lists)
