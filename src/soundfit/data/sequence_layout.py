"""Sequence layout: how sequences lie in their source, and what reading gives: steps aligned at their ends.

NaN where a value is missing; padding lies before a sequence. Knows no file formats.

Shape legend: N sequences, T steps, F channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.errors import UsageError, did_you_mean

__all__ = ["Layout", "SequenceSource", "check_target", "stacked"]


@dataclass(frozen=True)
class Layout:
    """How sequences lie in their source, so that new data are read in the same way.

    Attributes:
        form: ``arrays`` (npz), ``columns`` (a table, one sequence a row) or ``long`` (one step a row).
        channels: names of the F channels.
        sequence: columns of arrays, or the one column that names a step's sequence.
        time: the column by which steps are ordered (long).
        levels: categories per column of a long table, each with a channel.
        gap: median time between steps where the time since the last step is a channel, else 0.
        window: steps averaged into one.
    """

    form: str
    channels: tuple[str, ...]
    sequence: tuple[str, ...] = ()
    time: str = ""
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gap: float = 0.0
    window: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Layout:
        """Return the layout of this JSON form.

        Raises:
            TypeError, KeyError, ValueError: it is none.
        """
        if given["form"] not in ("arrays", "columns", "long") or int(given["window"]) < 1:
            raise ValueError("a layout of sequences has a known form and a window of 1 or more")
        return cls(
            str(given["form"]),
            tuple(str(c) for c in given["channels"]),
            tuple(str(c) for c in given["sequence"]),
            str(given["time"]),
            {str(k): tuple(str(v) for v in values) for k, values in given["levels"].items()},
            float(given["gap"]),
            int(given["window"]),
        )


@dataclass(frozen=True)
class SequenceSource:
    """Sequences as they were found.

    Attributes:
        name: what errors and ``run.json`` call the source.
        steps: float32 (N, T, F + 1), aligned at the end; the last channel is 1 where a step is there.
        layout: how they lay in the source.
        target: the target's name.
        labels: the target's values, one per sequence; None where there are none.
        about: other columns with one value per sequence (its name, groups).
        remarks: what was done on the way, as (code, severity, message, fix).
    """

    name: str
    steps: NDArray[np.float32]
    layout: Layout
    target: str
    labels: pd.Series | None
    about: pd.DataFrame
    remarks: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each sequence, (N,)."""
        return self.steps[:, :, -1].sum(axis=1).astype(np.int64)


def stacked(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return sequences (t, F) as (N, T, F + 1), aligned at the end, the last channel 1 for a step."""
    longest, channels = max(max(len(r) for r in rows), 1), rows[0].shape[1]
    steps = np.zeros((len(rows), longest, channels + 1), dtype=np.float32)
    for out, row in zip(steps, rows, strict=True):
        if len(row):
            out[longest - len(row) :, :-1] = row
            out[longest - len(row) :, -1] = 1.0
    return steps


def check_target(frame: pd.DataFrame, target: str, layout: Layout | None, name: str) -> None:
    """Refuse a table without its target, unless it is read for prediction."""
    if layout is None and target not in frame.columns:
        raise UsageError(
            "A table of sequences needs --target, the column to predict",
            received=repr(target) if target else "none",
            fix=did_you_mean(target, [str(c) for c in frame.columns]),
        )
