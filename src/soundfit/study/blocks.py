"""Blocks: rows of a table that is larger than memory, shuffled on disk once and trained on block by block.

Each row goes to one of B files at random, so that a block is a random sample of the table; an epoch of the
bank is one block, its rows in a new order each time. Knows no table files and no workflow.

N rows, F features, B blocks, R rows of a block in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.bank import BankData
from soundfit.records import Fold
from soundfit.study.views import TableViews

__all__ = ["Blocks", "feeding_views", "write_blocks"]

Pieces = Iterator[tuple[NDArray[np.float32], NDArray[Any]]]
_MOST_BLOCKS = 400


@dataclass(frozen=True)
class Blocks:
    """Shuffled rows on disk.

    Attributes:
        folder: of the files.
        counts: rows of each block, length B.
        n_features: F.
        classes: whether targets are class codes (int64), else float32.
        rows: R, that are in memory at a time; no block has fewer.
        key: what the rows and their order depend on.
        seed: of the order.
    """

    folder: Path
    counts: tuple[int, ...]
    n_features: int
    classes: bool
    rows: int
    key: str
    seed: int

    @property
    def n_rows(self) -> int:
        """N, the rows of all blocks."""
        return sum(self.counts)

    def fill(self, epoch: int, data: BankData) -> None:
        """Write the block of an epoch (from 1) over the first R rows of the data.

        Every B epochs each block comes once, in a new order. Blocks differ in size by chance: of a larger
        one, R rows are drawn anew each time.
        """
        n_blocks = len(self.counts)
        turn, place = divmod(epoch - 1, n_blocks)
        block = int(np.random.default_rng([self.seed, turn]).permutation(n_blocks)[place])
        inputs = np.fromfile(self.folder / f"{block}.inputs", dtype=np.float32).reshape(-1, self.n_features)
        targets = np.fromfile(
            self.folder / f"{block}.targets", dtype=np.int64 if self.classes else np.float32
        )
        rng = np.random.default_rng([self.seed, turn, block])
        drawn = np.sort(rng.choice(len(inputs), self.rows, replace=False))
        data.inputs_VN[0, : self.rows] = torch.from_numpy(inputs[drawn]).to(data.inputs_VN.device)
        those = torch.from_numpy(targets[drawn]).to(data.targets_VN.device)
        data.targets_VN[0, : self.rows] = those if self.classes else those[:, None]


def write_blocks(
    folder: Path,
    pieces: Pieces,
    *,
    n_rows: int,
    n_features: int,
    classes: bool,
    rows: int,
    seed: int,
    key: str,
) -> Blocks:
    """Shuffle the rows of ``pieces`` into blocks on disk, in memory for one piece alone.

    Args:
        folder: to write into; made if missing.
        pieces: inputs (n, F) and targets (n,) in any number of pieces.
        n_rows: about how many rows there are.
        n_features, classes, seed, key: as for :class:`Blocks`.
        rows: about how many rows a block may have.

    Raises:
        OSError: the disk has no room.
        ValueError: there are no rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_blocks = min(max(1, round(n_rows / rows)), _MOST_BLOCKS)
    counts = np.zeros(n_blocks, dtype=np.int64)
    digest = hashlib.blake2b(f"{key} {n_blocks} {seed}".encode(), digest_size=16)
    with ExitStack() as stack:
        files = [
            [stack.enter_context((folder / f"{b}.{what}").open("wb")) for what in ("inputs", "targets")]
            for b in range(n_blocks)
        ]
        for number, (inputs, targets) in enumerate(pieces):
            block_of = np.random.default_rng([seed, number]).integers(0, n_blocks, size=len(inputs))
            order = np.argsort(block_of, kind="stable")
            edges = np.searchsorted(block_of[order], np.arange(n_blocks + 1))
            x = np.ascontiguousarray(inputs[order], dtype=np.float32)
            y = targets[order].astype(np.int64 if classes else np.float32)
            for b, (x_file, y_file) in enumerate(files):
                x_file.write(x[edges[b] : edges[b + 1]].data)
                y_file.write(y[edges[b] : edges[b + 1]].data)
            counts += np.diff(edges)
    if not counts.min():
        raise ValueError(f"every block has rows, however: {counts.tolist()}")
    digest.update(counts.tobytes())
    return Blocks(
        folder,
        tuple(int(c) for c in counts),
        n_features,
        classes,
        int(counts.min()),
        digest.hexdigest(),
        seed,
    )


def feeding_views(views: TableViews, blocks: Blocks) -> TableViews:
    """Return views whose training rows are the blocks, one after the other.

    Validation rows, encoder and target scale are those of the first fold of ``views``.
    """
    validation, encoder = views.folds[0].validation, views.encoders[0]
    n_validation, data = len(validation), views.data
    inputs = torch.zeros(1, blocks.rows + n_validation, blocks.n_features)
    shape = (1, blocks.rows + n_validation, *data.targets_VN.shape[2:])
    targets = torch.zeros(shape, dtype=data.targets_VN.dtype)
    rows = torch.from_numpy(validation)
    inputs[0, blocks.rows :] = data.inputs_VN[0, rows]
    targets[0, blocks.rows :] = data.targets_VN[0, rows]
    fed = BankData(inputs, targets, blocks)
    blocks.fill(1, fed)
    # Rows that come and go have no place in scores: their targets here are never read.
    target = np.concatenate([np.repeat(views.target[:1], blocks.rows), views.target[validation]])
    return replace(
        views,
        table=replace(views.table, target=target),
        folds=(Fold(np.arange(blocks.rows), blocks.rows + np.arange(n_validation)),),
        data=fed,
        encoders=(encoder,),
        scales=views.scales[:1],
    )
