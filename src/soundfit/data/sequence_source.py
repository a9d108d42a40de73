"""Sequence source: from an npz file, a table or a frame to aligned steps. Knows no splits and no models.

Shape legend: N sequences, T steps, F channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.sequence_columns import array_columns, columns_of_lists, from_columns
from soundfit.data.sequence_layout import Layout, SequenceSource
from soundfit.data.sequence_long import from_long
from soundfit.data.sequence_npz import from_npz, npz_holds_sequences
from soundfit.data.source import read_frame
from soundfit.errors import UsageError, did_you_mean
from soundfit.records.said import say

__all__ = ["MOST_STEPS", "holds_sequences", "read_sequences"]

#: Longer sequences are averaged over windows: an unrolled net costs time in proportion to its steps.
MOST_STEPS = 512
_PEEK_BYTES = 65_536


def read_sequences(
    source: str | Path | pd.DataFrame,
    *,
    target: str = "",
    sequence: str = "",
    time: str = "",
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    layout: Layout | None = None,
) -> SequenceSource:
    """Read sequences; with a ``layout`` in the way that earlier data were read.

    Args:
        source: an npz file, a table file or a DataFrame.
        target: the target's column or array; ``y`` or its like in an npz file if empty.
        sequence: a column of arrays, or the column that names each step's sequence in a long table.
        time: the column that orders the steps of a long table.
        keep: columns with one value per sequence that are no channels (groups).
        drop: columns to leave out.
        layout: of the training data; the target may then be missing.

    Raises:
        DataError: there are no sequences in it, or they cannot be read.
        UsageError: a column is not there, or it is not clear what the sequences are.
    """
    found = _read(source, target, sequence, time, keep, drop, layout)
    window = layout.window if layout is not None else -(-found.steps.shape[1] // MOST_STEPS)
    if window > 1:
        averaged = replace(
            found, steps=_averaged(found.steps, window), layout=replace(found.layout, window=window)
        )
        if layout is not None:
            return averaged
        told = (
            "sequence-lengths",
            "note",
            say(
                "The longest sequence has {longest:,} steps: {window} steps are averaged into one.",
                longest=found.steps.shape[1],
                window=window,
            ),
            say("Where single steps matter, cut the sequences into shorter ones."),
        )
        return replace(averaged, remarks=(*averaged.remarks, told))
    return found


def _read(
    source: Any,
    target: str,
    sequence: str,
    time: str,
    keep: Sequence[str],
    drop: Sequence[str],
    layout: Layout | None,
) -> SequenceSource:
    form = layout.form if layout is not None else ""
    npz = isinstance(source, str | Path) and Path(source).suffix.lower() == ".npz"
    if npz:
        return from_npz(Path(source), target, layout)
    if form == "arrays":
        raise UsageError(
            "A model trained on an npz file reads npz files", received=str(source)[:200], fix="save X in one"
        )
    frame = read_frame(source)
    name = "<DataFrame>" if isinstance(source, pd.DataFrame) else str(source)
    if layout is not None:
        sequence, time = layout.sequence[0], layout.time
    for option, column in (("--sequence", sequence), ("--time", time), ("--target", target)):
        if column and column not in frame.columns and not (option == "--target" and layout is not None):
            raise UsageError(
                say("{option} names a column of the table", option=option),
                received=say("{column!r}, which is not in {name}", column=column, name=name),
                fix=did_you_mean(column, [str(c) for c in frame.columns]),
            )
    frame = frame.drop(columns=[c for c in drop if c in frame.columns and c != target])
    arrays = list(layout.sequence) if form == "columns" and layout else array_columns(frame, sequence)
    if form != "long" and arrays:
        return from_columns(frame, name, target, arrays, layout, keep)
    if sequence and time:
        return from_long(frame, name, target, sequence, time, keep, layout)
    if sequence:
        raise UsageError(
            "--sequence names a column of arrays, or with --time the column that says whose step a row is",
            received=say(
                "{sequence!r} without --time, and its cells are no arrays such as [1, 2, 3]",
                sequence=sequence,
            ),
            fix="add --time with the column that orders the steps",
        )
    raise UsageError(
        "A model of sequences (lstm, gru, rnn) needs to be told what the sequences are",
        received=say("{name}, where no column holds arrays such as [1, 2, 3]", name=name),
        fix="name the column that says whose step a row is with --sequence and the steps' order with --time, "
        "or give an npz file with X (sequences, steps, channels) and y",
    )


def _averaged(steps: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Average each ``window`` steps, counted from the end; a window is there where any of its steps is."""
    n, t, channels = steps.shape
    padded = np.zeros((n, -(-t // window) * window, channels), dtype=np.float32)
    padded[:, padded.shape[1] - t :] = steps
    blocks = padded.reshape(n, -1, window, channels)
    there = blocks[..., -1:] > 0.5
    known = there & ~np.isnan(blocks[..., :-1])
    total = np.where(known, blocks[..., :-1], 0.0).sum(axis=2)
    count = known.sum(axis=2)
    any_there = there.any(axis=2)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.where(any_there, np.nan, 0.0))
    return np.concatenate([mean, any_there], axis=2).astype(np.float32)


def holds_sequences(source: Any) -> bool:
    """Return whether a source holds sequences for sure: an npz file of them, or a column of arrays.

    Whole numbers of one byte (N, height, width) in an npz file are pictures; a table of steps is a table
    until ``--sequence`` says otherwise.
    """
    if isinstance(source, pd.DataFrame):
        return bool(array_columns(source))
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return npz_holds_sequences(path)
    if path.suffix.lower() in (".parquet", ".pq", ".feather", ".arrow"):
        return columns_of_lists(path)
    return path.is_file() and _first_cells_are_arrays(path)


def _first_cells_are_arrays(path: Path) -> bool:
    """Return whether a text file's second line has a bracketed list in it, and reading it confirms that."""
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".tab", ".data"):
        return False
    try:
        with path.open("rb") as file:
            lines = file.read(_PEEK_BYTES).splitlines()[1:2]
    except OSError:
        return False
    if not lines or b"[" not in lines[0]:
        return False
    try:
        return bool(array_columns(read_frame(path)))
    except UsageError:
        return False
