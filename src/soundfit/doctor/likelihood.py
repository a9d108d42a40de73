"""Likelihood: half of one, written by hand, which teaches outputs to be 1 for every row.

Reads ``grad_fn`` nodes and their saved tensors; runs nothing and changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import SHAPE_ONLY, constant_factor, kind_of, logged_node, parents_of, saved, walk

__all__ = ["half_likelihood", "is_likelihood"]

_LOGARITHMS = ("Log", "Log2", "Log1P", "LogSigmoid", "Softplus", "LogSoftmax")
_LOW = 0.1  # targets below are as good as 0


def half_likelihood(loss: torch.Tensor) -> dict[str, float] | None:
    """Return what a loss without the second half of y log p + (1 - y) log(1 - p) does where y is next to 0.

    Args:
        loss: a scalar, with its graph.

    Returns:
        ``given``, the mean of the numbers from 0 to 1 that weigh log p, and ``raised``, the mean of p where
        they are below .1; None where p is not made by a sigmoid, where another logarithm is in the loss, or
        nothing is next to 0.
    """
    nodes = list(walk(loss.grad_fn, 60))
    logs = [n for n in nodes if kind_of(n) in _LOGARITHMS]
    weighs = [n for n in nodes if kind_of(n) == "Mul" and len(parents_of(n)) == 1]
    if len(logs) != 1:
        return None
    for node in weighs:
        given = saved(node, "_saved_self")
        given = saved(node, "_saved_other") if given is None else given
        made: Any = logged_node(parents_of(node)[0], plain=True)
        if given is None or made is None or kind_of(made) != "Sigmoid":
            continue
        p = saved(made, "_saved_result")
        if p is None or p.numel() != given.numel() or not bool(((given >= 0) & (given <= 1)).all()):
            continue
        low = given.reshape(-1) < _LOW
        if bool(low.any()):
            return {"given": float(given.mean()), "raised": float(p.reshape(-1)[low].mean())}
    return None


def is_likelihood(loss: torch.Tensor) -> bool:
    """Return whether a loss holds logarithms of probabilities, none of them negated: minimised, they fall.

    Looks through sums, means, positive factors and what is added beside (a penalty).
    """
    signs: set[int] = set()
    waiting = [(loss.grad_fn, 1)]
    for _ in range(40):
        if not waiting:
            break
        node, sign = waiting.pop()
        if node is None:
            continue
        kind, parents = kind_of(node), parents_of(node)
        if kind in ("LogSigmoid", "LogSoftmax") or (
            kind in ("Log", "Log2") and logged_node(node) is not None
        ):
            signs.add(sign)
        elif kind == "Sub" and len(parents) == 2:
            waiting += [(parents[0], sign), (parents[1], -sign)]
        elif kind in ("Neg", "Rsub") and len(parents) == 1:
            waiting.append((parents[0], -sign))
        elif kind in ("Mul", "Div") and len(parents) == 1:
            factor = constant_factor(node)
            if factor is not None and factor != 0:
                waiting.append((parents[0], sign if factor > 0 else -sign))
        elif kind in ("Add", "Mean", "Sum", "Sub", *SHAPE_ONLY):
            waiting += [(p, sign) for p in parents]
    return signs == {1}
