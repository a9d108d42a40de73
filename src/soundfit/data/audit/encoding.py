"""Encoding: numbers that were computed from the target for a category (target encoding), each row's own
target included or taken out again. Both give the row's target away where categories are small."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.audit.hashes import clusters, row_hashes, sizes
from soundfit.data.audit.view import Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_encodings"]

Floats = NDArray[np.float64]
ROWS = 20_000
#: Mean share that a row's own target has in its encoding, above which the encoding is a leak.
LIE = 0.03
#: In larger categories a row's own target has no weight to speak of.
ROWS_A_CATEGORY = 200


@dataclass(frozen=True)
class Groups:
    """Rows and sum of the target of each code over known rows; ``usable``: no row of the code is sealed."""

    count: Floats
    total: Floats
    usable: NDArray[np.bool_]


def find_encodings(view: View) -> list[Finding]:
    """Find columns that are the mean target of their category, with or without the row itself."""
    if len(view.known) < 40 or (not view.regression and len(view.table.classes) > 2):
        return []
    candidates = [
        f for f in view.inputs if f.numbers is not None and f.kind == "numeric" and f.n_distinct > 4
    ]
    categories = [
        (f, _groups(view, f.codes))
        for f in view.features
        if max(4, view.n / ROWS_A_CATEGORY) <= f.n_distinct <= 0.6 * view.n and f.kind != "date"
    ]
    findings = []
    for feature in candidates:
        how, share, by = _explain(view, feature, categories)
        if how:
            findings.append(_finding(feature, how, share, by))
    return findings


def _explain(
    view: View, feature: Feature, categories: list[tuple[Feature, Groups]]
) -> tuple[str, float, str]:
    """Return (how the column was computed, mean own share, from which category); "" where it was not."""
    for category, groups in categories:
        name = category.name
        if name == feature.name:
            continue
        if (share := _mean(view, feature, category, groups)) is not None:
            return say("the mean target of its {name!r}", name=name), share, name
        if (share := _left_out(view, feature, category, groups)) is not None:
            return say("the mean target of the other rows of its {name!r}", name=name), share, name
        if (share := _smoothed(view, feature, category, groups)) is not None:
            return say("a smoothed mean target of its {name!r}", name=name), share, name
    share = _own_mean(view, feature)
    return (
        ("", 0.0, "")
        if share is None
        else (say("the mean target of the rows that share its value"), share, "")
    )


def _finding(feature: Feature, how: str, share: float, by: str) -> Finding:
    severity: Severity = "error" if share >= LIE else "warning"
    return Finding(
        "target-leak",
        severity,
        say(
            "Column {name!r} is {how}: it was computed from the target, and each row's own target has a "
            "weight of {share:.1%} in it on average.",
            name=feature.name,
            how=how,
            share=share,
        ),
        columns=(feature.name,),
        evidence={"own_share": round(share, 5), "category": by},
        fix=say(
            "--drop {name!r} and keep the category itself{by}; or encode within each fold's training rows "
            "alone.",
            name=feature.name,
            by=f" ({by!r})" if by else "",
        ),
    )


def _sealed_with(view: View, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return for each code whether it has rows whose target may not be looked at."""
    sealed = np.ones(view.n, dtype=bool)
    sealed[view.known] = False
    return np.bincount(codes, weights=sealed, minlength=int(codes.max()) + 1) > 0


def _groups(view: View, codes: NDArray[np.int32]) -> Groups:
    known = view.known
    count = np.bincount(codes[known], minlength=int(codes.max()) + 1).astype(np.float64)
    weights = view.table.target[known].astype(np.float64)
    total = np.bincount(codes[known], weights=weights, minlength=len(count)).astype(np.float64)
    return Groups(count, total, ~_sealed_with(view, codes) & (count > 0))


def _own_mean(view: View, feature: Feature) -> float | None:
    """Return the mean own share where the column equals the mean target of the rows that share its value."""
    if feature.n_distinct < view.n / ROWS_A_CATEGORY or feature.n_distinct > 0.9 * view.n:
        return None
    repeated = (sizes(feature.codes.astype(np.int64)) > 1) & ~feature.missing
    if repeated.mean() < 0.3:
        return None
    groups = _groups(view, feature.codes)
    count, total, usable = groups.count, groups.total, groups.usable
    assert feature.numbers is not None
    value = np.zeros(len(count))
    value[feature.codes] = np.nan_to_num(feature.numbers)
    usable = usable & (count > 1)
    if usable.sum() < 5 or np.ptp(value[usable]) == 0:
        return None
    mean = total[usable] / count[usable]
    scale = max(float(np.std(view.table.target[view.known])), 1e-12)
    if np.mean(np.abs(mean - value[usable]) < 1e-4 * scale) < 0.8:
        return None
    if _target_constant_within(view, feature.codes):
        return None
    by_count = float(usable.sum() / count[usable].sum())
    if view.regression:
        return by_count
    # A mean of k zeros and ones is a fraction: its denominator bounds k where values of categories coincide.
    parts = [Fraction(v).limit_denominator(400).denominator for v in value[usable] if 0 < v < 1]
    return max(by_count, 1 / float(np.median(parts))) if parts else by_count


def _by_category(feature: Feature, category: Feature) -> Floats | None:
    """Return the column's one value in each category, or None where categories have several."""
    if feature.numbers is None or feature.n_distinct > category.n_distinct or feature.missing.any():
        return None
    value = np.zeros(int(category.codes.max()) + 1)
    value[category.codes] = feature.numbers
    return value if np.array_equal(value[category.codes], feature.numbers) else None


def _mean(view: View, feature: Feature, category: Feature, groups: Groups) -> float | None:
    """Return the mean own share where the column is the mean target of its category."""
    value = _by_category(feature, category)
    if value is None:
        return None
    count, total, usable = groups.count, groups.total, groups.usable & (groups.count > 1)
    if usable.sum() < 5 or np.ptp(value[usable]) == 0 or _target_constant_within(view, category.codes):
        return None
    scale = max(float(np.std(view.table.target[view.known])), 1e-12)
    if np.mean(np.abs(total[usable] / count[usable] - value[usable]) < 1e-4 * scale) < 0.8:
        return None
    return float(usable.sum() / count[usable].sum())


def _target_constant_within(view: View, codes: NDArray[np.int32]) -> bool:
    """Whether rows of one code have one target: then equality with its mean says nothing new."""
    known = view.known
    targets = pd.factorize(view.table.target[known])[0].astype(np.int32)
    pairs = clusters(row_hashes((codes[known], targets), len(known)))
    return int(pairs.max()) + 1 <= 1.05 * len(np.unique(codes[known]))


def _left_out(view: View, feature: Feature, category: Feature, groups: Groups) -> float | None:
    """Return the mean own share where, within categories, the column falls linearly with the row's target."""
    assert feature.numbers is not None
    codes = category.codes
    count, total = groups.count, groups.total
    usable = groups.usable & (count >= 3) & (count <= 0.5 * len(view.known))
    rows = view.sample(ROWS, salt=5)
    rows = rows[usable[codes[rows]] & ~feature.missing[rows]]
    if len(rows) < 30:
        return None
    y, c = view.table.target[rows], codes[rows]
    predicted = (total[c] - y) / (count[c] - 1)
    scale = max(float(np.std(predicted)), 1e-12)
    if np.mean(np.abs(predicted - feature.numbers[rows]) < 1e-4 * scale) < 0.8:
        return None
    return float(np.mean(1 / (count[c] - 1)))


def _smoothed(view: View, feature: Feature, category: Feature, groups: Groups) -> float | None:
    """Return the mean own share where the column is (sum + m·prior)/(count + m) of its category."""
    value, codes = _by_category(feature, category), category.codes
    if value is None:
        return None
    count, total, usable = groups.count, groups.total, groups.usable
    y = view.table.target[view.known]
    # x·(count + m) = total + m·prior is linear in the unknown m and m·prior.
    design = np.stack([-value[usable], np.ones(int(usable.sum()))], axis=1)
    goal = value[usable] * count[usable] - total[usable]
    if len(goal) < 8 or np.ptp(count[usable]) == 0 or np.std(goal) == 0:
        return None
    (m, prior), *_ = np.linalg.lstsq(design, goal, rcond=None)
    residual = goal - design @ np.array([m, prior])
    scale = np.std(y) * np.sqrt(count[usable])
    if m <= 0 or np.mean(np.abs(residual) < 1e-3 * scale) < 0.8:
        return None
    return float(np.mean(1 / (count[codes[view.known]] + m)))
