"""Rows that are held back from a running script: which ones, and how they teach nothing."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["held_back", "row_values", "without_gradient"]

Tensor = torch.Tensor


def without_gradient(out: Any, mask: Tensor, axis: int = 0) -> Any:
    """Return an output through which the rows of ``mask`` teach nothing, whatever loss follows.

    ``axis``: of the rows, where an output has as many axes.
    """
    if not isinstance(out, Tensor) or not out.requires_grad:
        return out
    axis = axis if out.dim() > 2 else 0
    if out.shape[axis] != len(mask):
        return out
    shape = [len(mask) if k == axis else 1 for k in range(out.dim())]
    return torch.where(mask.reshape(shape), out.detach(), out)


def held_back(rows: tuple[Tensor, ...], share: float) -> Tensor:
    """Return which rows to hold back: a fixed function of each row's values."""
    return row_values(rows) < share


def row_values(rows: tuple[Tensor, ...]) -> Tensor:
    """Return a number from 0 to 1 for each row that its values alone decide, spread evenly over rows."""
    flat = torch.cat([torch.nan_to_num(x.detach().reshape(len(x), -1).double()) for x in rows], 1)
    weight = torch.sin(torch.arange(1, flat.shape[1] + 1, dtype=torch.float64, device=flat.device) * 78.233)
    value = torch.sin(flat @ weight * 43758.5453) * 1e4
    return value - value.floor()
