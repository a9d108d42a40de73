"""Which inputs, prediction and target of a step belong together. Knows no hook and no rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from soundfit.doctor.call import call_of, tensors
from soundfit.doctor.graph import leads_to, outer_activation, output_activation, reshapes
from soundfit.doctor.places import IGNORED, Places, placed, placed_second, rows_come_second
from soundfit.doctor.seen import LossCall, RootRecord, first_tensor

__all__ = ["Matched", "judged_by", "judging", "matched", "put_maker_last"]

Matched = tuple[tuple[torch.Tensor, ...] | None, torch.Tensor, torch.Tensor, RootRecord | None]


def matched(
    window: Sequence[tuple[RootRecord, Any, Any, Any, bool]],
    calls: Sequence[LossCall],
    met: tuple[str, torch.Tensor, torch.Tensor] | None,
) -> Matched | None:
    """Return ``(inputs, prediction, target, root)``; inputs and root are None where rows disagree."""
    judged = judging(calls) if calls else None
    if judged is not None:
        prediction, target = judged.prediction, judged.target
    elif met is not None:
        _, prediction, target = met
    else:
        return None
    last = window[-1][0] if window else None
    for root, args, kwargs, out, _ in reversed(window):
        if _are_pairs(target, out):
            continue
        second, places, asked = rows_come_second(root.module), None, target
        if judged is not None:
            places, asked = _by_places(judged, args, kwargs, out, second=second)
        made = call_of(args, kwargs, asked, second=second)
        if made is not None:
            root.extra["composite"] = root is not last
            if root.call is None:
                k = judged_by(out, prediction) or None  # the first needs no choice
                outer = _outer(out, k, prediction) or _inside(judged, out, k)
                root.call = replace(made[0], output=k, outer=outer, places=places)
            return made[1], prediction, asked, root
    return None, prediction, target, None


def judging(calls: Sequence[LossCall]) -> LossCall:
    """Return the last loss that compares with what was given, not with what a model made (an entropy)."""
    return next((c for c in reversed(calls) if not c.target.requires_grad), calls[-1])


def _by_places(
    call: LossCall, args: Any, kwargs: Any, out: Any, *, second: bool
) -> tuple[Places | None, torch.Tensor]:
    """Return how a loss's list is cut out of a model's output, None where it is not, and targets by rows."""
    found, x = tensors(out), first_tensor((args, kwargs))
    if not found or x is None or not x.dim():
        return None, call.target
    one, ignored = found[judged_by(out, call.prediction) or 0], call.kwargs.get("ignore_index", IGNORED)
    target = call.target
    if call.factor is not None and call.factor.numel() == target.numel() and not target.is_floating_point():
        target = torch.where(call.factor.reshape(target.shape) == 0, ignored, target)
    judged = call.kind, one, call.prediction, target
    if second:
        made = placed_second(*judged, x.shape[1], ignored) if x.dim() > 1 else None
    else:
        made = placed(*judged, len(x), ignored)
    return (None, call.target) if made is None else made


def put_maker_last(
    window: list[tuple[RootRecord, Any, Any, Any, bool]],
    calls: Sequence[LossCall],
    met: tuple[str, torch.Tensor, torch.Tensor] | None,
) -> None:
    """Move the call that made what the loss judges to the end of a step's calls, past its own parts.

    Parts may be called by themselves after their whole, for a penalty: they predict nothing. Another model
    that is called later (an actor after its critic) stays: then no single one is what the loss is about.
    """
    prediction = calls[-1].prediction if calls else met[1] if met is not None else None
    node = prediction.grad_fn if prediction is not None else None
    if node is None or len(window) < 2:
        return
    for k in reversed(range(len(window))):
        made = (x.grad_fn for x in tensors(window[k][3]))
        if any(x is not None and leads_to(node, x) for x in made):
            parts = {id(part) for part in window[k][0].module.modules()}
            if all(id(later[0].module) in parts for later in window[k + 1 :]):
                window.append(window.pop(k))
            return


def _are_pairs(target: torch.Tensor, out: Any) -> bool:
    """Return whether a target has a number for each pair of rows: no row of it belongs to one input."""
    found = tensors(out)
    n = len(target) if target.dim() else 0
    if target.dim() != 2 or target.shape[1] != n or n < 3 or not found:
        return False
    return found[0].dim() == 2 and len(found[0]) == n and found[0].shape[1] != n


def _outer(out: Any, k: int | None, prediction: torch.Tensor) -> str | None:
    found = tensors(out)
    return outer_activation(prediction, found[k or 0]) if found else None


def _inside(call: LossCall | None, out: Any, k: int | None) -> str | None:
    """Return ``rate`` where the loss itself takes the model's output for the logarithm of a rate.

    One that an exponential made is a rate already, whatever the loss takes it for.
    """
    if call is None or call.kind != "poisson_nll_loss" or not call.kwargs.get("log_input", True):
        return None
    if output_activation(call.prediction) is not None:
        return None
    made = tensors(out)[k or 0].grad_fn
    return "rate" if made is not None and reshapes(call.prediction.grad_fn, made) else None


def judged_by(out: Any, prediction: torch.Tensor) -> int | None:
    """Return which of the tensors that a model returns a loss judges, None where that is not one of them.

    The script may have changed its shape on the way.
    """
    found = tensors(out)
    same = next((k for k, x in enumerate(found) if x is prediction), None)
    if same is not None or len(found) < 2 or prediction.grad_fn is None:
        return same
    node = prediction.grad_fn
    made = [k for k, x in enumerate(found) if x.grad_fn is not None and leads_to(node, x.grad_fn)]
    return made[0] if len(made) == 1 else None
