"""Entity: rows that observe one thing several times, named by a column or hidden in equal features.

A model that saw a patient in training knows the patient in the exam. How much that flatters is measured:
the same model is scored with rows shuffled and with groups kept whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.chance import NO_COINCIDENCE, expected_twins, share_beyond_chance
from soundfit.data.audit.crossing import crossing_share
from soundfit.data.audit.evidence import (
    EVIDENCE_COLUMNS,
    EVIDENCE_ROWS,
    Optimism,
    group_folds,
    measure_optimism,
)
from soundfit.data.audit.hashes import clusters, row_hashes, sizes
from soundfit.data.audit.names import names_cluster, names_individual, says_clock
from soundfit.data.audit.partners import Partners
from soundfit.data.audit.view import Feature, View
from soundfit.records import Finding, Severity
from soundfit.records.said import joined, say

__all__ = ["find_entities", "hidden_entity"]

Rows = NDArray[np.int64]
#: A score that looks better than it is by this share, and surely by the second, is a lie.
LIE, SURELY = 0.15, 0.08
#: Worth a warning.
FLATTERS = 0.05
FOLDS = 5
#: Fewer groups of equal rows than this are the levels of a design.
HIDDEN_GROUPS = 20
#: Values such as P017 are taken for individuals where they have at most this many rows on average.
ROWS_A_CODE = 100


@dataclass(frozen=True)
class Entity:
    """Columns whose equal values mark one thing; ``constant`` are other columns that go with them."""

    columns: tuple[str, ...]
    cluster: NDArray[np.int64]
    named: bool
    share_of_features: float
    lies: bool


def find_entities(view: View, partners: Partners, unique: Rows) -> list[Finding]:
    """Find columns that name an entity, and entities hidden in equal features."""
    if len(view.known) < 30:
        return []
    entities = [e for f in view.features if (e := _named(view, f)) is not None]
    if not any(e.lies for e in entities):
        hidden = hidden_entity(view, partners, unique)
        entities += [hidden] if hidden is not None else []
    findings = []
    for entity in entities[:3]:
        if _kept_whole(view, entity.cluster):
            continue
        finding = _judge(view, entity)
        if finding is not None:
            findings.append(finding)
    return findings


def _kept_whole(view: View, cluster: NDArray[np.int64]) -> bool:
    if view.plan is not None:
        return crossing_share(cluster, view.plan) < 0.005
    if not view.group:
        return False
    group = clusters(row_hashes((view.feature(name).codes for name in view.group), view.n))
    pairs = len(np.unique(np.stack([cluster, group]), axis=1).T)
    return pairs <= 1.005 * len(np.unique(cluster))


def _named(view: View, feature: Feature) -> Entity | None:
    """Return the entity that a column names, or None."""
    individual = names_individual(feature.name)
    labels = not feature.continuous or feature.whole
    if not labels or feature.kind == "date" or says_clock(feature.name):
        return None
    looks = individual or names_cluster(feature.name)
    coded = feature.numbers is None and feature.n_distinct >= view.n / ROWS_A_CODE and _numbered(feature)
    if not looks and not coded:
        return None
    present = ~feature.missing
    groups = feature.n_distinct - int(feature.missing.any())
    if groups < 5 or present.mean() < 0.5:
        return None
    repeated = float((sizes(feature.codes.astype(np.int64)) > 1)[present].mean())
    if repeated < 0.3 or groups > 0.9 * present.sum() or present.sum() / groups > max(200.0, 0.1 * view.n):
        return None
    return Entity(
        columns=(feature.name,),
        cluster=feature.codes.astype(np.int64),
        named=True,
        share_of_features=0.0,
        lies=(individual or coded) and groups >= 10,
    )


def _numbered(feature: Feature) -> bool:
    """Whether the values are names with a number, as P001 or user-17, of many individuals."""
    values = feature.series.dropna().unique()
    if len(values) < 20:
        return False
    some = [str(v) for v in values[:200]]
    match = [re.fullmatch(r"([A-Za-z]+[ _\-#:]?)\d{1,9}", s) for s in some]
    prefixes = {m.group(1) for m in match if m}
    return all(match) and len(prefixes) == 1


def hidden_entity(view: View, partners: Partners, unique: Rows) -> Entity | None:
    """Return the set of columns that stay equal within an entity that no column names, or None.

    Among pairs of rows that agree beyond chance, columns that nearly always agree describe the entity;
    the others are what was varied between its rows. Exact copies must be set aside by the caller.
    """
    content = view.content
    if len(content) < 3 or len(unique) < 40 or len(partners.row) == 0:
        return None
    strange = (np.log(view.n) - partners.information) < NO_COINCIDENCE
    if strange.sum() < 0.2 * len(unique):
        return None
    agree = partners.equal_PF[strange].mean(axis=0)
    best: Entity | None = None
    tried: set[int] = set()
    for level in (0.97, 0.9, 0.8):
        chosen = np.flatnonzero(agree >= level)
        if len(chosen) in tried:
            continue
        tried.add(len(chosen))
        candidate = _constant_columns(view, [content[j] for j in chosen], unique)
        if candidate is not None and (best is None or len(candidate.columns) > len(best.columns)):
            best = candidate
    return best


def _constant_columns(view: View, features: list[Feature], unique: Rows) -> Entity | None:
    n_content = len(view.content)
    varied = n_content - len(features)
    if len(features) < 2 or varied == 0 or len(features) < 0.4 * n_content:
        return None
    cluster = clusters(row_hashes((f.codes for f in features), view.n))
    _, within = np.unique(cluster[unique], return_inverse=True)
    twin = sizes(within) > 1
    if twin.mean() < 0.25 or int(within.max()) + 1 < HIDDEN_GROUPS:
        return None
    chance = expected_twins(features, view.n, sizes(cluster), view.seed).log_expected[unique]
    n_groups = int(within.max()) + 1
    if share_beyond_chance(twin, chance, sizes(within)) < 0.2:
        return None
    telling = tuple(f.name for f in features if f.n_distinct > 1)
    return Entity(
        columns=_needed(view, telling, n_groups),
        cluster=cluster,
        named=False,
        share_of_features=len(features) / n_content,
        lies=len(features) >= 0.6 * n_content and n_groups >= 1.5 * HIDDEN_GROUPS,
    )


def _needed(view: View, names: tuple[str, ...], n_groups: int) -> tuple[str, ...]:
    """Return all the names where they are few, else the fewest found that make the same groups."""
    if len(names) <= 10:
        return names
    chosen: list[str] = []
    key = np.zeros(view.n, dtype=np.int64)
    by_detail = sorted(names, key=lambda name: -view.feature(name).n_distinct)
    reached = 1
    for name in by_detail:
        finer = clusters(row_hashes((key, view.feature(name).codes), view.n))
        count = int(finer.max()) + 1
        if count > reached:
            chosen.append(name)
            key, reached = finer, count
    return tuple(name for name in names if name in chosen)


def _judge(view: View, entity: Entity) -> Finding | None:
    rows = _whole_groups(view, entity.cluster, EVIDENCE_ROWS)
    groups = np.unique(entity.cluster[rows], return_inverse=True)[1]
    if len(np.unique(groups)) < FOLDS or len(rows) < 30:
        return None
    optimism = measure_optimism(
        view, rows, groups, group_folds(groups, FOLDS, view.seed), view.best_inputs(EVIDENCE_COLUMNS)
    )
    alike = _alike(view, rows, groups)
    flattered = optimism.flatter >= FLATTERS and optimism.low > 0 and optimism.skill > 0
    severity: Severity
    if entity.lies and optimism.flatter >= LIE and optimism.low >= SURELY and optimism.skill > 0.02:
        severity = "error"
    elif flattered or (entity.named and entity.lies and alike > 0.1):
        severity = "warning"
    elif entity.named and not entity.lies:
        return None
    else:
        severity = "note"
    return _finding(view, entity, optimism, alike, severity)


def _finding(view: View, entity: Entity, optimism: Optimism, alike: float, severity: Severity) -> Finding:
    size = sizes(entity.cluster)
    n_groups = len(np.unique(entity.cluster))
    what = joined(" ", (say("--group {quoted}", quoted=_quoted(name)) for name in entity.columns))
    if entity.named:
        opening = say(
            "Column {columns!r} repeats: {n_groups:,} different values in {n:,} rows.",
            columns=entity.columns[0],
            n_groups=n_groups,
            n=view.n,
        )
    else:
        opening = say(
            "Rows repeat a hidden entity: {n_groups:,} groups of rows equal in {listed}, {n:,} rows in all.",
            n_groups=n_groups,
            listed=", ".join(map(repr, entity.columns)),
            n=view.n,
        )
    return Finding(
        "grouped-rows",
        severity,
        say(
            "{opening} A quick model's error is {shuffled:.4g} with rows shuffled and {honest:.4g} with "
            "groups kept whole: the score would look {flatter:.0%} better than it is (95 % interval "
            "{low:.0%} to {high:.0%}).",
            opening=opening,
            shuffled=optimism.shuffled,
            honest=optimism.honest,
            flatter=max(optimism.flatter, 0),
            low=optimism.low,
            high=optimism.high,
        ),
        columns=entity.columns,
        rows=view.file_rows(np.flatnonzero(size > 1)),
        n_rows=int((size > 1).sum()),
        evidence={
            **optimism.numbers(),
            "n_groups": n_groups,
            "target_alike_within_groups": round(alike, 4),
            "share_of_features_constant": round(entity.share_of_features, 3),
            "group": list(entity.columns),
        },
        fix=say(
            "Keep groups whole: {what}. If new rows will come from the same groups, --accept grouped-rows.",
            what=what,
        ),
    )


def _alike(view: View, rows: Rows, groups: NDArray[np.int64]) -> float:
    """Return the intraclass correlation of the target's ranks (ANOVA estimator, Donner 1986)."""
    target = view.target(rows)
    count = np.bincount(groups).astype(np.float64)
    n, k = len(rows), len(count)
    if k < 2 or n <= k:
        return 0.0
    means = np.stack([np.bincount(groups, column) for column in target.T], axis=1) / count[:, None]
    within = float(((target - means[groups]) ** 2).sum() / (n - k))
    between = float((count[:, None] * (means - target.mean(axis=0)) ** 2).sum() / (k - 1))
    typical = (n - (count**2).sum() / n) / (k - 1)
    total = between + (typical - 1) * within
    return (between - within) / total if total > 0 else 0.0


def _whole_groups(view: View, cluster: NDArray[np.int64], size: int) -> Rows:
    """Return known rows of whole groups drawn at random, about ``size`` of them."""
    known = view.known
    if len(known) <= size:
        return known
    n_clusters = int(cluster.max()) + 1
    rank = np.random.default_rng([view.seed, 53]).permutation(n_clusters)
    count = np.bincount(rank[cluster[known]], minlength=n_clusters)
    last = int(np.searchsorted(np.cumsum(count), size))
    return known[rank[cluster[known]] <= max(last, FOLDS)]


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.\-]+", name) else f"'{name}'"
