"""Given numbers that weigh a loss of each place before it is summed: a mask of what counts, or a gain.

Knows graphs of losses; knows no model and no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.graph import kind_of, leads_to, parents_of, walk
from soundfit.doctor.seen import LossCall

__all__ = ["factor_of", "take_factors"]

Tensor = torch.Tensor
_NEAR = 40  # nodes from the end of a loss


def factor_of(loss: Tensor, unreduced: Tensor) -> Tensor | None:
    """Return the given tensor that a loss of each place is multiplied by, None where it is by none.

    Args:
        loss: what goes backward.
        unreduced: what a loss function with ``reduction="none"`` gave, with its graph.

    The tensor has as many numbers as ``unreduced``, or one for each of its rows.
    """
    node = unreduced.grad_fn
    if loss.grad_fn is None or node is None or unreduced.numel() < 2:
        return None
    for near in walk(loss.grad_fn, _NEAR):
        if kind_of(near) != "Mul":
            continue
        given = [x for name in ("_saved_self", "_saved_other") if (x := _saved(near, name)) is not None]
        sides = parents_of(near)
        if len(given) != 1 or len(sides) != 1 or given[0].requires_grad:
            continue
        if given[0].numel() in (unreduced.numel(), len(unreduced)) and leads_to(sides[0], node):
            return given[0].detach()
    return None


def _saved(node: Any, name: str) -> Tensor | None:
    found = getattr(node, name, None)
    return found if isinstance(found, Tensor) else None


def take_factors(loss: Tensor, calls: Sequence[LossCall], facts: dict[str, Any]) -> None:
    """Give losses of each place the numbers that weigh them.

    ``facts`` keep the largest share of zeros seen, the largest spread of factors by their mean, and whether
    they had both signs.
    """
    for call in calls[-4:]:
        factor = factor_of(loss, call.output) if call.output.dim() else None
        if factor is None:
            continue
        call.factor = factor
        weighed = facts.setdefault("weighed", {"zeros": 0.0, "uneven": 0.0, "signed": False})
        weighed["zeros"] = max(weighed["zeros"], float((factor == 0).float().mean()))
        spread = float(factor.double().std(correction=0) / (factor.double().mean().abs() + 1e-12))
        weighed["uneven"] = max(weighed["uneven"], spread)
        weighed["signed"] = weighed["signed"] or bool((factor < 0).any() and (factor > 0).any())
