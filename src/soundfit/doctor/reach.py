"""Reach: whether targets lie beyond what the output's activation can give, where no module makes the output.

Reads the autograd graph of a squared or absolute difference; runs nothing and changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import activation_node, kind_of, parents_of, saved
from soundfit.doctor.judge import ACTIVATION_RANGES
from soundfit.doctor.seen import LossCall

__all__ = ["reach_of"]

_HEARD = ("relu", "sigmoid", "tanh")  # whose results autograd keeps, and which no class loss wants
_SIZES = ("Pow", "Abs", "Mul", "Square")
_THROUGH = ("Mean", "Sum", "Div", "Mul")


def reach_of(loss: torch.Tensor, call: LossCall | None) -> dict[str, Any] | None:
    """Return activation, range of the targets and share of them beyond the activation's range.

    None where the output has no such activation, or where output and targets cannot be told apart.
    """
    pair = _of_call(call) if call is not None else _of_graph(loss)
    if pair is None:
        return None
    made, target = pair
    low, high = ACTIVATION_RANGES[made]
    outside = (target < low) | (target > high)
    return {
        "activation": made,
        "beyond": float(outside.double().mean()),
        "low": float(target.min()),
        "high": float(target.max()),
    }


def _of_call(call: LossCall) -> tuple[str, torch.Tensor] | None:
    found = activation_node(call.prediction.grad_fn)
    if found is None or found[0] not in _HEARD or not isinstance(call.target, torch.Tensor):
        return None
    return found[0], call.target.detach().double()


def _of_graph(loss: torch.Tensor) -> tuple[str, torch.Tensor] | None:
    node: Any = loss.grad_fn
    for _ in range(8):
        if node is None:
            return None
        kind, parents = kind_of(node), parents_of(node)
        if kind in _SIZES and parents and kind_of(parents[0]) in ("Sub", "Rsub"):
            difference, minus = saved(node, "_saved_self"), parents[0]
            break
        if kind not in _THROUGH or len(parents) != 1:
            return None
        node = parents[0]
    else:
        return None
    given = parents_of(minus)
    if difference is None or len(given) != 1:  # both sides have a history: none of them was given
        return None
    found = activation_node(given[0])
    if found is None or found[0] not in _HEARD:
        return None
    made, where = found
    output = saved(where, "_saved_result")
    if output is None or output.numel() != difference.numel():
        return None
    output = output.reshape(difference.shape).double()
    # One parent: the other operand was given. Its side tells the sign.
    first = minus.next_functions[0][0] is not None
    turned = (kind_of(minus) == "Rsub") == first
    target = output + difference.double() if turned else output - difference.double()
    return made, target
