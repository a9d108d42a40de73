"""Picture copies: pictures of one content, and nearly the same ones, without comparing all pairs.

Equal content hashes are copies. Near copies (saved again, scaled, brightened) are candidates that share a
band of a difference hash (Krawetz 2013, "Kind of like that"), and are judged by the distance of their
thumbnails. How close is close enough is measured, for small grey pictures of one kind look alike by nature:
where pictures fill a space of D dimensions, pairs within a distance t are 2^D - 1 times rarer than pairs
between t and 2t. The threshold is the loosest at which chance, so estimated, explains at most a twentieth of
the pairs found.

N pictures, S × S thumbnails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["Copies", "difference_hashes", "find_copies", "near_pairs", "small_greys"]

_THUMBNAIL = 16
_BANDS = 8
#: Neighbours looked at in a band's bucket, in the order of the whole hash.
_WINDOW = 6
#: Relative distances of thumbnails (1: unrelated pictures) that may count as near, loosest first.
_LADDER = (0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.025)
_CHANCE = 0.05
#: Dimensions that pictures are taken to vary in; real ones vary in more, so this errs to caution.
_DIMENSION = 6
#: A thumbnail flatter than this (standard deviation in bytes) has nothing to be compared by.
_FLAT = 3.0

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Which pictures belong together.

    Attributes:
        group: (N,) one number per set of copies, exact and near; a picture alone has its own.
        exact: (N,) one number per content.
        n_exact: pictures with an equal one before them.
        n_near: sets of different contents that are nearly the same.
        threshold: relative distance up to which pictures count as near; 0 where none do.
    """

    group: NDArray[np.int64]
    exact: NDArray[np.int64]
    n_exact: int
    n_near: int
    threshold: float

    @property
    def any(self) -> bool:
        """Whether any picture has a copy."""
        return len(np.unique(self.group)) < len(self.group)


def find_copies(pixels: NDArray[np.uint8], content: NDArray[np.object_]) -> Copies:
    """Return exact and near copies among pictures (N, H, W, C) with content hashes (N,)."""
    _, first, exact = np.unique(content.astype(str), return_index=True, return_inverse=True)
    pairs, threshold = near_pairs(pixels, first)
    # Numbers of contents, from positions of their first pictures.
    ends = exact[pairs]
    n = len(first)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    _, near = connected_components(graph, directed=False)
    sizes = np.bincount(near, minlength=1)
    return Copies(
        near[exact].astype(np.int64),
        exact.astype(np.int64),
        len(content) - n,
        int((sizes > 1).sum()),
        threshold,
    )


def near_pairs(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[Pairs, float]:
    """Return pairs (P, 2) of nearly equal pictures among these rows, and the threshold used."""
    if len(rows) < 2:
        return np.empty((0, 2), dtype=np.int64), 0.0
    thumbs = small_greys(pixels, rows)
    normal, lively = _normalised(thumbs)
    candidates = _candidates(difference_hashes(thumbs))
    candidates = candidates[lively[candidates].all(axis=1)]
    distance = _distances(normal, candidates)
    for threshold in _LADDER:
        found = distance <= threshold
        shell = (distance > threshold) & (distance <= 2 * threshold)
        by_chance = shell.sum() / (2.0**_DIMENSION - 1.0)
        if found.any() and by_chance <= _CHANCE * found.sum():
            return rows[candidates[found]], threshold
    return np.empty((0, 2), dtype=np.int64), 0.0


def small_greys(
    pixels: NDArray[np.uint8], rows: NDArray[np.int64], size: int = _THUMBNAIL
) -> NDArray[np.float32]:
    """Return grey thumbnails (n, S, S): means over cells (nearest pixels where a picture is smaller)."""
    height, width = pixels.shape[1:3]
    size_down, size_across = min(size, height), min(size, width)
    down = np.linspace(0, height, size_down + 1).round().astype(int)
    across = np.linspace(0, width, size_across + 1).round().astype(int)
    areas = np.diff(down)[:, None] * np.diff(across)[None, :]
    made = np.empty((len(rows), size_down, size_across), dtype=np.float32)
    for start in range(0, len(rows), 2048):
        grey = pixels[rows[start : start + 2048]].mean(axis=3, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(grey, down[:-1], axis=1), across[:-1], axis=2)
        made[start : start + 2048] = sums / areas
    return made


def difference_hashes(thumbs: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return 128 bits as 8 bands (N, 8): 8 × 8 cells against their right and their lower neighbours."""
    n = len(thumbs)
    rows = np.linspace(0, thumbs.shape[1] - 1, 9).round().astype(int)
    columns = np.linspace(0, thumbs.shape[2] - 1, 9).round().astype(int)
    cells = thumbs[:, rows][:, :, columns]
    right = cells[:, :8, :8] > cells[:, :8, 1:]
    lower = cells[:, :8, :8] > cells[:, 1:, :8]
    bits = np.concatenate([right.reshape(n, 64), lower.reshape(n, 64)], axis=1)
    return np.packbits(bits, axis=1).view(np.uint16).reshape(n, _BANDS)


def _candidates(bands: NDArray[np.uint16]) -> Pairs:
    """Return pairs that share a band; in a crowded bucket only neighbours in the order of the whole hash."""
    n = len(bands)
    found = []
    for band in range(_BANDS):
        others = [bands[:, b] for b in range(_BANDS) if b != band]
        order = np.lexsort((*others, bands[:, band]))
        key = bands[order, band]
        for step in range(1, min(_WINDOW, n - 1) + 1):
            same = key[:-step] == key[step:]
            pairs = np.stack([order[:-step][same], order[step:][same]], axis=1)
            found.append(np.sort(pairs, axis=1))
    pairs = np.concatenate(found)
    codes = np.unique(pairs[:, 0].astype(np.int64) * n + pairs[:, 1])
    return np.stack([codes // n, codes % n], axis=1)


def _normalised(thumbs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return thumbnails as vectors of length 1 around their mean, and which have contrast at all."""
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    deviation = flat.std(axis=1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, 1e-6), deviation > _FLAT


def _distances(unit: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Return ‖a - b‖ / √2 of unit vectors, pair by pair: 0 for equal, 1 for unrelated pictures."""
    made = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), 65_536):
        i, j = pairs[start : start + 65_536].T
        made[start : start + 65_536] = np.linalg.norm(unit[i] - unit[j], axis=1) / np.sqrt(2.0)
    return made
