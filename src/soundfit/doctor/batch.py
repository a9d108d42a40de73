"""Which inputs, prediction and target of a step belong together. Knows no hook and no rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.seen import LossCall, RootRecord, tensors

__all__ = ["Matched", "matched"]

Matched = tuple[tuple[torch.Tensor, ...] | None, torch.Tensor, torch.Tensor, RootRecord | None]


def matched(
    window: Sequence[tuple[RootRecord, Any, Any, Any, bool]],
    calls: Sequence[LossCall],
    met: tuple[str, torch.Tensor, torch.Tensor] | None,
) -> Matched | None:
    """Return ``(inputs, prediction, target, root)``; inputs and root are None where rows disagree."""
    if calls:
        call = calls[-1]
        prediction, target = call.prediction, call.target
    elif met is not None:
        _, prediction, target = met
    else:
        return None
    last = window[-1][0] if window else None
    for root, args, kwargs, _, _ in reversed(window):
        inputs = tuple(tensors((args, kwargs)))
        if not inputs or not target.dim() or any(x.requires_grad and x.grad_fn is not None for x in inputs):
            continue
        if all(x.dim() and x.shape[0] == target.shape[0] for x in inputs):
            root.extra["composite"] = root is not last
            return inputs, prediction, target, root
    return None, prediction, target, None
