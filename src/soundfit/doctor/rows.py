"""Rows that the doctor saw pass through a model: inputs and targets, copied, never more than a cap.

Knows tensors; knows nothing of models or losses. Which batches are kept depends on their count alone, so
no random number is drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import torch

from soundfit.doctor.steps import mixed

__all__ = [
    "RowStore",
    "Rows",
    "by_chance",
    "chance_twins",
    "dealt_across",
    "exhaustive",
    "mirrored",
    "overlap",
    "recur",
    "retargeted",
    "row_keys",
    "unseen",
]

MAX_ROWS = 4096
MOST_CODES = 32_768  # rows of a few codes: each tells of its users and items alone
MAX_ELEMENTS = 6_000_000
_ROWS_A_GROUP = 64
_ROWS_A_BATCH = 40  # as many speak for themselves: the next batch may be of a pass over other rows
_SHORT_CODES = 24
_FEW_CODES = 4


@dataclass
class Rows:
    """Inputs (a tuple of tensors, rows first) and targets (rows first); ``weight`` of a row is 1."""

    inputs: tuple[torch.Tensor, ...]
    targets: torch.Tensor

    def __len__(self) -> int:
        return int(self.targets.shape[0])

    def take(self, index: torch.Tensor) -> Rows:
        """Return the rows at ``index``."""
        return Rows(tuple(x[index] for x in self.inputs), self.targets[index])

    def unique(self) -> Rows:
        """Return the rows without repetitions of the same input and target, in order of first sight."""
        return self.take(_first_seen((*self.inputs, self.targets))) if len(self) else self


def _first_seen(columns: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the places of rows that are equal to none before them."""
    keys = row_keys(columns)
    _, inverse = torch.unique(keys, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(keys), dtype=torch.long)
    first.scatter_reduce_(0, inverse, torch.arange(len(keys)), "amin")
    return first.sort().values


@dataclass
class RowStore:
    """Batches kept at a stride that doubles when the store is full; half of them go then, in no rhythm."""

    batches: list[Rows] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    head: list[tuple[float, torch.Tensor]] = field(default_factory=list)
    offered: int = 0
    stride: int = 1
    rows: int = 0
    elements: int = 0
    fewest: int = 2
    """Batches that stay however large they are."""
    last: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    def wants(self) -> bool:
        """Return whether the next offer will be kept; counts the offer."""
        self.offered += 1
        # Not every second one: a script may score training and validation rows in turn.
        return mixed(self.offered - 1) % (self.stride if self.offered <= 128 else max(self.stride, 4)) == 0

    def keep(self, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor, step: int) -> None:
        """Copy a batch to the CPU."""
        n = int(targets.shape[0])
        most = most_rows(inputs)
        if n > most:  # a full-batch script: the same many rows each time
            if self.batches and self.batches[-1].targets.shape[0] == most and len(self.batches) > 1:
                self.stride *= 2
                return
            index = torch.linspace(0, n - 1, most).long()
            inputs = tuple(x.detach()[index.to(x.device)] for x in inputs)
            targets = targets.detach()[index.to(targets.device)]
        batch = Rows(tuple(_copy(x) for x in inputs), _copy(targets))
        self.last = batch.targets
        if len(self.head) < 64:
            self.head.append((float(batch.inputs[0].double().sum()), batch.targets))
        self.batches.append(batch)
        self.steps.append(step)
        self.rows += len(batch)
        self.elements += sum(x.numel() for x in batch.inputs) + batch.targets.numel()
        while len(self.batches) > self.fewest and (
            self.rows > most + most // 4 or self.elements > MAX_ELEMENTS
        ):
            self._thin()

    def turn(self) -> None:
        """Take the second axis of what is kept for its rows."""
        for batch in self.batches:
            batch.inputs = tuple(x.transpose(0, 1) if x.dim() > 1 else x for x in batch.inputs)
            batch.targets = batch.targets.transpose(0, 1) if batch.targets.dim() > 1 else batch.targets
        self.rows = sum(len(batch) for batch in self.batches)

    def _thin(self) -> None:
        n = len(self.batches)
        # Passes over whole sets are few and of different sizes: one of each stays.
        last = {len(batch): i for i, batch in enumerate(self.batches)}
        kept = [i for i in range(n) if i.bit_count() % 2 == 0 or (len(last) <= 3 and i in last.values())]
        kept = kept[-(n - 1) :]
        self.batches = [self.batches[i] for i in kept]
        self.steps = [self.steps[i] for i in kept]
        self.stride *= 2
        self.rows = sum(len(b) for b in self.batches)
        self.elements = sum(x.numel() for b in self.batches for x in (*b.inputs, b.targets))

    def joined(self) -> Rows | None:
        """Return all kept rows as one, for batches whose row shapes agree with those seen most often of late.

        Sequences may grow while a training goes on: what it ended with is what it is judged by.
        """
        if not self.batches:
            return None
        shapes = [tuple(x.shape[1:] for x in (*b.inputs, b.targets)) for b in self.batches]
        late = [one for one, step in zip(shapes, self.steps, strict=True) if 3 * step >= 2 * self.steps[-1]]
        shape = Counter(late).most_common(1)[0][0]
        fit = [b for b, one in zip(self.batches, shapes, strict=True) if one == shape]
        inputs = tuple(torch.cat([b.inputs[i] for b in fit]) for i in range(len(fit[0].inputs)))
        rows = Rows(inputs, torch.cat([b.targets for b in fit])).unique()
        if len(rows) > (most := most_rows(rows.inputs)):
            rows = rows.take(torch.linspace(0, len(rows) - 1, most).long())
        return rows


def most_rows(inputs: tuple[torch.Tensor, ...]) -> int:
    """Return how many rows are kept: of a user, an item, a word a few thousand tell hardly anything."""
    codes = all(not x.is_floating_point() and not x.is_complex() for x in inputs)
    few = sum(x[:1].numel() for x in inputs) <= _FEW_CODES
    return MOST_CODES if codes and few else MAX_ROWS


def row_keys(parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return a number per row (N,): equal rows have equal numbers, unequal rows almost surely not."""
    keys = torch.zeros(parts[0].shape[0], dtype=torch.float64)
    for part in parts:
        # In one layout: a sum over strided rows rounds otherwise than one over rows in a line.
        flat = torch.nan_to_num(part.reshape(part.shape[0], -1).double()).contiguous()
        # A fixed, irrational-looking projection, summed row by row: the same row gives the same sum anywhere.
        weight = torch.sin(torch.arange(1, flat.shape[1] + 1, dtype=torch.float64) * 12.9898) + 1.7
        keys = keys * 1.61803398875 + (flat * weight).sum(1)
    return keys


def dealt_across(store: RowStore) -> tuple[float, float]:
    """Return which share of slices come back in other batches: along the rows' axis, along the next one.

    Batches are dealt from a set of rows, so rows come back in other company; what lies across them hardly
    ever does. (0, 0) where rows are drawn anew, two numbers near 1 where each batch is the whole set.
    """
    shares = []
    for axis in (0, 1):
        met: Counter[float] = Counter()
        for batch in store.batches:
            x = batch.inputs[0]
            if min(part.dim() for part in (*batch.inputs, batch.targets)) < 2 or min(x.shape[:2]) < 2:
                return 0.0, 0.0
            met.update(set(row_keys((x.transpose(0, axis),)).tolist()))
        again = sum(n for n in met.values() if n > 1)
        shares.append(again / max(sum(met.values()), 1))
    return shares[0], shares[1]


def overlap(train: Rows, evaluation: RowStore) -> tuple[int, int]:
    """Return how many inputs of held-out passes were trained on, and how many there are, each counted once.

    A script may also score its training rows, in passes of their own: then some batches hold many rows that
    were trained on and others hardly any, more unequally than chance would deal them (by the chi-squared
    statistic), and the batches with few speak. Rows mixed by a bad split are in all batches alike, and never
    all of the training rows.
    """
    known = row_keys(train.inputs)
    shapes = [x.shape[1:] for x in train.inputs]
    groups: list[torch.Tensor] = []
    before = None
    for step, batch in zip(evaluation.steps, evaluation.batches, strict=True):
        if [x.shape[1:] for x in batch.inputs] != shapes:
            continue
        keys = row_keys(batch.inputs)
        if groups and step == before and len(keys) < _ROWS_A_BATCH and len(groups[-1]) < _ROWS_A_GROUP:
            groups[-1] = torch.cat([groups[-1], keys])
        else:
            groups.append(keys)
        before = step
    if not groups:
        return 0, 0
    sizes = torch.tensor([float(len(g)) for g in groups])
    shares = torch.stack([torch.isin(g, known).double().mean() for g in groups])
    overall = float((shares * sizes).sum() / sizes.sum())
    low, high = float(shares.min()), float(shares.max())
    spread = max(overall * (1 - overall), 1e-9)
    unequal = float((sizes * (shares - overall).square()).sum()) / spread
    chance = len(groups) - 1 + 4 * math.sqrt(2 * max(len(groups) - 1, 1))
    if high - low > 0.2 and unequal > chance:
        border = (low + high) / 2
        for _ in range(10):  # two means, in one dimension
            border = float(shares[shares < border].mean() + shares[shares >= border].mean()) / 2
        groups = [g for g, s in zip(groups, shares.tolist(), strict=True) if s < border]
    rows = torch.cat(groups).unique()
    if torch.isin(known, rows).double().mean() >= 0.95:
        return len(rows), len(rows)  # the training rows themselves, of which not all were kept here
    return int(torch.isin(rows, known).sum()), len(rows)


def unseen(evaluation: Rows, train: Rows) -> Rows:
    """Return the rows of an evaluation that were not trained on, where 20 or more are left; else all.

    Scripts also evaluate their training rows: their score says nothing of new ones.
    """
    shapes = [x.shape[1:] for x in train.inputs]
    if [x.shape[1:] for x in evaluation.inputs] != shapes or len(evaluation) == 0:
        return evaluation
    new = ~torch.isin(row_keys(evaluation.inputs), row_keys(train.inputs))
    return evaluation.take(new.nonzero().reshape(-1)) if 20 <= int(new.sum()) < len(new) else evaluation


def recur(rows: Rows) -> bool:
    """Return whether equal inputs are no sign of the same row: users and items, bits, categories.

    So it is where the columns have too few values to tell the rows apart (fewer than 100 combinations a
    row), or where more than 5 % of the rows, copies of input and target left out, repeat another's input.
    """
    once = rows.unique()
    n = len(once)
    if n < 2:
        return False
    flat = torch.cat([torch.nan_to_num(x.reshape(n, -1).double()) for x in once.inputs], dim=1)
    combinations = 0.0
    for column in flat[:, :256].T:
        combinations += math.log(len(column.unique()))
        if combinations > math.log(100 * n):
            break
    else:
        if flat.shape[1] <= 256:
            return True
    return len(Rows(once.inputs, torch.zeros(n)).unique()) < 0.95 * n


def retargeted(rows: Rows) -> tuple[int, float, float]:
    """Return how many inputs came with several targets, how far those lie apart, and the share of such rows.

    Apart: the spread within an input's targets over that of all, each once; 1 as of any two rows.
    """
    once = rows.unique()
    _, group, size = row_keys(once.inputs).unique(return_inverse=True, return_counts=True)
    several = size[group] > 1
    share = int(several.sum()) / max(len(once), 1)
    if int(several.sum()) < 2:
        return 0, 0.0, share
    y, group = once.targets[several].reshape(int(several.sum()), -1).double(), group[several]
    if not bool(torch.isfinite(y).all()) or not float(y.var(0).sum()) > 0:
        return 0, 0.0, share
    total, seen = torch.zeros(len(size), y.shape[1], dtype=y.dtype), size.double().clamp_min(1)
    mean = total.index_add(0, group, y) / seen[:, None]
    within = ((y - mean[group]) ** 2).sum() / (seen[group] - 1).div(seen[group]).sum()
    return int((size > 1).sum()), float(within / y.var(0, correction=0).sum()), share


def exhaustive(rows: Rows) -> bool:
    """Return whether the rows are all there are: each combination of two to four values a column, once.

    A table of that kind (all words of eight bits) is a function to be learnt; rows held out tell nothing.
    """
    n = len(rows)
    if n < 4 or any(x.reshape(n, -1).shape[1] > _SHORT_CODES for x in rows.inputs):
        return False
    columns = torch.cat([torch.nan_to_num(x.reshape(n, -1).double()) for x in rows.inputs], dim=1)
    varied = []
    for column in columns.T:
        values = len(column.unique())
        if values > 4:
            return False
        varied += [values] if values > 1 else []
    if len(varied) < 2 or math.prod(varied) != n:
        return False
    return len(Rows((columns,), torch.zeros(n)).unique()) == n


def by_chance(store: RowStore) -> bool:
    """Return whether rows of codes come back by chance: short texts, few symbols.

    A loader deals each row once an epoch; two equal ones in a batch are two rows that are alike. Where one
    row in fifty has such a twin, an evaluation will hold some as well.
    """
    twins = rows = 0
    for batch in store.batches:
        if any(x.is_floating_point() for x in batch.inputs):
            return False
        keys = row_keys((*batch.inputs, batch.targets))
        twins, rows = twins + len(keys) - len(keys.unique()), rows + len(keys)
    return rows >= 100 and twins >= 0.02 * rows


def chance_twins(store: RowStore, known: int) -> float:
    """Return the share of new rows of short codes that have an equal among ``known`` rows by chance alone.

    Two rows of one batch are two draws: how often they are equal tells how often a new row is equal to a
    known one. Where some rows come back more often than others the true share is smaller. Long texts come
    back by no chance: nothing is expected of them, nor of numbers.
    """
    equal = pairs = 0
    for batch in store.batches:
        if any(x.is_floating_point() for x in batch.inputs):
            return 0.0
        n = len(batch)
        codes = torch.cat([x.reshape(n, -1) for x in batch.inputs], dim=1)
        if float((codes != 0).sum(1).double().median()) > _SHORT_CODES:
            return 0.0
        equal += n - len(row_keys(batch.inputs).unique())
        pairs += n * (n - 1) // 2
    return 1 - math.exp(-known * equal / pairs) if pairs >= 1000 else 0.0


def mirrored(rows: Rows) -> dict[str, float]:
    """Return the share of pictures that are another's turned or mirrored copy, and how their targets agree.

    ``mirrored``: that share, 0 without pictures. ``relabelled``: how many neighbouring copies have different
    targets, over how many of any two rows have; 0 where there are fewer than 20. A projection that all turns
    and mirrorings leave as it is finds the copies; equal pictures count once.
    """
    nothing = {"mirrored": 0.0, "relabelled": 0.0}
    if len(rows.inputs) != 1 or rows.inputs[0].dim() != 4 or not rows.inputs[0].is_floating_point():
        return nothing
    rows = rows.take(_first_seen(rows.inputs)) if len(rows) else rows
    x = torch.nan_to_num(rows.inputs[0].double())
    height, width = x.shape[2:]
    r = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    c = torch.arange(width, dtype=torch.float64)[None] - (width - 1) / 2
    even = torch.cos(0.7 * r) * torch.cos(0.7 * c) + 0.3 * torch.cos(1.9 * r) * torch.cos(1.9 * c)
    channels = 1 + 0.37 * torch.arange(x.shape[1], dtype=torch.float64)[:, None, None]
    keys, order = (x * even * channels).sum((1, 2, 3)).sort()
    near = 1e-6 * (x * even).abs().sum((1, 2, 3)).median()
    close = (keys[1:] - keys[:-1]) < near
    pair = torch.zeros(len(keys), dtype=torch.bool)
    pair[1:] |= close
    pair[:-1] |= close
    found = {**nothing, "mirrored": float(pair.float().mean())}
    if int(close.sum()) >= 20 and rows.targets.dim() == 1:
        y = rows.targets[order]
        chance = float(
            (y != y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]).double().mean()
        )
        found["relabelled"] = float((y[1:] != y[:-1])[close].double().mean()) / max(chance, 1e-12)
    return found


def _copy(x: torch.Tensor) -> torch.Tensor:
    return x.detach().to("cpu", copy=True)
