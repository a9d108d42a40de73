"""Sequences: one target each, ready for splitting. One row per sequence in a Table.

Shape legend: N sequences, T steps, F channels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.sequence_layout import Layout, SequenceSource
from soundfit.data.source import MIN_ROWS
from soundfit.data.table import Column, Table
from soundfit.data.task import read_target
from soundfit.errors import DataError
from soundfit.records import Finding
from soundfit.records.said import say

__all__ = ["CONTENT", "Sequences", "as_sequences", "channel_statistics", "summaries"]

#: The table's column that holds a hash of each sequence's steps.
CONTENT = "sequence content"
_PARTS = ("mean", "deviation", "minimum", "maximum", "first", "last")


@dataclass(frozen=True)
class Sequences:
    """Sequences with their targets.

    Attributes:
        steps: float32 (N, T, F + 1), aligned at the end, NaN where a value is missing; the last channel is
            1 where a step is there.
        table: one row per sequence: summaries of its channels, what else is known of it, and
            :data:`CONTENT`.
        layout: how the sequences lay in their source.
    """

    steps: NDArray[np.float32]
    table: Table
    layout: Layout

    def __len__(self) -> int:
        return len(self.table)

    @property
    def content(self) -> Table:
        """The table whose rows are the sequences' content alone, by which they are sealed."""
        return replace(self.table, frame=self.table.frame[[CONTENT]], columns=(self.table.column(CONTENT),))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each sequence, (N,)."""
        return self.steps[:, :, -1].sum(axis=1).astype(np.int64)

    def take(self, rows: NDArray[np.int64]) -> Sequences:
        """Return these sequences alone, renumbered."""
        return Sequences(self.steps[rows], self.table.take(rows), self.layout)


def as_sequences(source: SequenceSource, *, task: str = "auto") -> Sequences:
    """Give sequences their targets; those without one, or without a step, are left out with a finding.

    Raises:
        DataError: too few are left, or the target cannot be used.
    """
    assert source.labels is not None
    read = read_target(source.labels, name=source.target, task=task)
    empty = source.lengths == 0
    known = np.flatnonzero(~read.missing & ~empty)
    if len(known) < MIN_ROWS:
        raise DataError(
            say("Training needs at least {MIN_ROWS} sequences with a target", MIN_ROWS=MIN_ROWS),
            received=say("{n_known:,} in {name}", n_known=len(known), name=source.name),
            fix="add sequences; below a hundred or so, a score says little",
        )
    steps = source.steps[known]
    infinite = np.isinf(steps)
    n_infinite = int(infinite.any(axis=(1, 2)).sum())
    steps[infinite] = np.nan
    hashes = _content(steps)
    if len(set(hashes)) == 1:
        raise DataError(
            "Sequences must differ",
            received=say(
                "{name}, whose {n_known:,} sequences are all the same", name=source.name, n_known=len(known)
            ),
            fix="check how they were written",
        )
    summary = summaries(steps, source.layout.channels)
    about = source.about.iloc[known].reset_index(drop=True)
    about.columns = pd.Index([c if c not in summary.columns else f"{c}.1" for c in map(str, about.columns)])
    frame = pd.concat([summary, about, pd.DataFrame({CONTENT: hashes})], axis=1)
    values, classes = read.values[known], read.classes
    if read.task == "classification":
        values, classes = _present(values, classes, source)
    constant = [c for c in summary.columns if summary[c].nunique(dropna=False) <= 1]
    columns = tuple(
        Column(str(c), "numeric" if c not in constant else "constant", used=c not in constant)
        if c in summary.columns
        else Column(str(c), "id", used=False, reason="models read the steps")
        for c in frame.columns
    )
    table = Table(
        frame=frame,
        target=values,
        target_name=source.target,
        task=read.task,
        classes=classes,
        columns=columns,
        file_rows=known.astype(np.int64),
        n_file_rows=len(source.steps),
        source=source.name,
        sha256=_sha256(hashes, values),
        findings=tuple(_findings(source, read.missing, empty, n_infinite, steps)),
    )
    return Sequences(steps, table, source.layout)


def channel_statistics(
    steps: NDArray[np.float32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation (F,) of each channel over all steps of these sequences.

    A channel that is constant or never there gets deviation 1.
    """
    values = steps[rows]
    there = values[:, :, -1:] > 0.5
    known = there & ~np.isnan(values[:, :, :-1])
    count = np.maximum(known.sum(axis=(0, 1)), 1)
    filled = np.where(known, values[:, :, :-1], 0.0).astype(np.float64)
    mean = filled.sum(axis=(0, 1)) / count
    variance = (np.where(known, filled - mean, 0.0) ** 2).sum(axis=(0, 1)) / count
    deviation = np.sqrt(variance)
    # What rounding leaves of a constant is no deviation.
    return mean, np.where(deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30), deviation, 1.0)


def summaries(steps: NDArray[np.float32], channels: tuple[str, ...]) -> pd.DataFrame:
    """Return mean, deviation, extremes, first and last value of each channel, and the length."""
    there = steps[:, :, -1] > 0.5
    columns: dict[str, NDArray[np.float64]] = {"length": there.sum(axis=1).astype(np.float64)}
    n = np.arange(len(steps))
    for c, name in enumerate(channels):
        values = np.where(there, steps[:, :, c], np.nan).astype(np.float64)
        known = ~np.isnan(values)
        count = known.sum(axis=1)
        safe = np.maximum(count, 1)
        mean = np.where(known, values, 0.0).sum(axis=1) / safe
        spread = np.sqrt((np.where(known, values - mean[:, None], 0.0) ** 2).sum(axis=1) / safe)
        last = values.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
        parts = (
            mean,
            spread,
            np.where(known, values, np.inf).min(axis=1),
            np.where(known, values, -np.inf).max(axis=1),
            values[n, known.argmax(axis=1)],
            values[n, last],
        )
        for part, column in zip(_PARTS, parts, strict=True):
            columns[f"{name} ({part})"] = np.where(count > 0, column, np.nan)
    return pd.DataFrame(columns)


def _content(steps: NDArray[np.float32]) -> list[str]:
    """Return a hash of each sequence's steps, free of padding and of how missing values are written."""
    hashes = []
    for row in steps:
        own = row[row[:, -1] > 0.5, :-1]
        own = np.where(np.isnan(own), np.float32("nan"), own) + np.float32(0.0)
        shape = f"{own.shape}".encode()
        hashes.append(
            hashlib.blake2b(shape + np.ascontiguousarray(own).tobytes(), digest_size=16).hexdigest()
        )
    return hashes


def _sha256(hashes: list[str], target: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for mark, value in zip(hashes, target.tolist(), strict=True):
        digest.update(f"{mark}\0{value}\0".encode())
    return digest.hexdigest()


def _present(
    values: NDArray[Any], classes: tuple[Any, ...], source: SequenceSource
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Renumber classes where some have no sequence."""
    there, codes = np.unique(values, return_inverse=True)
    if len(there) < 2:
        raise DataError(
            "There are sequences of two classes or more",
            received=say(
                "{name}, where all are {classes!r}", name=source.name, classes=classes[int(there[0])]
            ),
            fix="add sequences of another class",
        )
    return codes.astype(np.int64), tuple(classes[int(c)] for c in there)


def _findings(
    source: SequenceSource,
    missing: NDArray[np.bool_],
    empty: NDArray[np.bool_],
    n_infinite: int,
    steps: NDArray[np.float32],
) -> list[Finding]:
    found = [Finding(code, severity, message, fix=fix) for code, severity, message, fix in source.remarks]  # type: ignore[arg-type]
    n = len(source.steps)
    for code, rows, what, fix in (
        (
            "missing-target",
            np.flatnonzero(missing),
            say("without a target"),
            say("Ask why it is missing there."),
        ),
        (
            "empty-sequences",
            np.flatnonzero(empty & ~missing),
            say("without a step"),
            say("Check how they were cut."),
        ),
    ):
        if len(rows):
            message = say("{n_rows:,} of {n:,} sequences {what}; left out.", n_rows=len(rows), n=n, what=what)
            first = tuple(int(r) for r in rows[:20])
            found.append(Finding(code, "warning", message, rows=first, n_rows=len(rows), fix=fix))
    if n_infinite:
        found.append(
            Finding(
                "infinite-values",
                "warning",
                say(
                    "{n_infinite:,} sequences hold infinite values; they count as missing.",
                    n_infinite=n_infinite,
                ),
                n_rows=n_infinite,
                fix=say("Find out where they come from: a division by 0, an overflow."),
            )
        )
    there = steps[:, :, -1] > 0.5
    constant, gaps = [], []
    for c, name in enumerate(source.layout.channels):
        values = steps[:, :, c][there]
        known = values[~np.isnan(values)]
        if len(known) == 0 or known.min() == known.max():
            constant.append(name)
        elif len(known) < len(values):
            gaps.append((1.0 - len(known) / len(values), name))
    if constant:
        found.append(
            Finding(
                "constant-column",
                "note",
                say("{listed}: the same at every step of every sequence.", listed=", ".join(constant[:5])),
                columns=tuple(constant),
                fix=say("Leave it out; it says nothing."),
            )
        )
    if gaps:
        worst = ", ".join(
            say("{name} {share:.1%}", name=name, share=share)
            for share, name in sorted(gaps, reverse=True)[:5]
        )
        found.append(
            Finding(
                "missing-steps",
                "note",
                say("Values are missing inside sequences: {worst} of the steps.", worst=worst),
                columns=tuple(name for _, name in gaps),
                fix=say("They count as average, and models are told where they are missing."),
            )
        )
    return found
