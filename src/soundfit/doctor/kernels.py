"""Kernels of distances that reach no row: exp(-distance) of inputs on large scales is nothing everywhere.

Knows autograd's graph; knows no rule.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import SHAPE_ONLY, kind_of, parents_of, saved, walk

__all__ = ["unreached"]

_MAPS = ("Mv", "Mm", "Addmm", "Addmv")
_NOTHING = 1e-4  # of a kernel's largest value


def unreached(loss: torch.Tensor) -> float | None:
    """Return the share of rows for which all exponentials (N, K) that trained weights multiply are nothing.

    None where trained weights multiply none: what is computed may make up for it, as in optimal transport.

    >>> w = torch.ones(5, requires_grad=True)
    >>> [unreached((torch.exp(-w * torch.full((8, 5), far)) @ w).sum()) for far in (1.0, 40.0)]
    [0.0, 1.0]
    """
    if loss.grad_fn is None:
        return None
    for node in walk(loss.grad_fn, 60):
        near = [_through(one) for one in parents_of(node)] if kind_of(node) in _MAPS else []
        if not any(kind_of(one) == "AccumulateGrad" for one in near):
            continue
        for one in near:
            result = saved(one, "_saved_result") if kind_of(one) == "Exp" else None
            if result is not None and result.dim() == 2 and result.shape[1] > 1:
                return float((result.abs().amax(1) < _NOTHING).double().mean())
    return None


def _through(node: Any) -> Any:
    """Return what is behind views of it."""
    while kind_of(node) in SHAPE_ONLY and len(parents_of(node)) == 1:
        node = parents_of(node)[0]
    return node
