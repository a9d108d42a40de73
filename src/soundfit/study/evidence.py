"""Evidence: the numbers a verdict rests on, each in one unit, from a study, its references and traces.

The unit is the *share*: expected loss (squared error under a root metric, log-loss) over that of the
trivial baseline. 1 is "knows nothing", 0 is "knows everything", and differences of shares are shares of
the target's variance (or information) lost or won.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Config, StudyResult
from soundfit.study.optimism import optimism_of_choice
from soundfit.study.references import Floor, References

__all__ = ["Evidence", "Rival", "capacity_points", "collect_evidence", "standard_error"]

Array = NDArray[np.float64]

ROOTS = ("rmse", "rmse_log")


@dataclass(frozen=True)
class Rival:
    """Another model on the same folds: its share, and how far the chosen one is behind it (± SE)."""

    name: str
    share: float
    behind: float
    se: float
    simpler: bool
    parameters: int = 0
    configuration: int = -1

    @property
    def z(self) -> float:
        """The lag in standard errors."""
        return self.behind / max(self.se, 1e-9)


@dataclass(frozen=True)
class Evidence:
    """What is known about the chosen configuration.

    Attributes:
        config: the chosen configuration.
        training, validation: shares at the best checkpoints.
        gain, gain_se: validation share below the trivial one, and its SE; the share is that where other folds
            chose configuration and checkpoint.
        rivals: references, and the study's own other configurations (the best of each size).
        references: whether references were measured.
        floor: an upper bound of the noise, or None.
        fitted: lowest training share that any member reached at any time.
        rise: how far the validation loss had risen by the end above its best (median of the chosen members).
        drop: how far the training loss still fell over the last fifth of the epochs, as a share of it.
        early: median share of the epochs after which the chosen members were best.
        smaller_tried, larger_tried: whether other sizes were in the study.
        restraint_tried: whether the chosen size was tried under other decay or dropout.
        most_restrained: whether the chosen one is the most restrained of its size.
        rolled_back, failed, members: counts; ``shaken`` is the share of the chosen members that rolled back.
        interrupted: whether a chosen member was cut before its end.
        doubling: expected gain (share) from twice the rows, and its SE; None where not measured.
    """

    config: Config
    training: float
    validation: float
    gain: float
    gain_se: float
    rivals: tuple[Rival, ...]
    references: bool
    floor: Floor | None
    fitted: float
    rise: float
    drop: float
    early: float
    smaller_tried: bool
    larger_tried: bool
    restraint_tried: bool
    most_restrained: bool
    rolled_back: int
    failed: int
    members: int
    shaken: float
    interrupted: bool
    doubling: tuple[float, float] | None = None

    @property
    def gap(self) -> float:
        """Validation less training share."""
        return self.validation - self.training

    @property
    def ratio(self) -> float:
        """Training over validation share; 1: no gap."""
        return self.training / self.validation if self.validation > 0 else 1.0

    @property
    def midpoint(self) -> float:
        """Half way: where both curves would meet with more rows (optimism is symmetric, Efron 1986)."""
        return 0.5 * (self.training + self.validation)

    def best(self, *, outside: bool | None = None, simpler: bool | None = None) -> Rival | None:
        """Return the strongest rival of a kind: references (outside) or own configurations."""
        mine = [
            r
            for r in self.rivals
            if (outside is None or (r.configuration < 0) == outside)
            and (simpler is None or r.simpler == simpler)
        ]
        return min(mine, key=lambda r: r.share) if mine else None


def capacity_points(result: StudyResult) -> list[dict[str, float]]:
    """Return the best validation score at each number of parameters, with its training score and SE.

    Nets of infinite width have no place on that axis.
    """
    sign = -1.0 if result.greater_is_better else 1.0
    points = []
    sizes = np.array(result.parameters)
    finite = np.array([not c.is_infinite for c in result.configurations])
    for size in sorted(set(sizes[finite].tolist())):
        same = np.flatnonzero((sizes == size) & finite)
        means = sign * result.scores_CK[same].mean(axis=1)
        if not np.isfinite(means).any():
            continue
        best = int(same[np.nanargmin(means)])
        config = result.configurations[best]
        scores = result.scores_CK[best]
        points.append(
            {
                "parameters": int(size),
                "width": config.width,
                "depth": config.depth,
                "training": float(result.training_scores_CK[best].mean()),
                "validation": float(scores.mean()),
                "se": standard_error(scores),
                "configuration": best,
            }
        )
    return points


def standard_error(values: Array) -> float:
    """Return s/√K; 0 for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def collect_evidence(
    result: StudyResult,
    trivial_K: Array,
    references: References | None = None,
    *,
    own_rows: Array | None = None,
    doubling: tuple[float, float] | None = None,
) -> Evidence:
    """Collect the evidence on the chosen configuration.

    Args:
        result: of cross-validation.
        trivial_K: the trivial baseline's score on each fold.
        references: on the same folds.
        own_rows: the chosen configuration's out-of-fold losses per row (N,), to compare row by row.
        doubling: expected gain from twice the rows in the metric's loss, and its SE.
    """
    chosen = result.chosen
    unit = _losses(result, trivial_K).mean()
    trivial = _losses(result, trivial_K) / unit
    validation_K = _losses(result, result.scores_CK[chosen]) / unit
    gain_K = trivial - optimism_of_choice(result) * validation_K
    gain_se = standard_error(gain_K)
    if own_rows is not None and references is not None and "trivial" in references.rows:
        gain_se = max(gain_se, _paired(references.rows["trivial"], own_rows)[1] / unit)
    rivals = [*_own_rivals(result, unit), *_outside_rivals(references, own_rows, unit)]
    traces = _Traces.of(result, unit)
    size = result.parameters[chosen]
    same = [c for c, p in zip(result.configurations, result.parameters, strict=True) if p == size]
    restraints = sorted({(c.weight_decay, c.dropout) for c in same})
    config = result.chosen_config
    mine = [m for m in result.members if m.member.configuration == chosen]
    shaken = [any(e.kind == "rollback" for e in m.trace.events) for m in result.members]
    return Evidence(
        config,
        float((_losses(result, result.training_scores_CK[chosen]) / unit).mean()),
        float(validation_K.mean()),
        float(gain_K.mean()),
        gain_se,
        tuple(rivals),
        references is not None and len(references.rows) > 1,
        references.floor if references is not None else None,
        float(
            np.nanmin([traces.fitted, *_finite((_losses(result, result.training_scores_CK) / unit).mean(1))])
        ),
        traces.rise,
        traces.drop,
        traces.early,
        any(p < size for p in result.parameters),
        any(p > size for p in result.parameters),
        len(restraints) > 1,
        (config.weight_decay, config.dropout) == restraints[-1],
        sum(shaken),
        sum(m.status == "failed" for m in result.members),
        len(result.members),
        float(np.mean([any(e.kind == "rollback" for e in m.trace.events) for m in mine])),
        any(m.status == "interrupted" for m in mine),
        doubling,
    )


def _losses(result: StudyResult, scores: Array) -> Array:
    """Turn scores into expected losses, smaller is better and additive: squares of roots."""
    values = np.asarray(scores, dtype=np.float64)
    if result.metric in ROOTS:
        return np.square(values)
    return 1.0 - values if result.greater_is_better else values


def _finite(values: Array) -> list[float]:
    return [float(v) for v in values if np.isfinite(v)]


def _paired(theirs: Array, mine: Array) -> tuple[float, float]:
    """Return by how much mine is worse per row, and its standard error."""
    difference = mine - theirs
    known = difference[np.isfinite(difference)]
    if len(known) < 2:
        return float("nan"), float("inf")
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))


def _own_rivals(result: StudyResult, unit: float) -> list[Rival]:
    chosen = result.chosen
    mine_K = _losses(result, result.scores_CK[chosen]) / unit
    rivals = []
    for point in capacity_points(result):
        at = int(point["configuration"])
        if at == chosen:
            continue
        theirs_K = _losses(result, result.scores_CK[at]) / unit
        difference = mine_K - theirs_K
        size = int(point["parameters"])
        config = result.configurations[at]
        rivals.append(
            Rival(
                f"{config.model} {config.width} × {config.depth}" if config.depth else "linear",
                float(theirs_K.mean()),
                float(difference.mean()),
                standard_error(difference) if len(difference) > 1 else result.details.get("holdout_se", 0.0),
                size < result.parameters[chosen],
                size,
                at,
            )
        )
    return rivals


def _outside_rivals(references: References | None, own_rows: Array | None, unit: float) -> list[Rival]:
    if references is None or own_rows is None:
        return []
    rivals = []
    for name, rows in references.rows.items():
        if name == "trivial":
            continue
        behind, se = _paired(rows, own_rows)
        known = np.isfinite(rows) & np.isfinite(own_rows)
        share = float(rows[known].mean()) / unit
        rivals.append(Rival(name, share, behind / unit, se / unit, name == "linear"))
    return rivals


@dataclass(frozen=True)
class _Traces:
    fitted: float
    rise: float
    drop: float
    early: float

    @classmethod
    def of(cls, result: StudyResult, unit: float) -> _Traces:
        lowest, rises, drops, early = np.inf, [], [], []
        for member in result.members:
            training = np.asarray(member.trace.series.get("training_loss", np.empty(0)))
            validation = np.asarray(member.trace.series.get("validation_loss", np.empty(0)))
            if not np.isfinite(training).any():
                continue
            lowest = min(
                lowest,
                float(np.nanmin(training))
                * _per_share(result, member.training_loss, member.training_score, unit),
            )
            if member.member.configuration != result.chosen:
                continue
            best = float(np.nanmin(validation))
            rises.append(float(validation[-1]) / best - 1.0 if best > 0 else 0.0)
            since = int(0.8 * len(training))
            before = float(training[max(since - 1, 0)])
            drops.append(1.0 - float(training[-1]) / before if before > 0 and len(training) > 1 else 1.0)
            early.append(member.best_epoch / max(member.member.config.epochs, 1))
        median = lambda values, default: float(np.nanmedian(values)) if values else default  # noqa: E731
        return cls(lowest, median(rises, 0.0), median(drops, 0.0), median(early, 1.0))


def _per_share(result: StudyResult, loss: float, score: float, unit: float) -> float:
    """Return what turns a training loss into a share: their ratio at the best checkpoint."""
    if not (loss > 0 and np.isfinite(score)):
        return float("nan")
    return float(_losses(result, np.array(score))) / unit / loss
