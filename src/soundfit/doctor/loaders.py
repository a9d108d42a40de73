"""Stand-ins for methods of DataLoader that a repair puts into a running script. Knows loaders alone."""

from __future__ import annotations

import functools
from typing import Any

import torch

from soundfit.doctor.collated import aligned
from soundfit.doctor.guards import Endless
from soundfit.doctor.stored import Kept, by_row

__all__ = ["Loaders"]


class Loaders:
    """Shuffles, lengthens or goes on where a script's loaders do not.

    Args:
        wanted: names and values of changes (``shuffle``, ``longer``, ``go_on``, ``turn_pairs``, ``aligned``).
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.times = int(wanted.get("longer", 1))
        self.lengthened = False
        self._left: dict[int, Any] = {}

    def built(self, first: Any) -> Any:
        """Return an ``__init__`` that shuffles a plain loader where that is wanted."""

        @functools.wraps(first)
        def __init__(loader: Any, dataset: Any, *args: Any, **kwargs: Any) -> None:
            if self.wanted.get("kept_rows"):
                dataset = Kept.of(dataset)
            if self.wanted.get("row_weights") and "sampler" in kwargs:
                kwargs["sampler"] = by_row(dataset, kwargs["sampler"])
            if self.wanted.get("aligned") and kwargs.get("collate_fn") is not None:
                kwargs["collate_fn"] = aligned(kwargs["collate_fn"])
            plain = not args and "sampler" not in kwargs and "batch_sampler" not in kwargs
            if self.wanted.get("shuffle") and plain and hasattr(dataset, "__len__"):
                kwargs["shuffle"] = True
            first(loader, dataset, *args, **kwargs)

        return __init__

    def iterated(self, iterate: Any) -> Any:
        """Return an ``__iter__`` that lengthens an epoch, or goes on where the last iterator stopped."""

        @functools.wraps(iterate)
        def __iter__(loader: Any) -> Any:
            if not torch.is_grad_enabled():
                return iterate(loader)
            if self.wanted.get("turn_pairs"):
                return (_turned(batch) for batch in iterate(loader))
            if self.times > 1:
                if not isinstance(loader.sampler, torch.utils.data.RandomSampler):
                    return iterate(loader)
                self.lengthened = True
                return (batch for _ in range(self.times) for batch in iterate(loader))
            if self.wanted.get("go_on"):
                if id(loader) not in self._left:
                    self._left[id(loader)] = Endless(loader, iterate, self._left)
                return self._left[id(loader)]
            return iterate(loader)

        return __iter__


def _turned(batch: Any) -> Any:
    """Return a batch whose pairs' labels mean the other: 0 and 1, or -1 and 1, in the last vector of two
    values."""
    if not isinstance(batch, list | tuple):
        return batch
    parts = list(batch)
    for k in reversed(range(len(parts))):
        x = parts[k]
        if isinstance(x, torch.Tensor) and x.dim() <= 2 and x.numel() == len(x):
            low, high = float(x.min()), float(x.max())
            if {low, high} <= {0.0, 1.0} and bool(((x == 0) | (x == 1)).all()):
                parts[k] = 1 - x if x.dtype is not torch.bool else ~x
                return parts
            if {low, high} <= {-1.0, 1.0} and bool((x.abs() == 1).all()):
                parts[k] = -x
                return parts
    return batch
