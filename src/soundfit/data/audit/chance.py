"""Chance: how many equal rows are to be expected by coincidence, with dependence between columns.

A tree of columns (Chow & Liu 1968), each explained by the one that tells most about it, with the row
itself left out of every count. Knows codes, no targets and no findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.hashes import cell_hashes, clusters, row_hashes, sizes
from soundfit.data.audit.view import Feature

__all__ = ["NO_COINCIDENCE", "Chance", "expected_twins", "share_beyond_chance"]

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
#: log(expected equal rows) below which an equal row is no coincidence. The margin stands for what a tree
#: does not see of the dependence.
NO_COINCIDENCE = float(np.log(3e-3))
#: Columns that the tree joins, and rows that it is drawn from; the other columns count as independent.
TREE_COLUMNS, TREE_ROWS = 40, 1000
#: Rows' worth of weight that a value's overall frequency has beside its frequency in company.
PRIOR = 1.0


@dataclass(frozen=True)
class Chance:
    """``log_expected`` (N,): log of the number of other rows expected to equal the row; ``largest``
    (N,): the largest share of it that one cell brings."""

    log_expected: Floats
    largest: Floats


def expected_twins(
    features: Sequence[Feature],
    n_rows: int,
    own: NDArray[np.int64],
    seed: int,
    *,
    neighbours: bool = False,
    part: float = 1.0,
) -> Chance:
    """Return for each row how many others would equal it by chance.

    Args:
        features: columns compared.
        n_rows: N.
        own: shape (N,), rows (itself and its copies) left out of the counts when a row is judged: copies
            must not vouch for each other.
        seed: of the sample that the tree is drawn from.
        neighbours: also expect a twin where rows differ in one cell alone: there the table is dense,
            whatever the tree says.
        part: share of the table that these rows are, drawn in whole sets of equal rows.
    """
    parents = _tree(features, own, seed)
    total = np.full(n_rows, np.log(max(n_rows, 1) / part))
    largest = np.zeros(n_rows)
    for child, parent in enumerate(parents):
        codes = features[child].codes
        surprise = _alone(codes, own) if parent < 0 else _given(codes, features[parent].codes, own)
        total -= surprise
        np.maximum(largest, surprise, out=largest)
    if neighbours:
        total = np.maximum(total, _by_neighbours(features, own) - np.log(part))
    return Chance(total, largest)


def _by_neighbours(features: Sequence[Feature], own: NDArray[np.int64]) -> Floats:
    """Return log of (rows that differ in one cell) × (frequency of the value that this row has there)."""
    whole = row_hashes((f.codes for f in features), len(own))
    expected = np.zeros(len(own))
    for salt, feature in enumerate(features):
        with np.errstate(over="ignore"):
            without = whole - cell_hashes(feature.codes, salt)
        expected += (sizes(clusters(without)) - own) * np.exp(-_alone(feature.codes, own))
    return np.log(np.maximum(expected, 1e-300))


def share_beyond_chance(
    twin: NDArray[np.bool_], log_expected: Floats, own: NDArray[np.int64] | None = None
) -> float:
    """Return the share of different rows whose twin is no coincidence, read off the least expected ones.

    Coincidence takes the common rows, copying takes rows blindly: how often the rarest tenth of the rows
    has a twin is how often any row has one that chance does not explain.

    Args:
        twin: shape (N,), whether the row has a twin.
        log_expected: shape (N,), from :func:`expected_twins`.
        own: shape (N,), rows equal to the row, itself included: they count as one (default: 1).
    """
    if len(twin) == 0:
        return 0.0
    weight = np.ones(len(twin)) if own is None else 1 / own
    least = min(1.0, max(0.1, 25 / len(twin)))
    # In steps of half a unit: leaving copies out of the counts must not rank them first.
    expected = np.round(2 * log_expected)
    rarest = expected <= np.quantile(expected, least)
    beyond = float(weight[rarest & twin & (log_expected < NO_COINCIDENCE)].sum())
    return beyond / float(weight[rarest].sum()) if beyond >= 4 else 0.0


def _alone(child: NDArray[np.int32], own: NDArray[np.int64]) -> Floats:
    """Return −log P(child) for every row, the row's own copies left out.

    A value that no other row has would come again as often as values of two rows are among those of one
    (Good 1953).
    """
    others = np.bincount(child)[child] - own
    unseen = min(
        0.5, (np.count_nonzero(others == 1) + 1) / (np.count_nonzero(others <= 0) + len(child) ** 0.5)
    )
    return -np.log(np.maximum(others, unseen) / len(child))


def _given(child: NDArray[np.int32], parent: NDArray[np.int32], own: NDArray[np.int64]) -> Floats:
    """Return −log P(child | parent) for every row, the row's own copies left out."""
    joint = parent.astype(np.int64) * (int(child.max()) + 1) + child
    if int(joint.max()) < 4 * len(joint) + 10_000:
        count = np.bincount(joint)[joint]
    else:
        _, at, joint_count = np.unique(joint, return_inverse=True, return_counts=True)
        count = joint_count[at]
    together = np.maximum(count - own, 0)
    alone = np.maximum(np.bincount(parent)[parent] - own, 0)
    return -np.log((together + PRIOR * np.exp(-_alone(child, own))) / (alone + PRIOR))


def _tree(features: Sequence[Feature], own: NDArray[np.int64], seed: int) -> list[int]:
    """Return each column's parent, −1 for none, by greatest gain in (left-out) likelihood."""
    parents = [-1] * len(features)
    rng = np.random.default_rng([seed, 67])
    some = np.arange(len(own))
    if len(some) > TREE_ROWS:
        some = rng.choice(len(own), TREE_ROWS, replace=False)
    mine = np.maximum(own[some] * len(some) // len(own), 1)
    codes = [np.unique(f.codes[some], return_inverse=True)[1].astype(np.int32) for f in features]
    repeated = [j for j, c in enumerate(codes) if 1 < c.max() + 1 <= 0.5 * len(some)]
    if len(repeated) < 2:
        return parents
    if len(repeated) > TREE_COLUMNS:
        repeated = sorted(int(j) for j in rng.choice(repeated, TREE_COLUMNS, replace=False))
    gain = np.zeros((len(repeated), len(repeated)))
    for a, child in enumerate(repeated):
        alone = float(_alone(codes[child], mine).mean())
        for b, parent in enumerate(repeated):
            if a != b:
                gain[a, b] = alone - float(_given(codes[child], codes[parent], mine).mean())
    inside = {int(np.argmax(gain.sum(axis=0)))}
    while len(inside) < len(repeated):
        outside = [a for a in range(len(repeated)) if a not in inside]
        within = sorted(inside)
        reach = gain[np.ix_(outside, within)]
        a, b = (int(i) for i in np.unravel_index(int(reach.argmax()), reach.shape))
        if reach[a, b] > 0:
            parents[repeated[outside[a]]] = repeated[within[b]]
        inside.add(outside[a])
    return parents
