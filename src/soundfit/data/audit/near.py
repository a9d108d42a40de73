"""Near: rows that are another row written a little differently.

Three ways: the same text in other case or spacing and numbers that differ in their last digits; a copy
with one cell changed; numbers with a little noise on all of them.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.audit.chance import NO_COINCIDENCE, expected_twins, share_beyond_chance
from soundfit.data.audit.crossing import crossing_share
from soundfit.data.audit.duplicates import LIE
from soundfit.data.audit.hashes import clusters, row_hashes, sizes
from soundfit.data.audit.partners import Partners
from soundfit.data.audit.view import Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import say

__all__ = ["find_near_duplicates", "find_rewritten"]

Rows = NDArray[np.int64]
#: Numbers closer than this share of their column's spread are one number.
TOLERANCE = 1e-3
#: A twin stands this many times nearer than the fifth-nearest row.
MUCH_NEARER = 20.0
QUERIES = 1500


def find_near_duplicates(view: View, partners: Partners, unique: Rows, rewritten: Rows) -> list[Finding]:
    """Find rows that nearly equal another; exact copies aside.

    Args:
        view: the table.
        partners: best partners among the ``unique`` rows.
        unique: one row of each set of equal rows, ascending.
        rewritten: pairs from :func:`find_rewritten`, shape (P, 2).
    """
    if len(unique) < 20 or len(view.content) < 2:
        return []
    pairs, how = rewritten, say("but for letter case, spacing or digits beyond the third")
    if len(pairs) < 0.002 * len(unique):
        pairs, how = _one_cell_changed(view, partners), say("but for one cell")
    share = len(np.unique(pairs)) / len(unique)
    if share < 0.01:
        noisy, noisy_share = _noisy(view, unique)
        if noisy_share > max(share, 0.01):
            pairs, share, how = noisy, noisy_share, say("but for a little noise on its numbers")
    n_rows = round(share * len(unique))
    if len(pairs) == 0 or n_rows < 4 or share < 0.002:
        return []
    return [_finding(view, pairs, share, n_rows, how, len(unique))]


def _finding(view: View, pairs: Rows, share: float, n_rows: int, how: str, n_unique: int) -> Finding:
    agree = _target_agreement(view, pairs)
    link = np.arange(view.n, dtype=np.int64)
    link[pairs[:, 1]] = link[pairs[:, 0]]
    crossing = crossing_share(link, view.plan) if view.plan is not None else share * 0.8
    severity: Severity = "warning"
    if crossing >= LIE and agree >= 0.8 and n_rows >= 10:
        severity = "error"
    elif agree < 0.3 or share < 0.01:
        severity = "note"
    return Finding(
        "near-duplicates",
        severity,
        say(
            "About {n_rows:,} rows equal another row {how}; their targets agree {agree:.0%} more closely "
            "than those of random rows. In an exam such a row is known already.",
            n_rows=n_rows,
            how=how,
            agree=agree,
        ),
        rows=view.file_rows(np.unique(pairs)),
        n_rows=n_rows,
        evidence={
            "share_of_rows": round(share, 4),
            "share_crossing": round(crossing, 4),
            "target_agreement": round(agree, 4),
            "n_rows_compared": n_unique,
        },
        fix=say(
            "Remove the copies from the file, or keep them on one side with --group COL; if they are "
            "separate observations, --accept near-duplicates."
        ),
    )


def _target_agreement(view: View, pairs: Rows) -> float:
    """Return 1 − (differences within pairs)/(differences of random rows); test rows left out."""
    known = np.isin(pairs, view.known).all(axis=1)
    one, other = pairs[known, 0], pairs[known, 1]
    if len(one) == 0:
        return 0.0
    target = view.target(view.known)
    at = np.searchsorted(view.known, np.stack([one, other]))
    within = ((target[at[0]] - target[at[1]]) ** 2).sum(axis=1).mean()
    between = 2 * ((target - target.mean(axis=0)) ** 2).sum(axis=1).mean()
    return float(1 - within / between) if between > 0 else 0.0


def find_rewritten(view: View, unique: Rows) -> Rows:
    """Return pairs of rows equal after normalising text and rounding numbers, shape (P, 2)."""
    codes = [_normal_codes(f) for f in view.content]
    changed = any(c is not f.codes for c, f in zip(codes, view.content, strict=True))
    if not changed:
        return np.zeros((0, 2), dtype=np.int64)
    n = view.n
    chance = np.full(len(unique), np.log(n))
    for column in codes:
        counts = np.bincount(column)
        chance += np.log(counts / n, where=counts > 0, out=np.zeros(len(counts)))[column[unique]]
    cluster = clusters(row_hashes(codes, n)[unique])
    twin = (sizes(cluster) > 1) & (chance < NO_COINCIDENCE)
    order = np.flatnonzero(twin)[np.argsort(cluster[twin], kind="stable")]
    same = cluster[order[1:]] == cluster[order[:-1]]
    return np.stack([unique[order[:-1][same]], unique[order[1:][same]]], axis=1)


def _normal_codes(feature: Feature) -> NDArray[np.int32]:
    if feature.numbers is None:
        first = np.unique(feature.codes, return_index=True)[1]
        texts = feature.series.iloc[first].astype(object).map(_normal_text, na_action="ignore")
        codes, uniques = pd.factorize(texts)
        if len(uniques) + int(feature.missing.any()) == feature.n_distinct:
            return feature.codes
        return np.where(codes < 0, len(uniques), codes).astype(np.int32)[feature.codes]
    if not feature.continuous or feature.whole:
        return feature.codes
    low, high = np.nanquantile(feature.numbers, [0.25, 0.75])
    spread = (high - low) / 1.35
    if not np.isfinite(spread) or spread <= 0:
        return feature.codes
    cells = np.floor(feature.numbers / (TOLERANCE * spread) + 0.37)
    codes, uniques = pd.factorize(cells)
    return np.where(codes < 0, len(uniques), codes).astype(np.int32)


def _normal_text(value: object) -> str:
    return re.sub(r"[\W_]+", " ", str(value)).strip().casefold()


def _one_cell_changed(view: View, partners: Partners) -> Rows:
    """Return pairs that differ in one cell only, and not always in the same column."""
    n_features = partners.equal_PF.shape[1]
    if n_features < 4:
        return np.zeros((0, 2), dtype=np.int64)
    differ = ~partners.equal_PF
    one = differ.sum(axis=1) == 1
    rows = partners.row
    quick = np.log(view.n) - partners.information
    if not (one & (quick < NO_COINCIDENCE)).any():
        return np.zeros((0, 2), dtype=np.int64)
    own = np.ones(view.n, dtype=np.int64)
    own[rows[one]] = 2
    chance = expected_twins(view.content, view.n, own, view.seed)
    # Any one cell may be the changed one.
    expected = (chance.log_expected + chance.largest)[rows] + np.log(n_features)
    strange = one & (expected < NO_COINCIDENCE)
    where = differ[strange].sum(axis=0)
    if strange.sum() == 0 or where.max() > max(0.7, 2.5 / n_features) * strange.sum():
        return np.zeros((0, 2), dtype=np.int64)
    if share_beyond_chance(strange, expected) < 0.25 * strange.mean():
        return np.zeros((0, 2), dtype=np.int64)
    return np.stack([partners.row[strange], partners.partner[strange]], axis=1)


def _noisy(view: View, unique: Rows) -> tuple[Rows, float]:
    """Return pairs much nearer than neighbours are, and the share of rows that have such a twin.

    With the distance to the nearest row r₁ and to the fifth r₅, healthy rows of intrinsic dimension D
    have P(r₅/r₁ > m) ≈ 5·m⁻ᴰ; D is estimated from r₂/r₁ (Facco et al. 2017, TwoNN).
    """
    none = np.zeros((0, 2), dtype=np.int64)
    points = _points(view, unique)
    if points.shape[1] < 2:
        return none, 0.0
    rng = np.random.default_rng([view.seed, 43])
    budget = int(min(QUERIES, max(200, 1e10 / (len(unique) * points.shape[1]))))
    asked = np.sort(rng.choice(len(unique), min(budget, len(unique)), replace=False))
    distance, index = _nearest(points, asked, 5)
    near = distance[:, 0]
    zero = near <= 1e-12
    dimension = (
        1 / max(float(np.median(np.log((distance[:, 1] + 1e-9) / (near + 1e-9))[~zero])) / np.log(2), 1e-3)
        if (~zero).any()
        else 1.0
    )
    much = ~zero & (distance[:, 4] > MUCH_NEARER * near) & (near < 0.1 * np.median(distance[:, 4]))
    expected = min(1.0, 5 * MUCH_NEARER ** -min(dimension, 8.0))
    share = float(much.mean())
    if dimension < 2 or share < 0.01 + 3 * expected or much.sum() < 4:
        return none, 0.0
    return np.stack([unique[asked[much]], unique[index[much, 0]]], axis=1), share


def _points(view: View, rows: Rows) -> NDArray[np.float32]:
    """Return rows as points: numbers in units of their spread, a word as a random direction."""
    parts: list[NDArray[np.float64]] = []
    rng = np.random.default_rng([view.seed, 47])
    continuous = 0
    for feature in view.content:
        if feature.numbers is None or not feature.continuous:
            if feature.kind == "text" or feature.n_distinct > 0.5 * view.n:
                continue
            parts.append(rng.normal(size=(len(feature.counts), 2))[feature.codes[rows]])
            continue
        values = feature.numbers[rows]
        present = np.isfinite(values)
        low, middle, high = np.quantile(values[present], [0.16, 0.5, 0.84])
        spread = (high - low) / 2 or float(values[present].std()) or 1.0
        scaled = np.where(present, (values - middle) / spread, 0.0)
        parts.append(np.arcsinh(scaled)[:, None])
        continuous += 1
    if continuous < 2:
        return np.zeros((len(rows), 0), dtype=np.float32)
    return np.concatenate(parts, axis=1).astype(np.float32)


def _nearest(
    points: NDArray[np.float32], asked: Rows, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances to and indices of the k nearest other points, by brute force in blocks."""
    norms = (points.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    distances = np.empty((len(asked), k))
    indices = np.empty((len(asked), k), dtype=np.int64)
    # About 20 bytes a distance while a block is at work.
    block = max(1, int(5e6 // len(points)))
    for start in range(0, len(asked), block):
        mine = asked[start : start + block]
        squared = norms[None, :] - 2 * (points[mine] @ points.T)
        squared[np.arange(len(mine)), mine] = np.inf
        near = np.argpartition(squared, k, axis=1)[:, :k]
        # The difference of large squares loses digits; the few that matter are taken again exactly.
        exact = ((points[near].astype(np.float64) - points[mine][:, None, :]) ** 2).sum(axis=2)
        by = np.argsort(exact, axis=1)
        indices[start : start + block] = np.take_along_axis(near, by, axis=1)
        distances[start : start + block] = np.sqrt(np.take_along_axis(exact, by, axis=1))
    return distances, indices
