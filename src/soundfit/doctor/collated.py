"""Batches that a collate function puts together: do labels stay with the rows that they belong to?

A function that sorts texts by their length for packing, and forgets their labels, shows in one batch of items
whose order is known. Knows loaders and tensors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from soundfit.doctor.draws import same_draws
from soundfit.doctor.lines import place_of

__all__ = ["aligned", "parted_labels"]

Tensor = torch.Tensor
_ITEMS = 16


def parted_labels(loaders: Iterable[Any]) -> dict[str, Any] | None:
    """Return that a loader's collate function moves inputs and not their labels, else None.

    Returns:
        ``rows`` (items that were put together), ``moved`` (of them) and ``place`` of the function.
    """
    for loader in loaders:
        collate = getattr(loader, "collate_fn", None)
        if collate is None or str(getattr(collate, "__module__", "")).startswith("torch."):
            continue
        try:
            with same_draws(), torch.no_grad():
                items = [loader.dataset[i] for i in range(min(_ITEMS, len(loader.dataset)))]
                found = _parted(items, collate(list(items)))
        except Exception:  # items that only the loader's own sampler can ask for
            continue
        if found is not None:
            order = found[0]
            moved = sum(1 for row, item in enumerate(order) if row != item)
            return {"rows": len(order), "moved": moved, "place": place_of(collate)}
    return None


def aligned(collate: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Return a collate function whose labels follow the inputs."""

    def put_together(items: list[Any]) -> Any:
        batch = collate(items)
        found = _parted(items, batch)
        if found is None:
            return batch
        order, labels = found
        parts = [part[order] if part is labels else part for part in batch]
        return tuple(parts) if isinstance(batch, tuple) else parts

    return put_together


def _parted(items: Sequence[Any], batch: Any) -> tuple[list[int], Tensor] | None:
    """Return which item each row of a batch is, and the labels in another order; None if none are."""
    if not isinstance(batch, tuple | list) or not all(isinstance(x, tuple | list) for x in items):
        return None
    tensors = [part for part in batch if isinstance(part, Tensor) and part.shape[:1] == (len(items),)]
    width = min(len(x) for x in items)
    for rows in (part for part in tensors if part.dim() > 1):
        for k in range(width):
            order = _order(rows, [torch.as_tensor(x[k]) for x in items])
            if order is None or order == sorted(order):
                continue
            for labels in (part for part in tensors if part.dim() == 1):
                if any(_stayed(labels, items, q, order) for q in range(width) if q != k):
                    return order, labels
    return None


def _order(rows: Tensor, parts: Sequence[Tensor]) -> list[int] | None:
    """Return which part each row begins with; None where that is not one for each."""
    if not all(part.dim() > 0 and part.numel() > 2 for part in parts):
        return None
    order = []
    for row in rows:
        fits = [j for j, part in enumerate(parts) if _begins(row, part)]
        if len(fits) != 1:
            return None
        order.append(fits[0])
    return order if len(set(order)) == len(parts) else None


def _begins(row: Tensor, part: Tensor) -> bool:
    head = row[: len(part)]
    return head.shape == part.shape and bool((head == part.to(head.dtype)).all())


def _stayed(labels: Tensor, items: Sequence[Any], q: int, order: list[int]) -> bool:
    """Return whether labels are in the order of the items, which is not that of the rows."""
    parts = [torch.as_tensor(x[q]) for x in items]
    if any(part.numel() != 1 for part in parts):
        return False
    own, given = labels.double(), torch.stack([part.reshape(()).double() for part in parts])
    return bool((own == given).all()) and not bool((own == given[order]).all())
