"""Examine: open the sealed test rows, score the predictor on them, and count the opening."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.artifact import AnyPredictor
from soundfit.data.keys import group_codes
from soundfit.data.ledger import Ledger, LedgerWarning
from soundfit.data.seal import seal, sketch
from soundfit.data.table import Table
from soundfit.metrics.interval import score_interval
from soundfit.metrics.scores import Metric, metric_named, others
from soundfit.records import Plan

__all__ = ["Exam", "examine"]


# Share of rows opened before, as part of other test sets, from which those openings count too.
SAME_ROWS = 0.5


@dataclass(frozen=True)
class Exam:
    """An exam's record for ``run.json`` and what the ledger had to say."""

    record: dict[str, Any]
    remarks: tuple[str, ...]


def examine(
    predictor: AnyPredictor,
    table: Table,
    plan: Plan,
    metric: Metric,
    *,
    run: str,
    ledger: Ledger | None = None,
    ticket: str | None = None,
    sealed: Table | None = None,
    inputs: Callable[[NDArray[np.int64]], Any] | None = None,
) -> Exam:
    """Open the seal: score, 95 % interval widened for the number of openings, other scores.

    Args:
        predictor: the final model.
        table: with all rows; only ``plan.test`` is read.
        plan: says which rows are sealed, and which belong together.
        metric: the one the configuration was chosen by.
        run: name of the run, for the ledger.
        ledger: this machine's by default.
        ticket: of a training that may be interrupted here and come back: one opening all the same.
        sealed: by whose content the rows are sealed, where that is not ``table``.
        inputs: what the model reads of these rows, where that is not the table's columns.
    """
    ledger = ledger or Ledger()
    rows = plan.test
    target = table.target[rows]
    frame = table.frame.iloc[rows].reset_index(drop=True) if inputs is None else inputs(rows)
    output = predictor.outputs(frame)
    value = metric(target, output)
    content = table if sealed is None else sealed
    mark, outline = seal(content, rows), sketch(content, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LedgerWarning)
        overlap = ledger.overlap(mark, outline)
        openings = ledger.record_opening(
            mark, rows=len(rows), sketch=outline, run=run, metric=metric.name, value=value, ticket=ticket
        )
    groups = group_codes(table, plan.group)[rows] if plan.group else None
    # Test sets that share most of their rows are one exam; a fifth in common, as other seeds draw, is not.
    widened = max(openings, 1) + (overlap.openings if overlap.share >= SAME_ROWS else 0)
    interval = score_interval(metric, target, output, openings=widened, groups=groups)
    extra: dict[str, Any] = dict(others(table.task, target, output, but=metric.name))
    if table.task == "classification":
        accuracy = score_interval(metric_named("accuracy"), target, output, openings=widened, groups=groups)
        extra["accuracy_low"], extra["accuracy_high"] = accuracy.low, accuracy.high
    bounds = predictor.bounds(frame)
    if bounds is not None and len(rows):
        extra["interval_coverage"] = float(np.mean((bounds[0] <= target) & (target <= bounds[1])))
    remarks = [str(overlap)] if overlap.openings else []
    if ledger.problem:
        remarks.append(ledger.problem)
    record = {
        "metric": metric.name,
        "value": value,
        "low": interval.low,
        "high": interval.high,
        "level": interval.level,
        "rows": len(rows),
        "openings": openings,
        "others": extra,
    }
    return Exam(record, tuple(remarks))


def run_name(path: Path | None) -> str:
    """Return the name under which the ledger remembers a run."""
    return str(path.absolute()) if path is not None else "<python>"
