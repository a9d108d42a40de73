"""Sequence overlap: sequences that are equal, or cut from one recording and share part of it.

The classical leak of sequences: windows that overlap are dealt to both sides of a split, and a model is
examined on steps that it was trained on. Knows no models.

Shape legend: N sequences, T steps, F channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from soundfit.data.sequences import CONTENT, Sequences
from soundfit.records import Finding
from soundfit.records.said import say

__all__ = ["Overlap", "find_overlap"]

#: Steps in a row that two sequences must share: fewer can be chance.
_RUN = 8
_MOST_RUNS = 4_000_000
# Runs are compared only where chance makes far fewer equal pairs than this share of all sequences.
_CHANCE = 1e-3


@dataclass(frozen=True)
class Overlap:
    """What belongs together.

    Attributes:
        groups: one code per sequence, (N,): sequences that are equal or share steps have the same.
        findings: what to say about it.
    """

    groups: NDArray[np.int64]
    findings: tuple[Finding, ...]

    @property
    def any(self) -> bool:
        """Whether any two sequences belong together."""
        return len(np.unique(self.groups)) < len(self.groups)


def find_overlap(sequences: Sequences) -> Overlap:
    """Find sequences that are equal, and sequences that share runs of eight steps or more."""
    table = sequences.table
    codes = pd.factorize(table.frame[CONTENT])[0].astype(np.int64)
    findings = _equal(sequences, codes)
    pairs = _shared_runs(sequences)
    if len(pairs):
        n = len(codes)
        ones = np.ones(len(pairs) + n, dtype=np.int8)
        firsts = pd.Series(np.arange(n)).groupby(codes).transform("first").to_numpy()
        left = np.concatenate([pairs[:, 0], np.arange(n)])
        right = np.concatenate([pairs[:, 1], firsts])
        codes = connected_components(coo_matrix((ones, (left, right)), shape=(n, n)), directed=False)[1]
        findings += _overlapping(sequences, pairs, codes)
    return Overlap(codes.astype(np.int64), tuple(findings))


def _equal(sequences: Sequences, codes: NDArray[np.int64]) -> list[Finding]:
    table = sequences.table
    sizes = np.bincount(codes)
    copies = np.flatnonzero(sizes[codes] > 1)
    if not len(copies):
        return []
    extra = int((sizes - 1).sum())
    rows = tuple(int(r) for r in table.file_rows[copies][:20])
    share = extra / len(codes)
    found = [
        Finding(
            "duplicate-rows",
            "warning" if share >= 0.01 else "note",
            say(
                "{extra:,} of {n_codes:,} sequences are copies of another; copies are kept in one role.",
                extra=extra,
                n_codes=len(codes),
            ),
            rows=rows,
            n_rows=len(copies),
            fix=say("Delete the copies, unless they are independent measurements."),
        )
    ]
    if table.task == "classification":
        labels = pd.Series(table.target).groupby(codes).nunique().to_numpy()
        torn = np.flatnonzero(labels[codes] > 1)
        if len(torn):
            found.append(
                Finding(
                    "label-conflict",
                    "warning",
                    say("{n_torn:,} sequences have an equal one with another label.", n_torn=len(torn)),
                    rows=tuple(int(r) for r in table.file_rows[torn][:20]),
                    n_rows=len(torn),
                    fix=say("Correct the labels: no model can tell equal sequences apart."),
                )
            )
    return found


def _shared_runs(sequences: Sequences) -> NDArray[np.int64]:
    """Return pairs (P, 2) of sequences that share a run of steps, each linked to the first that holds it."""
    steps = sequences.steps
    n, t, _ = steps.shape
    run = min(_RUN, t)
    values = steps[:, :, :-1]
    there = steps[:, :, -1] > 0.5
    varying = [c for c in range(values.shape[2]) if len(np.unique(values[:64, :, c])) > 2]
    if run < 4 or not varying or n * t > _MOST_RUNS:
        return np.empty((0, 2), dtype=np.int64)
    step_codes = np.unique(
        np.where(np.isnan(values), np.float32(0), values)[there][:, varying], axis=0, return_inverse=True
    )[1].reshape(-1)
    shares = np.bincount(step_codes) / len(step_codes)
    expected = 0.5 * (n * t) ** 2 * float((shares**2).sum()) ** run
    if expected > _CHANCE * n:
        return np.empty((0, 2), dtype=np.int64)
    stirred = np.zeros((n, t), dtype=np.uint64)
    rng = np.random.default_rng(0)
    stirred[there] = rng.integers(1, 2**63, len(shares), dtype=np.uint64)[step_codes]
    weights = rng.integers(1, 2**63, run, dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros((n, t - run + 1), dtype=np.uint64)
    for k in range(run):
        hashes += stirred[:, k : t - run + 1 + k] * weights[k]
    # A run that stands still (a pause, a plateau) is shared by chance however many digits it has.
    changes = np.zeros((n, t), dtype=np.int64)
    changes[:, 1:] = np.cumsum(stirred[:, 1:] != stirred[:, :-1], axis=1)
    moving = changes[:, run - 1 :] - changes[:, : t - run + 1] >= run - 1
    whole = there[:, : t - run + 1] & moving
    owner = np.broadcast_to(np.arange(n)[:, None], hashes.shape)[whole]
    code = pd.factorize(hashes[whole])[0]
    first = np.full(code.max() + 1 if len(code) else 0, n, dtype=np.int64)
    np.minimum.at(first, code, owner)
    linked = first[code] != owner
    return np.unique(np.column_stack([first[code][linked], owner[linked]]), axis=0)


def _overlapping(sequences: Sequences, pairs: NDArray[np.int64], codes: NDArray[np.int64]) -> list[Finding]:
    marks = sequences.table.frame[CONTENT].to_numpy()
    apart = pairs[marks[pairs[:, 0]] != marks[pairs[:, 1]]]
    touched = np.unique(apart)
    n = len(codes)
    if len(touched) < max(4, 0.01 * n):
        return []
    largest = float(np.bincount(codes).max()) / n
    message = say(
        "{n_touched:,} of {n:,} sequences share {run} steps or more with another: windows overlap.",
        n_touched=len(touched),
        n=n,
        run=_RUN,
    )
    rows = tuple(int(r) for r in sequences.table.file_rows[touched][:20])
    if largest > 0.5:
        return [
            Finding(
                "grouped-rows",
                "error",
                say(
                    "{message} {largest:.0%} of them hang together, so that no split keeps them apart.",
                    message=message,
                    largest=largest,
                ),
                rows=rows,
                n_rows=len(touched),
                fix=say(
                    "Cut the recording into windows that do not overlap; or name the recordings with --group"
                ),
                evidence={"largest": largest},
            )
        ]
    return [
        Finding(
            "grouped-rows",
            "warning",
            say("{message} Those that overlap are kept in one role.", message=message),
            rows=rows,
            n_rows=len(touched),
            fix=say("Name the recordings that windows were cut from with --group."),
            evidence={"largest": largest},
        )
    ]
