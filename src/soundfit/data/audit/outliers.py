"""Outliers: numbers far outside the rest of their column, and codes such as -999 that stand for nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.view import View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_infinite", "find_outliers"]

Floats = NDArray[np.float64]
#: Distance from the median in robust standard deviations, on the plain and on the logarithmic scale.
FAR, FAR_IN_LOGS = 10.0, 6.0
_ROUND = (-1.0, 9.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 88.0, 888.0, 8888.0)


def find_outliers(view: View) -> list[Finding]:
    """Find far values in numeric columns and the target."""
    findings = []
    for feature in view.inputs:
        if feature.numbers is None or feature.kind != "numeric" or feature.n_distinct < 10:
            continue
        finding = _find(view, feature.name, feature.numbers, np.arange(view.n))
        if finding is not None:
            findings.append(finding)
    if view.regression:
        finding = _find(view, view.table.target_name, view.table.target[view.known].astype(float), view.known)
        findings += [finding] if finding is not None else []
    findings.sort(key=lambda f: (f.severity != "warning", -f.evidence["furthest"]))
    return findings[:10]


def find_infinite(view: View) -> list[Finding]:
    """Find infinite values that reading left in the table."""
    findings = []
    for feature in view.features:
        if feature.numbers is None or not np.isinf(feature.numbers).any():
            continue
        rows = np.flatnonzero(np.isinf(feature.numbers))
        findings.append(
            Finding(
                "infinite-values",
                "warning",
                say("Column {name!r} has {n_rows:,} infinite values.", name=feature.name, n_rows=len(rows)),
                columns=(feature.name,),
                rows=view.file_rows(rows),
                n_rows=len(rows),
                evidence={"n_infinite": len(rows)},
                fix=say("Look for a division by zero or the logarithm of zero where the column is made."),
            )
        )
    return findings


def _find(view: View, name: str, values: Floats, rows: NDArray[np.int64]) -> Finding | None:
    present = np.isfinite(values)
    some = values[present]
    if len(some) < 30:
        return None
    z, far = _far(some)
    if not far.any() or far.mean() > 0.05:
        return None
    code = _code(some, far)
    where = rows[np.flatnonzero(present)[far]]
    is_target = name == view.table.target_name
    severity: Severity = "warning" if code is not None or (is_target and z[far].max() > 2 * FAR) else "note"
    furthest = some[far][np.argmax(z[far])]
    middle = float(np.median(some))
    if code is not None:
        count = int((some == code).sum())
        text = say(
            "{count:,} cells of {name!r} are {code:g}, far from all others (median {middle:.4g}): it looks "
            "like a code for missing.",
            count=count,
            name=name,
            code=code,
            middle=middle,
        )
        fix = say("Leave such cells empty in the file.")
    else:
        text = say(
            "{sum:,} values of {name!r} lie far from the others, the furthest {furthest:.6g} ({max:.0f} "
            "robust standard deviations from the median {middle:.4g}).",
            sum=int(far.sum()),
            name=name,
            furthest=furthest,
            max=z[far].max(),
            middle=middle,
        )
        fix = say("Look for errors of unit or typing: correct them in the file, or leave what is true.")
    return Finding(
        "outliers",
        severity,
        text,
        columns=(name,),
        rows=view.file_rows(where),
        n_rows=int(far.sum()),
        evidence={"furthest": float(z[far].max()), "value": float(furthest), "median": middle},
        fix=fix,
    )


def _far(some: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return robust distances and which values are far on both scales and cut off from the rest by a gap."""
    z = _robust(some)
    shifted = some - np.median(some)
    scale = np.median(np.abs(shifted[shifted != 0])) if (shifted != 0).any() else 1.0
    logs = np.sign(shifted) * np.log1p(np.abs(shifted) / scale)
    one_side = np.where(shifted >= 0, _half(logs[shifted >= 0], logs), _half(-logs[shifted <= 0], -logs))
    far = (z > FAR) & (one_side > FAR_IN_LOGS)
    return z, far


def _robust(values: Floats) -> Floats:
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    if spread == 0:
        low, high = np.quantile(values, [0.05, 0.95])
        spread = (high - low) / 3.29
    return np.abs(values - middle) / spread if spread > 0 else np.zeros(len(values))


def _half(half: Floats, values: Floats) -> Floats:
    """Return distances in units of one half's own spread, so that a long tail is judged by itself."""
    some = half[half > 0]
    if len(some) < 5:
        return np.where(values > 0, np.inf if len(some) else 0.0, 0.0)
    middle = np.median(some)
    spread = max(1.4826 * float(np.median(np.abs(some - middle))), 0.15 * float(middle), 1e-12)
    return np.maximum((values - middle) / spread, 0.0)


def _code(some: Floats, far: NDArray[np.bool_]) -> float | None:
    """Return the far value that repeats as a code for missing does, or None."""
    values, counts = np.unique(some[far], return_counts=True)
    top = int(counts.argmax())
    looks = float(values[top]) in _ROUND or -float(values[top]) in _ROUND
    return float(values[top]) if counts[top] >= 3 and (looks or counts[top] >= 0.9 * far.sum() >= 5) else None
