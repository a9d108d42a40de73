"""Shapes that a view cuts across: an axis that stands elsewhere afterwards, though no number was moved.

``x.view(rows, heads, places, size)`` of ``(rows, places, heads * size)`` has the right shape and mixes places
with heads. Knows sizes and tensors alone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch

__all__ = ["carried", "moved_axis"]

Tensor = torch.Tensor
_RESHAPE = torch.Tensor.reshape  # as it is before it is patched


def moved_axis(before: Sequence[int], after: Sequence[int]) -> tuple[int, int] | None:
    """Return where an axis stood that stands elsewhere after a view, and where it stands, else None.

    A view moves no number, so an axis keeps its place when as many numbers lie in front of it as before: it
    may be split, or joined with its neighbours. One of the same size with other neighbours in front is cut
    across, and what it said of a row's places is lost.

    >>> moved_axis((32, 12, 64), (32, 4, 12, 16)), moved_axis((32, 12, 64), (32, 12, 4, 16))
    ((1, 2), None)
    >>> moved_axis((32, 5, 7), (32, 7, 5)), moved_axis((32, 28, 28), (32, 1, 28, 28))
    ((1, 2), None)
    """
    if len(before) < 3 or len(after) < 3 or prod(before) != prod(after) or not before[0] or before[0] < 2:
        return None
    ends = _ends(after)
    if _ends(before) <= ends or ends <= _ends(before):
        return None  # axes are only split, or only joined
    for i, size in enumerate(before[1:], start=1):
        start = prod(before[:i])
        if size < 3 or {start, start * size} <= ends:
            continue
        others = _without(before, i)
        for j, other in enumerate(after):
            rest = _without(after, j)
            if j and other == size and prod(after[:j]) != start and _nested(others, rest):
                return i, j
    return None


def _without(sizes: Sequence[int], k: int) -> list[int]:
    return [size for i, size in enumerate(sizes) if i != k]


def _ends(sizes: Sequence[int]) -> set[int]:
    """Return how many numbers lie in front of each axis, and in front of the end."""
    return {prod(sizes[:k]) for k in range(len(sizes) + 1)}


def _nested(before: Sequence[int], after: Sequence[int]) -> bool:
    """Return whether axes are only split and joined: each end divides the next one of both shapes."""
    ends = sorted(_ends(before) | _ends(after))
    return all(b % a == 0 for a, b in itertools.pairwise(ends))


def carried(original: Callable[..., Tensor], inside: Callable[[], bool]) -> Callable[..., Tensor]:
    """Return ``view`` or ``reshape`` that carries an axis to where it is to stand and cuts across none.

    ``inside``: whether a model runs; what one has made is carried after it, too.
    """

    @functools.wraps(original)
    def viewed(x: Tensor, *shape: Any, **kwargs: Any) -> Tensor:
        out = original(x, *shape, **kwargs)
        moved = (
            moved_axis(x.shape, out.shape)
            if isinstance(out, Tensor) and (inside() or x.requires_grad)
            else None
        )
        if moved is None:
            return out
        i, j = moved
        with torch._C.DisableTorchFunction():  # a mode would look the patched one up by its name
            return _RESHAPE(x.movedim(i, -1), (*_without(out.shape, j), x.shape[i])).movedim(-1, j)

    return viewed
