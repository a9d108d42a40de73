"""Kernels of distances that reach no row: exp(-distance) of inputs on large scales is nothing everywhere.

Knows autograd's graph; knows no rule.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import SHAPE_ONLY, kind_of, parents_of, saved, walk

__all__ = ["unreached"]

_MAPS = ("Mv", "Mm", "Addmm", "Addmv", "Bmm")
_NOTHING = 1e-4  # of a kernel's largest value


def unreached(loss: torch.Tensor) -> float | None:
    """Return the share of rows (N, K) for which each of K exponentials that a linear map takes is nothing.

    None where no linear map takes exponentials.

    >>> w = torch.ones(5, requires_grad=True)
    >>> [unreached((torch.exp(-w * torch.full((8, 5), far)) @ w).sum()) for far in (1.0, 40.0)]
    [0.0, 1.0]
    """
    if loss.grad_fn is None:
        return None
    for node in walk(loss.grad_fn, 60):
        for parent in parents_of(node) if kind_of(node) in _MAPS else ():
            result = _exponentials(parent)
            if result is not None and result.dim() == 2 and result.shape[1] > 1:
                return float((result.abs().amax(1) < _NOTHING).double().mean())
    return None


def _exponentials(node: Any) -> torch.Tensor | None:
    while kind_of(node) in SHAPE_ONLY and len(parents_of(node)) == 1:
        node = parents_of(node)[0]
    return saved(node, "_saved_result") if kind_of(node) == "Exp" else None
