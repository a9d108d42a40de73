"""Stored rows: datasets that change what they hold when a row is read, samplers that know too few rows.

Knows datasets and loaders alone.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset, Subset, WeightedRandomSampler

__all__ = ["Kept", "by_row", "changes_when_read", "too_few_weights"]


_READ = 12  # rows that are read, of a dataset


class Kept(Dataset[Any]):
    """A dataset whose stored rows are what they were after each reading."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, place: Any) -> Any:
        return _read(self.dataset, place)[0]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "__getitems__"):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @classmethod
    def of(cls, dataset: Any) -> Any:
        """Return a dataset, or a subset of one, that keeps its rows; itself where it stores none."""
        if isinstance(dataset, Subset):
            return Subset(cls.of(dataset.dataset), dataset.indices)
        return dataset if next(_stores(dataset), None) is None else cls(dataset)


def changes_when_read(datasets: Sequence[Any]) -> str | None:
    """Return how a dataset's stored row becomes another one when it is read, though it was read before.

    ``drawn`` where it becomes another one each time, as by augmentation, else ``fixed``; None where it stays.
    What is filled in at the first reading, as a cache is, changes no more at the second. Rows are put
    back.
    """
    for dataset in datasets:
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
        try:
            n = len(dataset)
            places = sorted({round(k * (n - 1) / (_READ - 1)) for k in range(_READ)}) if n else []
            with contextlib.redirect_stdout(io.StringIO()):
                # What was erased in training may leave nothing to erase.
                changed = sum(bool(_read(dataset, i, keep_first=True)[1]) for i in places)
                if places and 2 * changed > len(places):
                    pairs = [(_read(dataset, i)[1], _read(dataset, i)[1]) for i in places]
                    return "drawn" if any(_differ(a, b) for a, b in pairs) else "fixed"
        except Exception:  # a dataset that gives no rows outside of its script
            continue
    return None


def _read(dataset: Any, place: Any, *, keep_first: bool = False) -> tuple[Any, list[Any]]:
    """Return a row, and what reading it made of what is stored where that changed; it is put back."""
    if not isinstance(place, int | np.integer):
        return dataset[place], []
    if keep_first:
        dataset[place]
    stores = list(_stores(dataset))
    before = [copy.deepcopy(store[place]) for store in stores]
    row = dataset[place]
    changed = [(s, b) for s, b in zip(stores, before, strict=True) if not _equal(b, s[place])]
    made = [_copied(store[place]) for store, _ in changed]
    if changed:
        row = pytree.tree_map(_copied, row)  # what is put back may be what the row looks at
        for store, b in changed:
            store[place] = b
    return row, made


def _stores(dataset: Any) -> Iterator[Any]:
    """Yield arrays and lists of arrays with one floating entry a row, tables of one column apart."""
    n = len(dataset) if hasattr(dataset, "__len__") else 0
    for held in list(getattr(dataset, "__dict__", {}).values()):
        if (
            isinstance(held, np.ndarray | torch.Tensor | list)
            and len(getattr(held, "shape", (1,)))
            and len(held) == n
        ):
            one = held[0] if n else None
            floating = isinstance(one, torch.Tensor) and one.is_floating_point()
            if floating or (isinstance(one, np.ndarray) and np.issubdtype(one.dtype, np.floating)):
                yield held


def _copied(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.clone()
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _differ(a: list[Any], b: list[Any]) -> bool:
    return len(a) != len(b) or any(not _equal(x, y) for x, y in zip(a, b, strict=True))


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True))


def too_few_weights(loader: Any) -> dict[str, int] | None:
    """Return ``weights`` and ``rows`` of a loader whose sampler has fewer weights than there are rows."""
    sampler = getattr(loader, "sampler", None)
    if not isinstance(sampler, WeightedRandomSampler):
        return None
    try:
        weights, rows = len(sampler.weights), len(loader.dataset)
    except Exception:  # a dataset that does not know its length
        return None
    return {"weights": weights, "rows": rows} if weights < rows else None


def by_row(dataset: Any, sampler: Any) -> Any:
    """Return a sampler with a weight for each row, where they were those of classes; else itself."""
    labels = _labels(dataset)
    if (
        not isinstance(sampler, WeightedRandomSampler)
        or labels is None
        or len(sampler.weights) >= len(labels)
    ):
        return sampler
    if int(labels.min()) < 0 or int(labels.max()) >= len(sampler.weights):
        return sampler
    weights = sampler.weights[labels].tolist()
    return WeightedRandomSampler(weights, sampler.num_samples, sampler.replacement, sampler.generator)


def _labels(dataset: Any) -> torch.Tensor | None:
    """Return a dataset's class codes, one a row; None where it holds none that can be told."""
    if isinstance(dataset, Subset):
        inner = _labels(dataset.dataset)
        return None if inner is None else inner[torch.as_tensor(dataset.indices)]
    tensors = getattr(dataset, "tensors", ())
    found = (
        [tensors[-1]] if tensors else [getattr(dataset, name, None) for name in ("targets", "labels", "y")]
    )
    for held in found:
        if held is not None and len(held) == len(dataset):
            codes = torch.as_tensor(held)
            if not codes.is_floating_point() and codes.dim() == 1:
                return codes.long()
    return None
