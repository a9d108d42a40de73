"""Partners: for each row the other row that agrees with it in the most telling cells.

Rows are hashed on many small sets of columns; rows that meet in a bucket are compared in full. Knows
codes, no targets and no findings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.hashes import cell_hashes, mix
from soundfit.data.audit.view import Feature

__all__ = ["Partners", "find_partners"]

Rows = NDArray[np.int64]
#: Random sets of columns tried, and rows compared for each.
SETS = 48
ROWS_A_SET = 12_000


@dataclass(frozen=True)
class Partners:
    """Pairs found: ``row`` and ``partner`` (P,), ``information`` of their agreement in nats (P,), and
    ``equal_PF``: in which columns they agree."""

    row: Rows
    partner: Rows
    information: NDArray[np.float64]
    equal_PF: NDArray[np.bool_]


def find_partners(features: tuple[Feature, ...], rows: Rows, seed: int) -> Partners:
    """Return for each row (of those met in a bucket) its best partner among ``rows``.

    Agreement in a rare value tells more: a cell counts −log(frequency of its value). In tables of more
    than 12,000 rows each set of columns looks at a part of the buckets, whole buckets at a time.
    """
    n, rng = len(rows), np.random.default_rng([seed, 41])
    weights = [-np.log(f.counts.clip(1) / len(f.codes)) for f in features]
    telling = [j for j, f in enumerate(features) if 1 < f.n_distinct <= 0.98 * len(f.codes)]
    best = np.full(n, -np.inf)
    partner = np.full(n, -1, dtype=np.int64)
    if not telling or n < 2:
        return Partners(rows[:0], rows[:0], best[:0], np.zeros((0, len(features)), dtype=bool))
    entropy = np.array([float((f.counts / len(f.codes)) @ w) for f, w in zip(features, weights, strict=True)])
    odds = entropy[telling] / entropy[telling].sum()
    parts = max(1, n // ROWS_A_SET)
    for turn in range(SETS):
        some = min(1 + turn % 3, int(np.count_nonzero(odds)))
        key = _keys(features, rng.choice(telling, some, replace=False, p=odds), rows)
        here = np.flatnonzero(mix(key + np.uint64(turn)) % np.uint64(parts) == 0)
        second = _keys(features, rng.choice(telling, some, replace=False, p=odds), rows[here])
        order = here[np.lexsort((rng.random(len(here)), second, key[here]))]
        left, right = order[:-1], order[1:]
        met = key[left] == key[right]
        left, right = left[met], right[met]
        score = np.zeros(len(left))
        for feature, weight in zip(features, weights, strict=True):
            codes = feature.codes[rows[left]]
            score += np.where(codes == feature.codes[rows[right]], weight[codes], 0.0)
        for a, b in ((left, right), (right, left)):
            better = score > best[a]
            best[a[better]] = score[better]
            partner[a[better]] = b[better]
    met = partner >= 0
    one, other = rows[met], rows[partner[met]]
    equal = np.stack([f.codes[one] == f.codes[other] for f in features], axis=1)
    return Partners(one, other, best[met], equal)


def _keys(features: tuple[Feature, ...], chosen: NDArray[np.int64], rows: Rows) -> NDArray[np.uint64]:
    key = np.zeros(len(rows), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for j in chosen:
            key += cell_hashes(features[j].codes, int(j))[rows]
    return key
