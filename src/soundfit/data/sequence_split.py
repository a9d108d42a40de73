"""Sequence split: which sequences are sealed, and folds of the others; what hangs together stays together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.drift import find_drift
from soundfit.data.audit.labels import find_imbalance, find_rare_classes
from soundfit.data.audit.view import View
from soundfit.data.keys import group_codes, joined_codes
from soundfit.data.options import as_share, number_or_word
from soundfit.data.sequence_overlap import find_overlap
from soundfit.data.sequences import Sequences
from soundfit.data.split import split
from soundfit.data.table import Column
from soundfit.errors import UsageError, did_you_mean
from soundfit.records import Finding, Plan
from soundfit.records.said import say

__all__ = ["OVERLAP", "SequenceSplit", "split_sequences", "with_overlap"]

#: Column that a split adds: sequences that are equal, or share steps, have the same value.
OVERLAP = "overlap"
#: From so many sequences outside the exam on, one holdout instead of five folds.
AUTO_HOLDOUT = 5_000
_AUTO_FOLDS = 5


@dataclass(frozen=True)
class SequenceSplit:
    """The sequences, their plan, and what was found."""

    sequences: Sequences
    plan: Plan
    findings: tuple[Finding, ...]


def split_sequences(
    sequences: Sequences,
    *,
    folds: str = "auto",
    test: str = "0.2",
    group: Sequence[str] = (),
    time: str | None = None,
    fold_column: str | None = None,
    stratify: bool | None = None,
    seed: int = 0,
) -> SequenceSplit:
    """Find what belongs together, seal the exam, deal the folds, and look for other traps.

    Args:
        sequences: to split.
        folds: number of folds, ``holdout`` or ``auto``: 5, one holdout from 5,000 sequences on.
        test: fraction to seal.
        group, time, fold_column, stratify, seed: as for tables, by columns with one value per sequence.

    Raises:
        UsageError: an option cannot be used as given.
        DataError: too few sequences.
    """
    known = [c.name for c in sequences.table.columns]
    for option, name in [("--group", g) for g in group]:
        if name not in known:
            raise UsageError(
                say("{option} names a column with one value per sequence", option=option),
                received=say("{name!r}, which is not in {source}", name=name, source=sequences.table.source),
                fix=did_you_mean(name, known),
            )
    overlap = find_overlap(sequences)
    findings = [*sequences.table.findings, *overlap.findings]
    by_group = tuple(group)
    if overlap.any and time is None and fold_column is None:
        codes = (
            joined_codes(group_codes(sequences.table, by_group), overlap.groups) if group else overlap.groups
        )
        sequences = _with_column(sequences, group[0] if group else OVERLAP, codes)
        by_group = (group[0],) if group else (OVERLAP,)
        hopeless = [f for f in findings if f.code == "grouped-rows" and f.severity == "error"]
        if hopeless:
            # Nobody can keep them apart: the finding stops the work, a plan shows what would be.
            by_group = ()
    elif time is not None:
        findings = [f for f in findings if not (f.code == "grouped-rows" and f.severity == "error")]
    share = as_share(
        test,
        rule=say("--test is a fraction such as 0.2 where rows are sequences"),
        fix=say("put all sequences into one file, and name a column that marks the exam with --fold-column"),
    )
    n_outside = round(len(sequences) * (1.0 - share))
    number = number_or_word(folds)
    if folds == "auto" and time is None and fold_column is None:
        few = len(np.unique(overlap.groups)) // 4
        number = "holdout" if n_outside >= AUTO_HOLDOUT else min(_AUTO_FOLDS, max(2, few))
    plan = split(
        sequences.table,
        folds=number,
        test=share,
        group=by_group,
        time=time,
        fold_column=fold_column,
        stratify=stratify,
        seed=seed,
    )
    view = View(sequences.table, plan=plan, group=by_group, time=time, seed=seed, deadline=None)
    with np.errstate(all="ignore"):
        for check in (find_imbalance, find_rare_classes, find_drift):
            findings.extend(check(view))
    order = ("error", "warning", "note")
    findings.sort(key=lambda f: order.index(f.severity))
    return SequenceSplit(sequences, plan, tuple(findings))


def with_overlap(sequences: Sequences) -> Sequences:
    """Return sequences with the column :data:`OVERLAP`, as a split adds it."""
    return _with_column(sequences, OVERLAP, find_overlap(sequences).groups)


def _with_column(sequences: Sequences, name: str, values: NDArray[Any]) -> Sequences:
    table = sequences.table
    frame = table.frame.assign(**{name: values})
    known = {c.name: c for c in table.columns if c.name != name}
    columns = tuple(
        known.get(n, Column(n, "id", used=False, reason="for the split")) for n in map(str, frame.columns)
    )
    return replace(sequences, table=replace(table, frame=frame, columns=columns))
