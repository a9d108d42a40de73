"""Splitters: pure functions that draw rows and deal rows, groups or times into folds.

Arrays in, arrays out; knows no tables, no options and no messages. scikit-learn does the dealing
where it has a splitter for it.

N rows, G groups, T different times, k folds.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

__all__ = [
    "cut_by_time",
    "deal_groups",
    "deal_rows",
    "draw_groups",
    "draw_rows",
    "part_groups",
    "target_strata",
    "time_blocks",
]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# StratifiedGroupKFold tries every fold for every group in Python: seconds at this many.
MAX_STRATIFIED_GROUPS = 10_000
# Draws among which the best balanced one is taken; thousands of groups balance by themselves.
GROUP_DRAWS, MANY_GROUP_DRAWS = 64, 4


def target_strata(target: NDArray[Any], k: int, *, n_bins: int = 10) -> Ints:
    """Bin a numeric target by quantiles into strata of at least k rows; shape (N,), from 0."""
    n_bins = max(1, min(n_bins, len(target) // max(1, k)))
    inner = np.quantile(target, np.linspace(0, 1, n_bins + 1)[1:-1]) if n_bins > 1 else np.empty(0)
    return np.searchsorted(np.unique(inner), target, side="right").astype(np.int64)


def draw_rows(n_rows: int, fraction: float, strata: Ints | None, rng: np.random.Generator) -> Ints:
    """Draw ``round(fraction · N)`` rows, each stratum within one row of its share; ascending.

    Largest remainders decide who gets the rows left over by rounding down. A stratum of one row is
    never drawn: no model could learn what is only in the exam.
    """
    n_drawn = int(min(max(round(fraction * n_rows), 1), n_rows - 1))
    if strata is None:
        return np.sort(rng.permutation(n_rows)[:n_drawn]).astype(np.int64)
    _, code, count = np.unique(strata, return_inverse=True, return_counts=True)
    share = count * (n_drawn / n_rows)
    take = np.floor(share).astype(np.int64)
    room = np.where((count > 1) & (take < count), share - take, -1.0)
    for stratum in np.argsort(-room, kind="stable")[: n_drawn - int(take.sum())]:
        take[stratum] += room[stratum] >= 0
    order = rng.permutation(n_rows)
    order = order[np.argsort(code[order], kind="stable")]
    within = np.arange(n_rows) - np.repeat(np.cumsum(count) - count, count)
    return np.sort(order[within < np.repeat(take, count)]).astype(np.int64)


def deal_rows(n_rows: int, k: int, strata: Ints | None, rng: np.random.Generator) -> Ints:
    """Deal rows into k folds whose sizes, and whose strata, differ by at most one row; shape (N,).

    A stratum with fewer than k rows is spread over as many folds as it has rows.
    """
    state = int(rng.integers(2**31))
    fold = np.full(n_rows, -1, dtype=np.int64)
    if strata is None or np.bincount(strata).max() < k:
        parts = KFold(k, shuffle=True, random_state=state).split(np.empty(n_rows))
    else:
        with warnings.catch_warnings():  # the plan's reason names the rare classes
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            parts = list(StratifiedKFold(k, shuffle=True, random_state=state).split(np.empty(n_rows), strata))
    for i, (_, validation) in enumerate(parts):
        fold[validation] = i
    return fold


def draw_groups(group: Ints, fraction: float, strata: Ints | None, rng: np.random.Generator) -> Ints:
    """Draw the rows of ``round(fraction · G)`` whole groups; ascending.

    Of several random draws the one is taken whose share of rows, and of each stratum, is nearest to
    the fraction: one huge group should not become the exam by chance.
    """
    codes, code = np.unique(group, return_inverse=True)
    n_groups = len(codes)
    n_drawn = int(min(max(round(fraction * n_groups), 1), n_groups - 1))
    stratum = np.zeros(len(group), dtype=np.int64) if strata is None else strata
    n_strata = int(stratum.max()) + 1
    table = np.zeros((n_groups, n_strata))
    np.add.at(table, (code, stratum), 1.0)
    total = table.sum(axis=0)
    total = np.where(total > 0, total, 1.0)
    best, best_miss = None, np.inf
    for _ in range(GROUP_DRAWS if n_groups <= MAX_STRATIFIED_GROUPS else MANY_GROUP_DRAWS):
        drawn = rng.permutation(n_groups)[:n_drawn]
        taken = table[drawn].sum(axis=0)
        miss = abs(taken.sum() / len(group) - fraction) + float(np.mean(np.abs(taken / total - fraction)))
        if miss < best_miss:
            best, best_miss = drawn, miss
    chosen = np.zeros(n_groups, dtype=bool)
    chosen[best] = True
    return np.flatnonzero(chosen[code]).astype(np.int64)


def deal_groups(group: Ints, k: int, strata: Ints | None, rng: np.random.Generator) -> Ints:
    """Deal whole groups into k folds of about equal size, strata balanced as far as it goes; shape (N,).

    There must be at least k groups; every fold gets one.
    """
    codes, code = np.unique(group, return_inverse=True)
    code = rng.permutation(len(codes))[code]  # ties between groups of one size fall by the seed
    parts: list[tuple[Any, Any]] = []
    if strata is not None and len(codes) <= MAX_STRATIFIED_GROUPS and np.bincount(strata).max() >= k:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            splitter = StratifiedGroupKFold(k, shuffle=True, random_state=int(rng.integers(2**31)))
            parts = list(splitter.split(np.empty(len(group)), strata, code))
    if not parts or any(len(validation) == 0 for _, validation in parts):
        parts = list(GroupKFold(k).split(np.empty(len(group)), groups=code))
    fold = np.full(len(group), -1, dtype=np.int64)
    for i, (_, validation) in enumerate(parts):
        fold[validation] = i
    return fold


def time_blocks(rank: Ints, n_blocks: int) -> Ints:
    """Cut rows into consecutive blocks of about equal size, equal times together; shape (N,).

    ``rank`` is the dense rank of time (0 … T-1, each present); T must be at least ``n_blocks``.
    """
    ends = np.cumsum(np.bincount(rank))
    n_times = len(ends)
    first_rank = [0]
    for block in range(1, n_blocks):
        cut = _nearest_cut(ends, len(rank) * block / n_blocks)
        first_rank.append(int(np.clip(cut, first_rank[-1] + 1, n_times - (n_blocks - block))))
    return (np.searchsorted(first_rank, rank, side="right") - 1).astype(np.int64)


def cut_by_time(rank: Ints, fraction: float) -> int:
    """Return the first rank of the last ``fraction`` of rows, equal times on one side."""
    ends = np.cumsum(np.bincount(rank))
    return int(np.clip(_nearest_cut(ends, len(rank) * (1.0 - fraction)), 1, len(ends) - 1))


def _nearest_cut(ends: NDArray[Any], ideal: float) -> int:
    right = int(np.searchsorted(ends, ideal))
    if right > 0 and (right >= len(ends) or ideal - ends[right - 1] <= ends[right] - ideal):
        right -= 1
    return right + 1


def part_groups(earlier: Mask, later: Mask, group: Ints, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Take rows out of two sides of a cut in time so that no group is on both.

    Groups that straddle the cut lose their earlier rows where that leaves at least half of the
    earlier side. Otherwise (as in a panel, where every group lives through all times) half of them
    keep only their later rows and half only their earlier rows.
    """
    straddling = np.intersect1d(group[earlier], group[later])
    if straddling.size == 0:
        return earlier, later
    torn = np.isin(group, straddling)
    kept = earlier & ~torn
    if 2 * kept.sum() >= earlier.sum():
        return kept, later
    goes_later = np.isin(group, rng.permutation(straddling)[: (len(straddling) + 1) // 2])
    return earlier & ~goes_later, later & ~(torn & ~goes_later)
