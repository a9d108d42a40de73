"""Batches: a table file that may be larger than memory, a piece at a time. Knows no target and no models.

N rows of the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from soundfit.data.delimited import delimited_head
from soundfit.data.source import unique_names
from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["BATCH_ROWS", "BatchedFile", "available_bytes", "batched", "bytes_in_memory"]

BATCH_ROWS = 65_536
_BLOCK_BYTES = 8_000_000
_PARQUET = (".parquet", ".pq")
_TEXT = (".csv", ".tsv", ".txt", ".tab", ".data")
# What a training holds for each byte of a table as NumPy has it: the frame as read and as kinds, the
# audit's codes, the encoded matrix. Peaks on tables of numbers lie between 6 and 10.
_HELD = 10
_TEXT_TO_NUMBERS = 1.5


@dataclass(frozen=True)
class BatchedFile:
    """A Parquet or delimited text file, read in order and in pieces."""

    path: Path

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet."""
        return self.path.suffix.lower() in _PARQUET

    @cached_property
    def n_rows(self) -> int:
        """N; of text found by reading it once."""
        if self.is_parquet:
            with _as_parquet(self.path):
                return int(pa.parquet.ParquetFile(self.path).metadata.num_rows)
        return sum(len(batch) for batch in self._batches())

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(_BLOCK_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def frames(self) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield (position of the first row, frame of the rows that follow it).

        Raises:
            DataError: the file is damaged.
        """
        start = 0
        try:
            for batch in self._batches():
                if len(batch):
                    frame = batch.to_pandas(date_as_object=False)
                    frame.columns = pd.Index(unique_names([str(c) for c in frame.columns]), dtype=object)
                    yield start, frame
                    start += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                "A table file is whole and of one shape from start to end",
                received=say(
                    "{path}: {splitlines} after row {start:,}",
                    path=self.path,
                    splitlines=str(error).splitlines()[0][:200],
                    start=start,
                ),
                fix="check the file there, or write it again",
            ) from None

    def sample(self, n: int, *, seed: int) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Return n rows drawn at random without replacement, in the file's order, and their positions."""
        drawn = np.random.default_rng([seed, self.n_rows]).choice(self.n_rows, min(n, self.n_rows), False)
        rows = np.sort(drawn).astype(np.int64)
        parts = []
        for start, frame in self.frames():
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(frame))]
            if len(inside):
                parts.append(frame.iloc[inside - start])
        return pd.concat(parts, ignore_index=True), rows

    def _batches(self) -> Iterator[Any]:
        if self.is_parquet:
            # Column chunks are decoded as they are needed, not a whole row group ahead.
            with _as_parquet(self.path):
                file = pa.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1_000_000)
                yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
            return
        head = _head(self.path)
        assert head is not None
        names, delimiter, n_lines = head
        # All as text: a type found in the first block would be wrong in a later one.
        text = {name: pa.string() for name in names}
        reader = pa.csv.open_csv(
            self.path,
            pa.csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=list(names), skip_rows=n_lines
            ),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types=text, strings_can_be_null=True, null_values=[""]),
        )
        with reader:
            yield from reader


def batched(source: Any) -> BatchedFile | None:
    """Return the source as a file that can be read in batches; None where it cannot."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    if path.suffix.lower() not in (*_PARQUET, *_TEXT) or not path.is_file():
        return None
    file = BatchedFile(path)
    return file if file.is_parquet or _head(path) is not None else None


def _head(path: Path) -> tuple[tuple[str, ...], str, int] | None:
    with path.open("rb") as file:
        return delimited_head(file.read(_BLOCK_BYTES), source=str(path))


@contextmanager
def _as_parquet(path: Path) -> Iterator[None]:
    """Say of a file that Arrow cannot read what :func:`soundfit.data.source.read` says."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError):
        raise DataError(
            "A file with this ending must be Parquet",
            received=say("{path}, which cannot be read as Parquet", path=path),
            fix="write the file again, or give it the ending of its format",
        ) from None


def bytes_in_memory(file: BatchedFile) -> int:
    """Return about how much memory a training on the whole file would hold."""
    if not file.is_parquet:
        return int(file.path.stat().st_size * _TEXT_TO_NUMBERS * _HELD)
    with _as_parquet(file.path):
        metadata = pa.parquet.ParquetFile(file.path).metadata
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return int(max(unpacked, 8 * metadata.num_rows * metadata.num_columns) * _HELD)


def available_bytes() -> int:
    """Return the memory that this process may still use: of the machine, and of its control group."""
    limits = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except OSError:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", None)):
        try:
            most = int((Path("/sys/fs/cgroup") / limit).read_text())
            now = int((Path("/sys/fs/cgroup") / used).read_text()) if used else 0
            limits.append(most - now)
        except (OSError, ValueError):
            continue
    return max(min(limits), 0)
