"""Sequences in npz files: X (N, T, F), padded with NaN or with lengths beside it, and y."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.archive import load_archive
from soundfit.data.sequence_layout import Layout, SequenceSource, stacked
from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["from_npz", "npz_holds_sequences"]


_FIX = say("pad sequences to one length and save their lengths beside them: X, lengths, y")
_ARRAY_NAMES = ("x", "sequences", "sequence", "inputs", "data", "values", "arr_0")
_TARGET_NAMES = ("y", "target", "targets", "label", "labels", "classes", "arr_1")
_LENGTH_NAMES = ("lengths", "length", "n_steps", "seq_lengths", "sequence_lengths")


def npz_holds_sequences(path: Path) -> bool:
    """Return whether an npz file's X is no set of pictures: three axes or two, and not of bytes.

    With lengths beside it, X is sequences whatever its numbers are.
    """
    try:
        arrays = load_archive(path, _FIX)
    except DataError:
        return False
    folded = {name.casefold(): a for name, a in arrays.items()}
    x = next((folded[n] for n in _ARRAY_NAMES if n in folded), None)
    if x is None or x.ndim not in (2, 3) or x.dtype.kind not in "fiub":
        return False
    has_target = any(t in folded for t in _TARGET_NAMES)
    return any(n in folded for n in _LENGTH_NAMES) or (has_target and x.dtype != np.uint8)


def from_npz(path: Path, target: str, layout: Layout | None) -> SequenceSource:
    arrays = load_archive(path, _FIX)
    folded = {name.casefold(): name for name in arrays}
    at = next((folded[n] for n in _ARRAY_NAMES if n in folded), None)
    if at is None:
        large = [n for n, a in arrays.items() if a.ndim >= 2]
        at = large[0] if len(large) == 1 else None
    if at is None or arrays[at].dtype.kind not in "fiub" or arrays[at].ndim not in (2, 3):
        shapes = ", ".join(f"{n} {a.shape} {a.dtype}" for n, a in list(arrays.items())[:6])
        raise DataError(
            "An npz file of sequences holds numbers X of shape (sequences, steps[, channels])",
            received=say("{path} with {value}", path=path, value=shapes or say("nothing")),
            fix="save it with numpy.savez(file, X=…, y=…), and lengths=… where sequences differ in length",
        )
    lengths_at = next((folded[n] for n in _LENGTH_NAMES if n in folded), None)
    x = np.array(arrays[at], dtype=np.float32)
    steps = _aligned(x, arrays[lengths_at] if lengths_at else None, path)
    n, channels = len(steps), steps.shape[2] - 1
    if layout is not None and channels != len(layout.channels):
        raise DataError(
            "New sequences have the channels of the training data",
            received=say(
                "{path} with {channels} instead of {n_channels}",
                path=path,
                channels=channels,
                n_channels=len(layout.channels),
            ),
            fix="save the same channels in the same order",
        )
    wanted = target or next((folded[t] for t in _TARGET_NAMES if t in folded), "")
    labels = None
    if wanted in arrays and arrays[wanted].shape[:1] == (n,) and arrays[wanted].size == n:
        labels = pd.Series(arrays[wanted].reshape(n))
    elif layout is None:
        rest = [f"{k} {a.shape}" for k, a in arrays.items() if k != at]
        raise DataError(
            "An npz file of sequences holds one target per sequence, y",
            received=say(
                "{path} with {n:,} sequences and {value}",
                path=path,
                n=n,
                value=", ".join(rest) or say("nothing else"),
            ),
            fix="save y with one value per sequence, or name its array with --target",
        )
    others = {
        k: a for k, a in arrays.items() if k not in (at, wanted, lengths_at) and a.ndim == 1 and len(a) == n
    }
    names = layout.channels if layout is not None else tuple(f"channel {i}" for i in range(channels))
    return SequenceSource(
        str(path),
        steps,
        layout or Layout("arrays", names),
        wanted or "y",
        labels,
        pd.DataFrame(others, index=range(n)),
    )


def _aligned(x: NDArray[np.float32], lengths: NDArray[Any] | None, path: Path) -> NDArray[np.float32]:
    """Return (N, T, F + 1) aligned at the end, from padded arrays or from all steps one after the other."""
    if lengths is not None:
        if lengths.ndim != 1 or lengths.dtype.kind not in "iuf" or (lengths < 0).any():
            raise DataError(
                "Lengths are one whole number per sequence", received=f"{path}", fix="save lengths (N,)"
            )
        counts = lengths.astype(np.int64)
        if x.ndim == 2 and len(x) != len(counts) and counts.sum() == len(x):
            return stacked(np.split(x, np.cumsum(counts)[:-1]))
        if len(x) != len(counts) or counts.max(initial=0) > x.shape[1]:
            raise DataError(
                "Lengths fit the sequences: one each, none longer than the array",
                received=say(
                    "{path}: X {shape}, lengths {shape2} up to {max}",
                    path=path,
                    shape=x.shape,
                    shape2=counts.shape,
                    max=counts.max(initial=0),
                ),
                fix="save lengths (N,) beside X (N, steps, channels)",
            )
        x = x[..., None] if x.ndim == 2 else x
        return stacked([row[:n] for row, n in zip(x, counts, strict=True)])
    x = x[..., None] if x.ndim == 2 else x
    there = np.logical_not(np.isnan(x).all(axis=2))
    if there.all():
        return np.concatenate([x, np.ones((*x.shape[:2], 1), dtype=np.float32)], axis=2)
    # Steps without any value at either end are padding; in the middle they are missing.
    begin = np.where(there.any(1), there.argmax(1), x.shape[1])
    end = np.where(there.any(1), x.shape[1] - there[:, ::-1].argmax(1), x.shape[1])
    return stacked([row[a:b] for row, a, b in zip(x, begin, end, strict=True)])
