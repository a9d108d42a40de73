"""Inspection: all checks of a table in order, their findings sorted. Knows the checks, not their ways."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from soundfit.data.audit.drift import find_drift
from soundfit.data.audit.duplicates import find_conflicts, find_duplicates
from soundfit.data.audit.encoding import find_encodings
from soundfit.data.audit.entity import find_entities
from soundfit.data.audit.hashes import row_hashes
from soundfit.data.audit.identifiers import find_identifiers, find_near_constant
from soundfit.data.audit.labels import find_imbalance, find_rare_classes
from soundfit.data.audit.leak import find_leaks, find_suspects
from soundfit.data.audit.missing import find_informative_missing
from soundfit.data.audit.near import find_near_duplicates, find_rewritten
from soundfit.data.audit.order import find_order
from soundfit.data.audit.outliers import find_infinite, find_outliers
from soundfit.data.audit.partners import find_partners
from soundfit.data.audit.parts import find_parts, parts_findings
from soundfit.data.audit.view import View
from soundfit.data.table import Table
from soundfit.errors import UsageError, did_you_mean
from soundfit.records import Finding, Plan
from soundfit.records.finding import CODES
from soundfit.records.said import say

__all__ = ["audit"]

_SEVERITIES = ("error", "warning", "note")


def audit(
    table: Table,
    *,
    plan: Plan | None = None,
    group: tuple[str, ...] = (),
    time: str | None = None,
    seed: int = 0,
    budget_seconds: float | None = None,
) -> tuple[Finding, ...]:
    """Check a table, and its split if there is one, for what would make a score a lie.

    Whatever is said about the target is measured on rows outside the plan's test set (on all rows
    without a plan). Test rows are read for their features, and their targets for one comparison alone,
    whether a row equals another in everything. Large tables are hashed whole; scores are measured on
    samples, whose size the evidence names.

    Args:
        table: the table, N rows.
        plan: sealed test rows and folds; without one, checks speak of what a random split would do.
        group: columns whose rows the user keeps together.
        time: column the user splits by, or ``"row"``.
        seed: of samples, folds and bootstraps.
        budget_seconds: checks that have not begun by then are left out, the dearest come last.

    Returns:
        Findings of reading and of the checks, worst first; one for each code and set of columns.

    Raises:
        UsageError: a column of ``group`` or ``time`` is not in the table.
    """
    _check(table, group, time)
    deadline = None if budget_seconds is None else clock.perf_counter() + budget_seconds
    view = View(table, plan=plan, group=group, time=time, seed=seed, deadline=deadline)
    findings: list[Finding] = list(table.findings)
    for check in (
        find_duplicates,
        find_conflicts,
        find_imbalance,
        find_rare_classes,
        find_infinite,
        find_near_constant,
        find_outliers,
        find_identifiers,
        find_encodings,
        _find_leaks_and_parts,
        find_informative_missing,
        _find_repeated,
        find_drift,
    ):
        if view.seconds_left() > 0:
            # Samples are small: a second OpenMP thread costs more in waiting than it brings in work.
            with threadpool_limits(limits=1, user_api="openmp"):
                findings.extend(_run(check, view))
    return _sorted(findings, len(table))


def _run(check: Callable[[View], list[Finding]], view: View) -> list[Finding]:
    # Trees and ratios of tiny or constant columns warn about what the checks handle.
    with np.errstate(all="ignore"):
        return check(view)


def _find_leaks_and_parts(view: View) -> list[Finding]:
    suspects = find_suspects(view)
    perfect = frozenset(s.feature.name for s in suspects if min(s.forward, s.backward) > 0.9995)
    parts = find_parts(view, skip=perfect)
    named = frozenset(name for p in parts for name in p.columns)
    return parts_findings(view, parts) + find_leaks(view, suspects, skip=named)


def _find_repeated(view: View) -> list[Finding]:
    whole = row_hashes((f.codes for f in view.content), view.n)
    unique = np.sort(np.unique(whole, return_index=True)[1]).astype(np.int64)
    rewritten = find_rewritten(view, unique)
    unique = np.setdiff1d(unique, rewritten[:, 1])
    partners = find_partners(view.content, unique, view.seed)
    entities = find_entities(view, partners, unique)
    loud = [f for f in entities if f.severity != "note"]
    hidden = any(len(f.columns) > 1 for f in loud)
    near = [] if hidden and not len(rewritten) else find_near_duplicates(view, partners, unique, rewritten)
    order = find_order(view, grouped=bool(loud)) if view.seconds_left() > 0 else []
    return entities + near + order


def _check(table: Table, group: tuple[str, ...], time: str | None) -> None:
    names = [c.name for c in table.columns]
    for option, name in [("--group", g) for g in group] + ([("--time", time)] if time is not None else []):
        if name not in names and not (option == "--time" and name == "row"):
            raise UsageError(
                say("{option} names a column of the table", option=option),
                received=say("{name!r}, which is not in {source}", name=name, source=table.source),
                fix=did_you_mean(name, names),
            )


def _sorted(findings: Iterable[Finding], n_rows: int) -> tuple[Finding, ...]:
    def rank(finding: Finding) -> tuple[int, int, int]:
        reach = -finding.n_rows if finding.n_rows else -n_rows
        return _SEVERITIES.index(finding.severity), CODES.index(finding.code), reach

    kept: dict[tuple[str, frozenset[str]], Finding] = {}
    for finding in sorted(findings, key=rank):
        kept.setdefault((finding.code, frozenset(finding.columns)), finding)
    return tuple(kept.values())
