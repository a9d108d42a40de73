"""Targets that are pictures as the inputs are: do they lie on each other, or is one mirrored or turned?

Knows tensors of rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from soundfit.doctor.rows import Rows

__all__ = ["dense_facts"]

Tensor = torch.Tensor
_MOST_ROWS = 256
_FEWEST = 16
_CLEAR = 0.15  # by how much another position must fit better, as a correlation


def dense_facts(rows: Rows, evaluation: Rows | None) -> dict[str, float]:
    """Return the share of rows whose target fits better mirrored or turned; empty if targets are no pictures.

    A target's fit is the correlation of its values with the picture's at the same places. One position that
    suits all rows is how the data are stored, and none of them is turned.
    """
    found = _turned(rows)
    if math.isnan(found):
        return {}
    other = _turned(evaluation) if evaluation is not None else math.nan
    return {"turned": found, **({} if math.isnan(other) else {"turned_in_evaluation": other})}


def _turned(rows: Rows) -> float:
    x, y = rows.inputs[0], rows.targets
    if not (x.is_floating_point() and x.dim() == 4 and y.dim() in (3, 4) and x.shape[-2:] == y.shape[-2:]):
        return math.nan
    if len(x) < _FEWEST or min(x.shape[-2:]) < 8:
        return math.nan
    x, y = x[:_MOST_ROWS].float().mean(1), y[:_MOST_ROWS].float()
    y = y.mean(1) if y.dim() == 4 else y
    if bool((x.std((1, 2)) == 0).any()):
        return math.nan
    able = y.std((1, 2)) > 0
    x, y = x[able], y[able]
    if len(x) < _FEWEST:
        return math.nan
    fits = torch.stack([_correlation(x, z) for z in _positions(y)])
    best, where = fits.max(0)
    better = (best - fits[0] > _CLEAR) & (best > 0.3)
    one = torch.bincount(where[better], minlength=len(fits)).max() if bool(better.any()) else 0
    return (
        0.0 if int(one) > 0.9 * int(better.sum()) and int(better.sum()) > 8 else float(better.float().mean())
    )


def _positions(y: Tensor) -> Iterator[Tensor]:
    """Yield pictures as they are, then mirrored and turned, as far as that keeps their form."""
    turns = range(4) if y.shape[-1] == y.shape[-2] else (0, 2)
    for turn in turns:
        z = y.rot90(turn, (-2, -1))
        yield z
        yield z.flip(-1)


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    x, y = (z.reshape(len(z), -1) for z in (x, y))
    x, y = (z - z.mean(1, keepdim=True) for z in (x, y))
    return ((x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1)).clamp_min(1e-12)).abs()
