"""Leak: a column that gives the target away by itself.

A strong feature is no leak. An error needs three signs: the column alone determines the target nearly
without error, all the other columns together are far from that, and (for numbers) the target determines
the column in turn, as it does a copy, a transform or a coarse version of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from soundfit.data.audit.alone import explained
from soundfit.data.audit.evidence import EVIDENCE_ROWS, losses, row_folds, skill
from soundfit.data.audit.names import names_individual, says_clock
from soundfit.data.audit.view import ALONE_ROWS, Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["Suspect", "find_leaks", "find_suspects"]

Floats = NDArray[np.float64]
#: Shares of the target's variance that make a column near-perfect, and worth a look.
PERFECT_NUMBER, PERFECT_CLASS, SUSPICIOUS = 0.995, 0.95, 0.8
#: Unexplained share, relative to what the other columns leave, below which the column is far ahead.
FAR_AHEAD, AHEAD = 0.1, 0.25
#: With this many near-perfect columns the problem is easy rather than leaking.
EASY = 3
#: Gap between classes, in standard deviations within them, that no measurement has and a coded label does.
KNOT = 8.0


@dataclass(frozen=True)
class Suspect:
    """A column with ``forward``, the share of the target's variance it explains, ``backward``, the share of
    its own that the target explains, and ``present``, the share of rows where it has a value. With
    ``partial`` both shares are of the rows where it has one. ``copy``: the column is the target in
    another scale, rounded or cut into bins: it has one value for each stretch of the target."""

    feature: Feature
    forward: float
    backward: float
    present: float
    partial: bool
    copy: bool


def find_suspects(view: View) -> list[Suspect]:
    """Return columns that explain nearly all of the target, the strongest first."""
    if len(view.known) < 30:
        return []
    rows = view.sample(ALONE_ROWS, salt=1)
    rng = np.random.default_rng([view.seed, 13])
    target = view.target(rows)
    suspects = []
    for feature in view.inputs:
        if feature.kind == "date" or view.is_counter(feature) or names_individual(feature.name):
            continue
        if feature.name in (*view.group, view.time):
            continue
        forward = view.alone[feature.name]
        missing = feature.missing[rows]
        suspect = None
        if forward >= SUSPICIOUS or (view.regression and forward >= 0.5):
            backward = _backward(view, feature, rows, rng)
            share = float(1 - missing.mean())
            suspect = Suspect(feature, forward, backward, share, False, _is_copy(view, feature, rows))
        if 0.02 < missing.mean() < 0.8 and (suspect is None or forward < PERFECT_CLASS):
            here = rows[~missing]
            there = view.target(here)
            enough = ((there - there.mean(axis=0)) ** 2).sum() > 0.1 * len(here) / len(rows) * (
                (target - target.mean(axis=0)) ** 2
            ).sum()
            inside = explained(feature.along(here), there, rng, ordered=feature.numbers is not None)
            if len(here) >= 30 and enough and inside >= SUSPICIOUS:
                share = float(1 - missing.mean())
                backward = _backward(view, feature, here, rng)
                suspect = Suspect(feature, inside, backward, share, True, _is_copy(view, feature, here))
        if suspect is not None and (suspect.forward >= SUSPICIOUS or suspect.copy):
            suspects.append(suspect)
    return sorted(suspects, key=lambda s: -s.forward)


def find_leaks(view: View, suspects: list[Suspect], *, skip: frozenset[str]) -> list[Finding]:
    """Judge suspects against what the other columns can do; columns in ``skip`` are reported elsewhere."""
    suspects = [s for s in suspects if s.feature.name not in skip]
    if not suspects:
        return []
    perfect = [s for s in suspects if s.forward >= _perfect(view) or s.copy]
    apart = {s.feature.name for s in perfect} | skip
    others = tuple(f for f in view.best_inputs(60) if f.name not in apart)
    rows = view.sample(EVIDENCE_ROWS, salt=2)
    rest = skill(view, rows, others)
    findings = []
    for suspect in suspects[:8]:
        alone = suspect in perfect
        compared = rest
        if not alone:
            fewer = tuple(f for f in others if f.name != suspect.feature.name)
            compared = skill(view, rows, fewer) if suspect.forward >= _perfect(view) - 0.1 else rest
        severity = _severity(view, suspect, compared, others, n_perfect=len(perfect))
        if severity is not None:
            findings.append(_finding(view, suspect, compared, severity, len(rows), bool(others)))
    loud = [f for f in findings if f.severity == "error"]
    quiet = [f for f in findings if f.severity != "error"]
    return loud + quiet[: max(1, EASY - len(loud))]


def _perfect(view: View) -> float:
    return PERFECT_NUMBER if view.regression else PERFECT_CLASS


def _severity(
    view: View, suspect: Suspect, rest: float, others: tuple[Feature, ...], *, n_perfect: int
) -> Severity | None:
    unexplained, left = 1 - suspect.forward, max(1 - max(rest, 0.0), 1e-9)
    name = suspect.feature.name
    many_values = suspect.feature.numbers is None and suspect.feature.n_distinct > max(
        10 * max(len(view.table.classes), 1), 0.02 * view.n
    )
    known_before = _is_lag(view, suspect.feature) or says_clock(name)
    far = unexplained <= FAR_AHEAD * left
    if not far and not suspect.copy:
        return "warning" if unexplained <= AHEAD * left and left > 0.1 and not known_before else None
    if many_values or known_before:
        return None if known_before else "warning"
    if view.regression:
        exact = suspect.copy or min(suspect.forward, suspect.backward) >= 0.9995
        near = min(suspect.forward, suspect.backward) >= PERFECT_NUMBER and rest >= 0.05
        lie = exact or (near and not _others_explain_residual(view, suspect, others))
        legit = n_perfect >= EASY and not suspect.copy
    else:
        # Features part classes by nature, too: then the others are not far behind, or too few to prove it.
        # In a small table one yes-or-no feature may be the class's own mark (milk makes the mammal).
        mark = len(view.table.classes) == 2 and len(view.known) < 200 and rest > 0.75
        lie = (suspect.copy and not mark) or (
            suspect.forward >= PERFECT_CLASS and rest <= 0.75 and len(others) >= 4
        )
        legit = n_perfect >= EASY and not suspect.copy
    if legit and (not others or rest > 0.5):
        return None
    if not others or legit or (suspect.partial and suspect.present < 0.2):
        return "warning"
    return "error" if lie else "warning"


def _others_explain_residual(view: View, suspect: Suspect, others: tuple[Feature, ...]) -> bool:
    """Whether what the column leaves of the target follows from other columns.

    So it is with a true strong feature; what a noisy copy of the target leaves is the copy's noise.
    """
    rows = view.sample(EVIDENCE_ROWS, salt=2)
    rows = rows[~suspect.feature.missing[rows]]
    y, x = view.target(rows)[:, 0], rankdata(suspect.feature.along(rows)) / len(rows)
    bins = np.minimum((x * min(50, len(rows) // 10)).astype(np.int64), min(50, len(rows) // 10) - 1)
    count = np.maximum(np.bincount(bins), 1)
    mean_x, mean_y = np.bincount(bins, x) / count, np.bincount(bins, y) / count
    cross = np.bincount(bins, (x - mean_x[bins]) * (y - mean_y[bins]))
    slope = cross / np.maximum(np.bincount(bins, (x - mean_x[bins]) ** 2), 1e-300)
    residual = (y - mean_y[bins] - slope[bins] * (x - mean_x[bins]))[:, None]
    residual = np.clip(residual, *np.quantile(residual, [0.01, 0.99]))
    spread = ((residual - residual.mean()) ** 2).sum()
    if spread == 0 or not others:
        return False
    loss = losses(view.matrix(rows, others), residual, row_folds(len(rows), 3, view.seed), classes=False)
    return bool(1 - loss.sum() / spread > 0.2)


def _is_lag(view: View, feature: Feature) -> bool:
    """Whether the column repeats the target of an earlier row of the file: known when it is needed."""
    if not view.regression or feature.numbers is None:
        return False
    known = np.zeros(view.n, dtype=bool)
    known[view.known] = True
    y = np.where(known, view.table.target, np.nan)
    for lag in range(1, min(32, view.n // 4)):
        both = np.isfinite(y[:-lag]) & np.isfinite(feature.numbers[lag:])
        if both.sum() > 10 and np.mean(np.isclose(y[:-lag][both], feature.numbers[lag:][both])) > 0.9:
            return True
    return False


def _is_copy(view: View, feature: Feature, rows: NDArray[np.int64]) -> bool:
    """Whether the column is the target in other words: another scale, rounded, cut into bins, a code."""
    distinct = len(np.unique(feature.codes[rows]))
    if distinct < 2 or len(rows) < 30:
        return False
    if view.regression:
        return _is_scale(view, feature, rows, distinct) or _is_cut(view, feature, rows, distinct)
    return _is_code(view, feature, rows, distinct)


def _is_scale(view: View, feature: Feature, rows: NDArray[np.int64], distinct: int) -> bool:
    """Whether the column rises or falls with the target all along, in more than a few steps."""
    if feature.numbers is None or distinct <= max(10, 0.02 * len(rows)):
        return False
    x, y = feature.numbers[rows], view.table.target[rows]
    rising = np.mean(np.diff(x[np.lexsort((x, y))]) >= 0)
    falling = np.mean(np.diff(x[np.lexsort((-x, y))]) <= 0)
    return bool(max(rising, falling) >= 0.999)


def _is_cut(view: View, feature: Feature, rows: NDArray[np.int64], distinct: int) -> bool:
    """Whether each value stands for one stretch of the target, cut where the target has no gap.

    Groups that differ by nature overlap, or leave a gap between them; only a cut through the target's own
    distribution does neither.
    """
    codes, y = feature.codes[rows], view.table.target[rows].astype(np.float64)
    order = np.lexsort((codes, y))
    codes, y = codes[order], y[order]
    cuts = np.flatnonzero(np.diff(codes)) + 1
    if len(cuts) + 1 > distinct or distinct > 0.5 * len(rows) or np.bincount(codes).max() > len(rows) - 10:
        return False
    near = [np.r_[np.diff(y[max(c - 15, 0) : c]), np.diff(y[c : c + 15])] for c in cuts]
    wide = [
        (y[c] - y[c - 1]) / max(float(n.mean()), 1e-300) for c, n in zip(cuts, near, strict=True) if len(n)
    ]
    return bool(wide) and bool(np.median(wide) <= 3)


def _is_code(view: View, feature: Feature, rows: NDArray[np.int64], distinct: int) -> bool:
    """Whether each class has one value, or values in a knot far from those of the other classes."""
    y = view.table.target[rows].astype(np.int64)
    classes = np.unique(y)
    pairs = len(np.unique(np.stack([feature.codes[rows].astype(np.int64), y]), axis=1).T)
    if pairs == distinct == len(classes):
        return True
    if feature.numbers is None or feature.missing[rows].any():
        return False
    x = feature.numbers[rows]
    ranges = sorted((float(x[y == c].min()), float(x[y == c].max())) for c in classes)
    gap = min(low - high for (_, high), (low, _) in pairwise(ranges))
    knot = max(float(x[y == c].std()) for c in classes)
    return gap > KNOT * knot


def _backward(view: View, feature: Feature, rows: NDArray[np.int64], rng: np.random.Generator) -> float:
    """Return the share of the column's variance (its ranks') that the target explains; 0 for classes."""
    if not view.regression:
        return 0.0
    if feature.numbers is not None:
        present = rows[~feature.missing[rows]]
        if len(present) < 10 or np.ptp(feature.numbers[present]) == 0:
            return 0.0
        x = (rankdata(feature.numbers[present]) / len(present))[:, None]
        return explained(view.table.target[present].astype(np.float64), x, rng)
    codes = feature.codes[rows]
    top = np.argsort(-np.bincount(codes))[:12]
    return explained(view.table.target[rows].astype(np.float64), (codes[:, None] == top).astype(float), rng)


def _finding(
    view: View, suspect: Suspect, rest: float, severity: Severity, n_rows: int, compared: bool
) -> Finding:
    name = suspect.feature.name
    where = (
        say(" on the {present:.0%} of rows where it has a value", present=suspect.present)
        if suspect.partial
        else ""
    )
    tail = say("; all other columns together explain {rest:.1%}", rest=max(rest, 0)) if compared else ""
    if suspect.copy and suspect.forward < 0.999:
        opening = say("Column {name!r} follows from the target exactly (a coarse version of it)", name=name)
    elif severity == "error":
        opening = say("Column {name!r} gives the target away", name=name)
    else:
        opening = say("Column {name!r} is suspiciously strong", name=name)
    return Finding(
        "target-leak",
        severity,
        say(
            "{opening}: alone it explains {forward:.2%} of the target{where}{tail}. Would it be known "
            "before the target is?",
            opening=opening,
            forward=suspect.forward,
            where=where,
            tail=tail,
        ),
        columns=(name,),
        evidence={
            "explained_alone": round(suspect.forward, 6),
            "explained_by_target": round(suspect.backward, 6),
            "explained_by_others": round(rest, 6),
            "share_of_rows": round(suspect.present, 4),
            "n_rows_measured": min(n_rows, len(view.known)),
        },
        fix=say(
            "Leave it out unless it is known before the target: --drop {name!r}; if it is, --accept "
            "target-leak.",
            name=name,
        ),
    )
