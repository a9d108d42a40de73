"""Missing: whether an empty cell tells the target. Filled in after the outcome, it reveals it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, mannwhitneyu

from soundfit.data.audit.evidence import EVIDENCE_ROWS, skill
from soundfit.data.audit.view import Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_informative_missing"]

Rows = NDArray[np.int64]
ROWS = 50_000


def find_informative_missing(view: View) -> list[Finding]:
    """Find columns whose missing cells go with the target."""
    if len(view.known) < 30:
        return []
    rows = view.sample(ROWS, salt=4)
    tested = []
    for feature in view.features:
        missing = feature.missing[rows]
        if min(missing.sum(), (~missing).sum()) < 8 or not feature.used:
            continue
        tested.append((feature, missing))
    findings = []
    rest: dict[str, float] = {}
    for feature, missing in tested:
        p_value, strength = (_for_numbers if view.regression else _for_classes)(view, rows, missing)
        if p_value * len(tested) > 1e-4 or strength < 0.01:
            continue
        finding = _judge(view, feature, rows, missing, p_value, strength, rest)
        findings.append(finding)
    findings.sort(key=lambda f: -f.evidence["explained"])
    strong = [f for f in findings if f.severity != "note"]
    return strong[:8] + [f for f in findings if f.severity == "note"][: max(0, 5 - len(strong))]


def _for_classes(view: View, rows: Rows, missing: NDArray[np.bool_]) -> tuple[float, float]:
    y = view.table.target[rows].astype(np.int64)
    counts = np.stack([np.bincount(y[missing == m], minlength=y.max() + 1) for m in (False, True)])
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return 1.0, 0.0
    return float(chi2_contingency(counts).pvalue), _explained(view, rows, missing)


def _for_numbers(view: View, rows: Rows, missing: NDArray[np.bool_]) -> tuple[float, float]:
    y = view.table.target[rows]
    return float(mannwhitneyu(y[missing], y[~missing]).pvalue), _explained(view, rows, missing)


def _explained(view: View, rows: Rows, missing: NDArray[np.bool_]) -> float:
    target = view.target(rows)
    spread = ((target - target.mean(axis=0)) ** 2).sum()
    means = np.where(missing[:, None], target[missing].mean(axis=0), target[~missing].mean(axis=0))
    return float(1 - ((target - means) ** 2).sum() / spread) if spread else 0.0


def _judge(
    view: View,
    feature: Feature,
    rows: Rows,
    missing: NDArray[np.bool_],
    p_value: float,
    strength: float,
    rest: dict[str, float],
) -> Finding:
    severity: Severity = "note" if strength < 0.25 else "warning"
    revealed = "" if view.regression else _revealed(view, rows, missing)
    if strength >= 0.3 and len(view.inputs) > 1:
        if feature.name not in rest:
            others = tuple(f for f in view.best_inputs(60) if not _same_gaps(f, feature))
            rest[feature.name] = skill(view, view.sample(EVIDENCE_ROWS, salt=2), others)
        gives_away = revealed and (strength >= 0.9 or strength >= rest[feature.name] + 0.1)
        if gives_away and strength >= 0.5 and rest[feature.name] < 0.9:
            severity = "error"
    if severity == "error":
        says = say("it reveals the class: {revealed}", revealed=revealed)
    elif view.regression:
        says = say("it explains {strength:.0%} of the target's variance", strength=strength)
    else:
        says = say("it explains {strength:.0%} of the target", strength=strength)
    return Finding(
        "missing-informative",
        severity,
        say(
            "Whether {name!r} is missing goes with the target (p = {p_value:.1g}): {says}.",
            name=feature.name,
            p_value=p_value,
            says=says,
        ),
        columns=(feature.name,),
        rows=view.file_rows(rows[missing]),
        n_rows=int(feature.missing.sum()),
        evidence={
            "p_value": p_value,
            "explained": round(strength, 4),
            "explained_by_others": round(rest.get(feature.name, float("nan")), 4)
            if feature.name in rest
            else None,
            "share_missing": round(float(missing.mean()), 4),
        },
        fix=say(
            "If the cell is filled in (or emptied) after the outcome is known, --drop {name!r}; else "
            "nothing: models are told where it is missing.",
            name=feature.name,
        ),
    )


def _same_gaps(one: Feature, other: Feature) -> bool:
    return bool(
        np.mean(one.missing == other.missing) > 0.98 or np.mean(one.missing != other.missing) > 0.98
    ) and bool(one.missing.any())


def _revealed(view: View, rows: Rows, missing: NDArray[np.bool_]) -> str:
    """Return which class is (nearly) certain from the gap and covers half of its rows, in words."""
    y = view.table.target[rows].astype(np.int64)
    for is_missing in (True, False):
        counts = np.bincount(y[missing == is_missing], minlength=len(view.table.classes))
        top = int(counts.argmax())
        base = float(np.mean(y == top))
        purity, covered = counts[top] / counts.sum(), counts[top] / max(np.sum(y == top), 1)
        if purity >= 0.98 and covered >= 0.5 and base <= 0.9 and counts.sum() >= 20:
            word = say("missing") if is_missing else say("present")
            return say(
                "{purity:.1%} of the rows where it is {word} are {classes!r}",
                purity=purity,
                word=word,
                classes=view.table.classes[top],
            )
    return ""
