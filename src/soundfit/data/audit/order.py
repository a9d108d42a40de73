"""Order: whether rows near each other in time are alike, so that a random split looks into the future.

What a random split gains is measured: the same model is scored with rows shuffled and with blocks of
time kept whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from soundfit.data.audit.clock import Clock, find_clocks, sorted_by_column
from soundfit.data.audit.entity import FLATTERS, LIE, SURELY
from soundfit.data.audit.evidence import (
    EVIDENCE_COLUMNS,
    EVIDENCE_ROWS,
    Optimism,
    block_folds,
    measure_optimism,
)
from soundfit.data.audit.view import View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_order"]

Rows = NDArray[np.int64]
BLOCKS = 20
FOLDS = 5


@dataclass(frozen=True)
class Drift:
    """``neighbours``: lag-1 autocorrelation of the target in the clock's order; ``blocks``: share of its
    variance between 20 blocks of time, beyond what chance gives; ``p_value``: of the likelier of the two,
    doubled."""

    neighbours: float
    p_value: float
    blocks: float


def find_order(view: View, *, grouped: bool) -> list[Finding]:
    """Find time order.

    Args:
        view: the table.
        grouped: whether repeated entities were found, which explain likeness of neighbours in the file.
    """
    if view.time is not None or (view.plan is not None and view.plan.time is not None):
        return []
    if len(view.known) < 60:
        return []
    for clock in find_clocks(view):
        finding = _file_order(view, clock) if clock.kind == "file" and not grouped else None
        if clock.kind != "file":
            finding = _clock_order(view, clock)
        if finding is not None:
            return [finding]
    return []


def _clock_order(view: View, clock: Clock) -> Finding | None:
    # Rows of equal time stand in the file's order, which may have reasons of its own (place, say).
    shuffled = np.random.default_rng([view.seed, 59]).random(view.n)
    drift = measure_drift(view, np.lexsort((shuffled, clock.ties)))
    if drift.p_value > 1e-3 and not clock.in_file_order:
        return None
    if drift.p_value > 1e-3:
        return _undrifted(view, clock, drift) if len(np.unique(clock.ties)) >= 20 else None
    optimism = _optimism(view, clock)
    severity: Severity = "note"
    flattered = optimism.flatter >= FLATTERS and optimism.low > 0 and optimism.skill > 0
    if optimism.flatter >= LIE and optimism.low >= SURELY and optimism.skill > 0.1 and drift.p_value < 1e-6:
        severity = "error" if clock.in_file_order or clock.kind == "date" else "warning"
    elif flattered or (drift.p_value < 1e-6 and max(drift.neighbours, drift.blocks) > 0.1):
        severity = "warning"
    elif not clock.in_file_order or len(np.unique(clock.ties)) < 10:
        return None
    return _finding(view, clock, drift, optimism, severity)


def _undrifted(view: View, clock: Clock, drift: Drift) -> Finding:
    return Finding(
        "time-order",
        "note",
        say(
            "The rows are dated by {listed} and the file is in time order, but targets near each other in "
            "time are no more alike than others (correlation {neighbours:.2f}).",
            listed=", ".join(map(repr, clock.columns)),
            neighbours=drift.neighbours,
        ),
        columns=clock.columns,
        evidence={
            "neighbour_correlation": round(drift.neighbours, 4),
            "p_value": drift.p_value,
            "time": clock.time,
        },
        fix=say("Nothing; --time {time} if the model will be used on later rows.", time=clock.time),
    )


def _file_order(view: View, clock: Clock) -> Finding | None:
    """Return a finding where nothing but the file's order tells the time: never more than a warning."""
    if _sorted_by_target(view) or sorted_by_column(view) is not None:
        return None
    drift = measure_drift(view, clock.order)
    if drift.p_value > 1e-6 or max(drift.neighbours, drift.blocks) < 0.1:
        return None
    optimism = _optimism(view, clock)
    flattered = optimism.flatter >= FLATTERS and optimism.low > 0
    if not flattered and drift.neighbours < 0.3 and drift.blocks < 0.15:
        return None
    return _finding(view, clock, drift, optimism, "warning")


def _sorted_by_target(view: View) -> bool:
    y = view.table.target
    if view.regression:
        steps = np.diff(y)
        return bool(max(np.mean(steps >= 0), np.mean(steps <= 0)) > 0.95)
    runs = int(np.count_nonzero(np.diff(y))) + 1
    share = np.bincount(y.astype(np.int64)) / len(y)
    return runs <= max(0.2 * len(y) * (1 - (share**2).sum()), 2 * len(share))


def measure_drift(view: View, order: Rows) -> Drift:
    """Return how alike the targets of neighbours in that order are."""
    known = np.zeros(view.n, dtype=bool)
    known[view.known] = True
    rows = order[known[order]]
    target = view.target(rows)
    centred = target - target.mean(axis=0)
    spread = float((centred**2).sum())
    if spread == 0:
        return Drift(0.0, 1.0, 0.0)
    n = len(rows)
    neighbours = float((centred[1:] * centred[:-1]).sum() / spread)
    # Under exchangeable rows the lag-1 autocorrelation is about normal(−1/n, 1/n).
    p_value = float(norm.sf((neighbours + 1 / n) * np.sqrt(n)))
    block = block_folds(n, BLOCKS)
    count = np.bincount(block)
    means = np.stack([np.bincount(block, column) for column in centred.T], axis=1) / count[:, None]
    between = float((count[:, None] * means**2).sum()) / spread
    # Between blocks, exchangeable rows leave about χ²(blocks − 1)/(n − 1) of the variance.
    by_blocks = float(chi2.sf(between * (n - 1), BLOCKS - 1))
    p_value = min(1.0, 2 * min(p_value, by_blocks))
    return Drift(neighbours, p_value, max(0.0, between - (BLOCKS - 1) / (n - 1)))


def _optimism(view: View, clock: Clock) -> Optimism:
    known = np.zeros(view.n, dtype=bool)
    known[view.known] = True
    rows = clock.order[known[clock.order]]
    if len(rows) > EVIDENCE_ROWS:
        # Stretches of neighbouring rows, spread over the whole time, keep both scales of likeness.
        stretch = max(1, EVIDENCE_ROWS // 40)
        starts = np.linspace(0, len(rows) - stretch, 40).astype(np.int64)
        rows = rows[np.unique((starts[:, None] + np.arange(stretch)).ravel())]
    return measure_optimism(
        view,
        rows,
        block_folds(len(rows), 40),
        block_folds(len(rows), FOLDS),
        view.best_inputs(EVIDENCE_COLUMNS),
    )


def _finding(view: View, clock: Clock, drift: Drift, optimism: Optimism, severity: Severity) -> Finding:
    if clock.columns:
        what = say("The rows are dated by {listed}", listed=", ".join(map(repr, clock.columns)))
        what += say(" and the file is in time order.") if clock.in_file_order else "."
    else:
        what = say("Rows near each other in the file are alike: it is in the order of time or of blocks.")
    measured = say(
        "Neighbours' targets correlate by {neighbours:.2f} and {blocks:.0%} of the variance lies between "
        "{blocks2} blocks of time. A quick model's error is {shuffled:.4g} with rows shuffled and "
        "{honest:.4g} with blocks of time kept whole: the score would look {flatter:.0%} better than it is "
        "(95 % interval {low:.0%} to {high:.0%}).",
        neighbours=drift.neighbours,
        blocks=drift.blocks,
        blocks2=BLOCKS,
        shuffled=optimism.shuffled,
        honest=optimism.honest,
        flatter=max(optimism.flatter, 0),
        low=optimism.low,
        high=optimism.high,
    )
    return Finding(
        "time-order",
        severity,
        say("{what} {measured}", what=what, measured=measured),
        columns=clock.columns,
        evidence={
            **optimism.numbers(),
            "neighbour_correlation": round(drift.neighbours, 4),
            "p_value": drift.p_value,
            "variance_between_blocks": round(drift.blocks, 4),
            "time": clock.time,
            "in_file_order": clock.in_file_order,
        },
        fix=say(
            "Train on the past and test on the future: --time {time}. If the model will only fill gaps "
            "between known rows, --accept time-order.",
            time=clock.time,
        )
        if severity != "note"
        else say(
            "Nothing was seen to drift; --time {time} if the model will be used on later rows.",
            time=clock.time,
        ),
    )
