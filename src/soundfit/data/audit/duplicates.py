"""Duplicates: rows that equal another row in every feature, and labels that contradict among them.

A row that stands in the training rows and in the exam is known by heart. Tables of few values have
equal rows by nature, so equal rows count as copies only where chance does not explain them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.audit.chance import NO_COINCIDENCE, expected_twins, share_beyond_chance
from soundfit.data.audit.crossing import crossing_share
from soundfit.data.audit.hashes import clusters, mix, row_hashes, sizes
from soundfit.data.audit.view import Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_conflicts", "find_duplicates"]

#: Above this share of examined rows with a twin among the training rows the score flatters for certain.
LIE = 0.05
#: Chance is worked out on about this many rows, in whole sets of equal rows.
ROWS = 50_000

Flags = NDArray[np.bool_]


def copied(view: View, cluster: NDArray[np.int64], features: Sequence[Feature]) -> tuple[Flags, float]:
    """Return which rows (of those looked at) have a twin that chance does not explain, and the share of
    different rows that do."""
    own = sizes(cluster)
    twin = own > 1
    if not twin.any():
        return twin, 0.0
    parts = max(1, view.n // ROWS)
    rows = np.flatnonzero(mix(cluster.astype(np.uint64) + np.uint64(view.seed)) % np.uint64(parts) == 0)
    some = [replace(f, series=f.series.iloc[rows]) for f in features] if parts > 1 else features
    expected = expected_twins(
        some, len(rows), own[rows], view.seed, neighbours=True, part=len(rows) / view.n
    ).log_expected
    rare = np.zeros(view.n, dtype=bool)
    rare[rows] = twin[rows] & (expected < NO_COINCIDENCE)
    return rare, share_beyond_chance(twin[rows], expected, own[rows])


def find_duplicates(view: View) -> list[Finding]:
    """Find rows equal in all features and the target, and rows equal in all features."""
    content = view.content
    if not content or view.n < 2:
        return []
    same_features = row_hashes((f.codes for f in content), view.n)
    with np.errstate(over="ignore"):
        whole = same_features + mix(
            np.ascontiguousarray(view.table.target.astype(np.float64)).view(np.uint64)
        )
    cluster = clusters(whole)
    twin = sizes(cluster) > 1
    if not twin.any():
        return []
    copies = int(view.n - len(np.unique(cluster)))
    # Equal numbers as target are a coincidence of their own; an equal class says little.
    compared = (*content, Feature("", "numeric", False, pd.Series(view.table.target)))
    _, strange = copied(view, cluster, compared if view.regression else content)
    share = crossing_share(cluster, view.plan)
    repeated = float((twin / sizes(cluster)).sum() / (1 / sizes(cluster)).sum())
    strange_share = share * min(1.0, strange / repeated)
    severity: Severity = "note"
    if strange_share >= LIE and not _kept_together(view, cluster):
        severity = "error"
    elif strange_share >= 0.01 and copies >= 5:
        severity = "warning"
    where = (
        say("of the examined rows have")
        if view.plan is not None
        else say("of a random exam's rows would have")
    )
    nature = (
        say("The values are too rare for this to be chance: rows were copied")
        if strange > 0.5 * repeated
        else say("Chance alone may explain them: the values in these rows are common")
    )
    return [
        Finding(
            "duplicate-rows",
            severity,
            say(
                "{copies:,} of {n:,} rows repeat an earlier row in every feature and the target; "
                "{share:.1%} {where} their twin among the training rows. {nature}.",
                copies=copies,
                n=view.n,
                share=share,
                where=where,
                nature=nature,
            ),
            rows=view.file_rows(np.flatnonzero(twin)),
            n_rows=int(twin.sum()),
            evidence={
                "copies": copies,
                "share_crossing": round(share, 4),
                "share_crossing_beyond_chance": round(strange_share, 4),
                "share_copied_beyond_chance": round(strange, 4),
            },
            fix=say(
                "Remove the copies from the file; keep them on one side with --group COL where a column "
                "names what they copy; or, if they are separate observations, --accept duplicate-rows."
            )
            if severity != "note"
            else say("Nothing, if the rows are separate observations."),
        )
    ]


def _kept_together(view: View, cluster: NDArray[np.int64]) -> bool:
    """Whether the plan, or the groups asked for, leave no twin on the other side."""
    if view.plan is not None:
        return crossing_share(cluster, view.plan) == 0
    if not view.group:
        return False
    group = clusters(row_hashes((view.feature(name).codes for name in view.group), view.n))
    order = np.lexsort((group, cluster))
    same = cluster[order][1:] == cluster[order][:-1]
    return bool(np.all(group[order][1:][same] == group[order][:-1][same]))


def find_conflicts(view: View) -> list[Finding]:
    """Find rows of equal features with different labels, or with targets far apart."""
    content = tuple(f for f in view.content)
    known = view.known
    if not content or len(known) < 10:
        return []
    cluster = clusters(row_hashes((f.codes for f in content), view.n)[known])
    count = np.bincount(cluster)
    if count.max() < 2:
        return []
    y = view.table.target[known].astype(np.float64)
    order = np.lexsort((y, cluster))
    start = np.flatnonzero(np.r_[True, np.diff(cluster[order]) > 0])
    low, high = y[order][start], np.maximum.reduceat(y[order], start)
    if view.regression:
        return _far_apart(view, known, cluster, count, high - low)
    return _contradicting(view, known, cluster, count, high > low)


def row_clusters(view: View) -> NDArray[np.int64]:
    """Return a cluster for each row; rows equal in every feature share it."""
    return clusters(row_hashes((f.codes for f in view.content), view.n))


def _contradicting(
    view: View, known: NDArray[np.int64], cluster: NDArray[np.int64], count: NDArray[np.int64], mixed: Flags
) -> list[Finding]:
    rows = known[mixed[cluster]]
    if len(rows) == 0:
        return []
    y = view.table.target[rows].astype(np.int64)
    cell = clusters(mix(cluster[mixed[cluster]].astype(np.uint64)) + mix(y.astype(np.uint64) + np.uint64(7)))
    best = np.zeros(len(count), dtype=np.int64)
    np.maximum.at(best, cluster[mixed[cluster]], np.bincount(cell)[cell])
    floor = float((count[mixed] - best[mixed]).sum() / len(known))
    rare, share = copied(view, row_clusters(view), view.content)
    rare = rare[rows]
    severity: Severity = "warning" if share >= 0.005 and rare.sum() >= max(2, 0.005 * len(known)) else "note"
    return [
        Finding(
            "label-conflict",
            severity,
            say(
                "{n_rows:,} rows share every feature with a row of another class: no model can be right on "
                "more than {floor:.1%} of the rows.",
                n_rows=len(rows),
                floor=1 - floor,
            ),
            columns=(view.table.target_name,),
            rows=view.file_rows(rows),
            n_rows=len(rows),
            evidence={"error_floor": round(floor, 5), "combinations": int(mixed.sum())},
            fix=say(
                "Look at these rows: correct the labels that are wrong, or add the column that tells them "
                "apart."
            ),
        )
    ]


def _far_apart(
    view: View,
    known: NDArray[np.int64],
    cluster: NDArray[np.int64],
    count: NDArray[np.int64],
    span: NDArray[np.float64],
) -> list[Finding]:
    y = view.table.target[known].astype(np.float64)
    middle = np.subtract(*np.quantile(y, [0.84, 0.16])) / 2
    spread = float(middle) if middle > 0 else float(y.std())
    far = (count > 1) & (span > 2 * spread)
    repeated = count[cluster] > 1
    rows = known[far[cluster]]
    if spread == 0 or len(rows) < 2:
        return []
    mean = np.bincount(cluster, y) / count
    within = float(((y - mean[cluster])[repeated] ** 2).sum() / (count[count > 1] - 1).sum())
    floor = float(np.sqrt(within))
    rare, share = copied(view, row_clusters(view), view.content)
    rare = rare[rows]
    enough = (
        share >= 0.005 and rare.sum() >= max(4, 0.005 * len(known)) and far.sum() >= 0.05 * (count > 1).sum()
    )
    severity: Severity = "warning" if enough else "note"
    return [
        Finding(
            "label-conflict",
            severity,
            say(
                "{n_rows:,} rows share every feature with a row whose target is more than two spreads "
                "away; rows of equal features differ by {floor:.4g} (standard deviation): no model's root "
                "mean square error goes below that on such rows.",
                n_rows=len(rows),
                floor=floor,
            ),
            columns=(view.table.target_name,),
            rows=view.file_rows(rows),
            n_rows=len(rows),
            evidence={
                "noise_floor": round(floor, 6),
                "spread": round(spread, 6),
                "combinations": int(far.sum()),
            },
            fix=say(
                "Look at these rows: correct targets that are wrong, or add the column that tells them apart."
            ),
        )
    ]
