"""Parts: two or three columns whose sum, difference, product or ratio is the target.

Accounts do that (casual + registered = all riders), and so do unit prices. Knows least squares on small
sets of columns, no other check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.evidence import EVIDENCE_ROWS, skill
from soundfit.data.audit.view import View
from soundfit.records import Finding, Severity
from soundfit.records.said import joined, say

__all__ = ["Parts", "find_parts", "parts_findings"]

Floats = NDArray[np.float64]
#: Least share of variance for a set to be looked at, to be a near and an exact identity.
SCREEN, NEAR, EXACT = 0.5, 0.999, 0.999999
#: How much the fit must lose without any one of the parts, in units of what is left with all.
NEEDED = 10.0
ROWS = 3000
COLUMNS = 60
#: Pairs that triples grow from in wide tables, and sets verified on complete rows.
WIDE = 100
VERIFIED = 25


@dataclass(frozen=True)
class Parts:
    """Columns with their coefficients; ``product`` where they multiply (coefficients are exponents).

    ``outer`` names what was done to the target: ``""``, ``log``, ``exp`` or ``square``. ``plain``: all
    coefficients are of one size (a sum or difference), or small exponents.
    """

    columns: tuple[str, ...]
    coefficients: tuple[float, ...]
    product: bool
    outer: str
    explained: float
    exact: bool
    plain: bool

    def formula(self, target: str) -> str:
        """Return the identity in words of arithmetic."""
        left = {"": target, "log": f"log({target})", "exp": f"exp({target})", "square": f"{target}²"}[
            self.outer
        ]
        size = abs(self.coefficients[0])
        out = ""
        for name, c in zip(self.columns, self.coefficients, strict=True):
            if self.product:
                power = f"^{abs(c):.3g}" if abs(abs(c) - 1) > 0.02 else ""
                out += f" {'×' if c > 0 else '/'} {name}{power}"
            else:
                out += f" {'+' if c > 0 else '−'} " + (name if self.plain else f"{abs(c):.4g}·{name}")
        out = re.sub(r"^ [+×] ", "", out)
        if out.startswith(" /"):
            out = "1" + out
        if self.product and self.outer == "":
            return f"{left} = log({out.strip()})"
        if self.plain and not self.product and abs(size - 1) > 0.02:
            out = f"{size:.4g}·({out.strip()})"
        return f"{left} {'=' if self.exact else '≈'} {out.strip()}"


def find_parts(view: View, *, skip: frozenset[str]) -> list[Parts]:
    """Return up to three identities between the target and two or three columns (more, for plain sums).

    Args:
        view: the table.
        skip: columns that give the target away alone: any sum with them would.
    """
    if not view.regression or len(view.known) < 30:
        return []
    features = [f for f in view.features if f.used and f.numbers is not None and f.name not in skip]
    features = [f for f in features if f.n_distinct > 2]
    rows = view.sample(ROWS, salt=3)
    y = view.table.target[rows].astype(np.float64)
    if len(features) < 2 or np.ptp(y) == 0:
        return []
    x = np.stack([f.along(rows) for f in features], axis=1)
    names = [f.name for f in features]
    found: list[Parts] = []
    taken: set[str] = set()
    for outer, goal in _goals(y):
        for product in (False, True):
            if (product and outer in ("exp", "square")) or (not product and outer == "log"):
                continue
            columns = _logs(x) if product else x
            keep = np.flatnonzero(np.isfinite(columns).mean(axis=0) >= 0.3)
            for chosen in _candidates(columns[:, keep], goal):
                picked = tuple(int(keep[j]) for j in chosen)
                if taken & {names[j] for j in picked}:
                    continue
                parts = _verified(columns, goal, picked, names, product=product, outer=outer)
                if parts is not None:
                    found.append(parts)
                    taken |= set(parts.columns)
                    break
    if not found:
        whole = _long_sum(x, y, names)
        found = [whole] if whole is not None else []
    return found[:3]


def parts_findings(view: View, found: list[Parts]) -> list[Finding]:
    """Return a finding for each identity; an error unless it may be the law that the table is about.

    A law's inputs stand for themselves: other columns say nothing about the target. The parts of a leak
    carry the target, which the other columns predict.
    """
    findings = []
    rows = view.sample(EVIDENCE_ROWS, salt=2)
    for parts in found:
        others = tuple(f for f in view.best_inputs(60) if f.name not in parts.columns)
        rest = skill(view, rows, others) if others else 0.0
        carried = rest >= 0.1 or (rest >= 0.03 and not parts.product)
        severity: Severity = "error" if parts.plain and carried else "warning"
        formula = parts.formula(view.table.target_name)
        drops = joined(" ", (say("--drop {quoted}", quoted=_quoted(name)) for name in parts.columns))
        findings.append(
            Finding(
                "target-parts",
                severity,
                say(
                    "The target is made of other columns: {formula} ({what}); a model would learn the sum, "
                    "not the cause. All other columns explain {rest:.1%} of it.",
                    formula=formula,
                    what=say("exactly")
                    if parts.exact
                    else say("{explained:.3%} of its variance", explained=parts.explained),
                    rest=max(rest, 0),
                ),
                columns=parts.columns,
                evidence={
                    "formula": formula,
                    "coefficients": [round(c, 6) for c in parts.coefficients],
                    "explained": round(parts.explained, 8),
                    "explained_by_others": round(rest, 4),
                    "n_rows_measured": len(rows),
                },
                fix=say(
                    "Leave the parts out unless they are known before the target: {drops}; if they are, "
                    "--accept target-parts.",
                    drops=drops,
                ),
            )
        )
    return findings


def _goals(y: Floats) -> list[tuple[str, Floats]]:
    goals = [("", y)]
    if y.min() > 0:
        goals.append(("log", np.log(y)))
    if np.ptp(y) < 30 and np.abs(y).max() < 50:
        goals.append(("exp", np.exp(y)))
    if y.min() >= 0:
        goals.append(("square", y**2))
    return goals


def _logs(x: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), np.nan)


def _candidates(x: Floats, goal: Floats) -> list[tuple[int, ...]]:
    """Return pairs and triples of columns by the share of variance they explain linearly, best first."""
    present = np.isfinite(x)
    mean = np.where(present, x, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    z = np.where(present, x - mean, 0.0)
    norm = np.sqrt((z**2).sum(axis=0))
    alive = np.flatnonzero(norm > 1e-12 * np.sqrt(len(x)) * (1 + np.abs(mean)))
    if len(alive) < 2:
        return []
    z = z[:, alive] / norm[alive]
    centred = goal - goal.mean()
    r = z.T @ (centred / np.sqrt((centred**2).sum()))
    gram = z.T @ z
    pairs = np.stack(np.triu_indices(len(alive), 1), axis=1)
    pair_score = _explained_by(gram, r, pairs)
    scored = [(pair_score[i], tuple(pairs[i])) for i in np.argsort(-pair_score)[:VERIFIED]]
    if len(alive) <= COLUMNS:
        triples = np.array(list(combinations(range(len(alive)), 3)), dtype=np.int64).reshape(-1, 3)
    else:
        best = pairs[np.argsort(-pair_score)[:WIDE]]
        third = np.tile(np.arange(len(alive)), len(best))
        triples = np.column_stack([np.repeat(best, len(alive), axis=0), third])
        triples = triples[(triples[:, 0] != third) & (triples[:, 1] != third)]
    if len(triples):
        score = _explained_by(gram, r, triples)
        top = np.argsort(-score)[: 4 * VERIFIED]
        scored += [(score[i], tuple(triples[i])) for i in top]
    # A pair that fits as well as a triple is the better answer.
    scored.sort(key=lambda s: (-round(s[0], 6), len(s[1])))
    return [tuple(int(alive[j]) for j in p) for s, p in scored[:VERIFIED] if s >= SCREEN]


def _explained_by(gram: Floats, r: Floats, sets: NDArray[np.int64]) -> Floats:
    block = gram[sets[:, :, None], sets[:, None, :]] + 1e-10 * np.eye(sets.shape[1])
    right = r[sets]
    return (right * np.linalg.solve(block, right[:, :, None])[:, :, 0]).sum(axis=1)


def _verified(
    x: Floats, goal: Floats, chosen: tuple[int, ...], names: list[str], *, product: bool, outer: str
) -> Parts | None:
    complete = np.isfinite(x[:, chosen]).all(axis=1)
    if complete.sum() < max(30, 0.2 * len(x)):
        return None
    a, b = x[complete][:, chosen], goal[complete]
    coefficients, explained = _fit(a, b)
    # A few rows may break the identity (corrections): the fit without them counts.
    loose = np.abs(_residual(a, b, coefficients))
    kept = loose <= np.quantile(loose, 0.9)
    if explained < NEAR and kept.sum() >= 30:
        coefficients, trimmed = _fit(a[kept], b[kept])
        explained = (
            trimmed if np.mean(np.abs(_residual(a, b, coefficients)) < 1e-3 * b.std()) > 0.85 else explained
        )
        a, b = (a[kept], b[kept]) if explained >= NEAR else (a, b)
    if explained < NEAR:
        return None
    for j in range(len(chosen)):
        without = _fit(np.delete(a, j, axis=1), b)[1]
        if 1 - without < max(NEEDED * (1 - explained), 1e-3):
            return None
    residual = np.abs(_residual(a, b, coefficients))
    exact = bool(np.quantile(residual, 0.9) <= 1e-5 * b.std()) and explained >= EXACT
    plain = _plain(coefficients[1:], product)
    if not plain and not exact:
        return None
    return Parts(
        tuple(names[j] for j in chosen),
        tuple(float(c) for c in coefficients[1:]),
        product,
        outer,
        float(explained),
        exact,
        plain,
    )


def _fit(a: Floats, b: Floats) -> tuple[Floats, float]:
    scale = np.maximum(np.abs(a).max(axis=0), 1e-300)
    design = np.column_stack([np.ones(len(a)), a / scale])
    solution, *_ = np.linalg.lstsq(design, b, rcond=None)
    coefficients = np.r_[solution[0], solution[1:] / scale]
    spread = ((b - b.mean()) ** 2).sum()
    left = ((b - design @ solution) ** 2).sum()
    return coefficients, float(1 - left / spread) if spread > 0 else 0.0


def _residual(a: Floats, b: Floats, coefficients: Floats) -> Floats:
    return b - coefficients[0] - a @ coefficients[1:]


def _plain(c: Floats, product: bool) -> bool:
    if product:
        return bool(np.all(np.abs(c) > 0.4) and np.all(np.abs(2 * c - np.round(2 * c)) < 0.03))
    return bool(np.abs(c).max() <= 1.01 * np.abs(c).min())


def _long_sum(x: Floats, y: Floats, names: list[str]) -> Parts | None:
    """Return a sum of more than three columns that is the target exactly."""
    filled = np.where(np.isfinite(x), x, 0.0)
    if len(y) < 3 * x.shape[1] or x.shape[1] < 4:
        return None
    coefficients, explained = _fit(filled, y)
    weight = np.abs(coefficients[1:])
    chosen = np.flatnonzero(weight * filled.std(axis=0) > 1e-4 * y.std())
    if explained < EXACT or len(chosen) < 4 or not _plain(coefficients[1:][chosen], False):
        return None
    if np.quantile(np.abs(_residual(filled, y, coefficients)), 0.9) > 1e-5 * y.std():
        return None
    return Parts(
        tuple(names[j] for j in chosen),
        tuple(float(c) for c in coefficients[1:][chosen]),
        False,
        "",
        explained,
        True,
        True,
    )


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.\-]+", name) else f"'{name}'"
