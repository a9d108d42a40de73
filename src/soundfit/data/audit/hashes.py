"""Hashes: rows as 64-bit sums of cell hashes, so that a column can be taken out again by subtraction.

Knows codes, no targets and no findings.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["cell_hashes", "clusters", "mix", "row_hashes", "sizes"]

Hashes = NDArray[np.uint64]


def mix(values: NDArray[np.uint64]) -> Hashes:
    """Scramble 64-bit integers (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def cell_hashes(codes: NDArray[np.integer], salt: int) -> Hashes:
    """Return a hash for each cell; ``salt`` tells columns apart."""
    n_codes = int(codes.max(initial=0)) + 1
    with np.errstate(over="ignore"):
        table = mix(np.arange(n_codes, dtype=np.uint64) + np.uint64((salt + 1) << 40))
    return table[codes]


def row_hashes(columns: Iterable[NDArray[np.integer]], n_rows: int) -> Hashes:
    """Return the sum of the cell hashes of each row, shape (n_rows,)."""
    total = np.zeros(n_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for salt, codes in enumerate(columns):
            total += cell_hashes(codes, salt)
    return total


def clusters(hashes: Hashes) -> NDArray[np.int64]:
    """Return a cluster number for each row; rows of one hash share it."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    new = np.empty(len(hashes), dtype=np.int64)
    new[order] = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])
    return new


def sizes(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the number of rows in its cluster."""
    return np.bincount(cluster)[cluster]
