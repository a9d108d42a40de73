"""Outputs of one model that losses of their own judge: a training of several tasks is asked about each.

Knows records of models and losses; knows no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from soundfit.doctor.batch import judged_by
from soundfit.doctor.call import call_of, tensors
from soundfit.doctor.glance import described
from soundfit.doctor.lines import user_place
from soundfit.doctor.seen import LossCall, RootRecord

__all__ = ["Head", "heads_of", "keep_heads"]

_MOST = 4


@dataclass
class Head:
    """One output with the loss that judges it; ``record`` is the model's with rows of this output alone."""

    record: RootRecord
    kind: str
    loss: dict[str, Any]
    size: float


def keep_heads(root: RootRecord, entry: tuple[Any, Any, Any], calls: Sequence[LossCall], step: int) -> None:
    """Keep the rows of outputs that other losses than the step's last judge.

    Args:
        root: the model.
        entry: positional and named arguments of its call, and what it returned.
        calls: the losses of the step, the last is the one that ``root`` keeps rows of.
        step: counted from 1.
    """
    args, kwargs, out = entry
    if len(calls) < 2 or len(tensors(out)) < 2:
        return
    main = judged_by(out, calls[-1].prediction)
    root.extra["size"] = root.extra.get("size", _size(calls[-1]))
    root.extra["outputs"] = (main, len(tensors(out)))
    for call in calls[:-1][-8:]:
        k = judged_by(out, call.prediction)
        if k is None or k == main or (k not in root.heads and len(root.heads) >= _MOST):
            continue
        made = call_of(args, kwargs, call.target)
        if made is None or call.target.requires_grad:
            continue
        if k not in root.heads:
            own = RootRecord(root.module, root.place, call=replace(made[0], output=k))
            root.heads[k] = Head(own, call.kind, described(call, user_place(step)), _size(call))
        root.heads[k].record.keep(made[1], call.prediction, call.target, step)


def _size(call: LossCall) -> float:
    return float(call.output.detach().abs().float().mean())


def heads_of(root: RootRecord | None) -> list[Head]:
    """Return the heads of a model as it is by now, those with the largest losses first."""
    if root is None:
        return []
    kept = [h for h in root.heads.values() if h.record.train_rows.batches]
    own = ("train_rows", "train_scores", "eval_rows", "eval_scores", "eval_named", "call", "heads")
    made = [replace(h, record=replace(root, **{name: getattr(h.record, name) for name in own})) for h in kept]
    return sorted(made, key=lambda h: -h.size)
