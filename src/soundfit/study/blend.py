"""Blend: which of the trained configurations share the final model, and by how much.

Greedy ensemble selection on out-of-fold predictions (Caruana, Niculescu-Mizil, Crew & Ksikes 2004, sections
2 and 3): begin with the best, then add, with replacement, whichever lowers the loss of the mean most. Whether
that beats the one chosen configuration is asked honestly: weights are fitted on all folds but one and judged
on that one. Knows no files and no nets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soundfit.study.cross_validation import StudyRun
from soundfit.study.views import StudyViews

__all__ = ["Blend", "blend_study", "greedy_weights", "on_training_scale", "row_losses"]

Array = NDArray[np.float64]
Losses = Callable[[Array, NDArray[np.int64]], Array]

# Greedy steps, and how many different configurations the final model may hold: it must stay quick.
STEPS = 24
MOST = 6
_MOST_ROWS = 20_000
_TINY = 1e-7


@dataclass(frozen=True)
class Blend:
    """Shares of configurations (positions in the study) in the final model.

    Attributes:
        configurations: largest share first.
        weights: positive, summing to 1.
        outputs: (N,) on the scale of training or (N, C) probabilities, out of fold; NaN where a row was
            not validated.
        loss: mean loss per row of the blend, its weights judged on folds that did not fit them.
        loss_alone: of the chosen configuration, on the same rows.
        chosen: that configuration.
    """

    configurations: tuple[int, ...]
    weights: tuple[float, ...]
    outputs: Array
    loss: float
    loss_alone: float
    chosen: int

    @property
    def alone(self) -> bool:
        """Whether the final model is the chosen configuration's fold members."""
        return self.configurations == (self.chosen,)


def row_losses(task: str, target: NDArray[np.float64]) -> Losses:
    """Return a function from outputs (n, …) of rows to their losses (n,).

    Squared error on the scale of training, or log-loss.
    """

    def squared(outputs: Array, rows: NDArray[np.int64]) -> Array:
        return np.square(outputs - target[rows])

    def surprise(outputs: Array, rows: NDArray[np.int64]) -> Array:
        picked = outputs[np.arange(len(rows)), target[rows].astype(np.int64)]
        return np.asarray(-np.log(np.maximum(picked, _TINY)))

    return surprise if task == "classification" else squared


def greedy_weights(
    outputs_C: Sequence[Array],
    rows: NDArray[np.int64],
    losses: Losses,
    *,
    steps: int = STEPS,
    most: int = MOST,
) -> Array:
    """Return each candidate's weight (C,), summing to 1, fitted on these rows.

    Stops early where no addition lowers the loss any more.
    """
    parts = [outputs[rows] for outputs in outputs_C]
    first = int(np.argmin([losses(p, rows).mean() for p in parts]))
    counts = np.zeros(len(parts), dtype=np.int64)
    counts[first] = 1
    total, best = parts[first].copy(), float(losses(parts[first], rows).mean())
    for size in range(1, steps):
        open_ = [c for c in range(len(parts)) if counts[c] or np.count_nonzero(counts) < most]
        tried = {c: float(losses((total + parts[c]) / (size + 1), rows).mean()) for c in open_}
        winner = min(tried, key=lambda c: tried[c])
        if tried[winner] >= best:
            break
        counts[winner] += 1
        total, best = total + parts[winner], tried[winner]
    return counts / counts.sum()


def blend_study(views: StudyViews, study: StudyRun, *, most: int = MOST) -> Blend:
    """Return what the final model is made of: a blend where it validates better than the chosen one alone.

    Args:
        views, study: members and what they were trained on.
        most: configurations that the final model can hold; 1 for the chosen one alone.
    """
    result = study.result
    outputs = _out_of_fold(views, study)
    candidates = [
        c
        for c in range(len(result.configurations))
        if c in outputs and np.isfinite(result.scores_CK[c]).all()
    ]
    target = on_training_scale(views, views.target)
    losses = row_losses(views.table.task, target)
    mine = outputs[result.chosen]
    known = np.flatnonzero(np.isfinite(mine if mine.ndim == 1 else mine[:, 0]))
    loss = float(losses(mine[known], known).mean())
    alone = Blend((result.chosen,), (1.0,), mine, loss, loss, result.chosen)
    folds = [np.intersect1d(f.validation, known) for f in views.folds]
    if len(folds) == 1:
        folds = [folds[0][::2], folds[0][1::2]]
    folds = [_sample(rows) for rows in folds]
    parts = [outputs[c] for c in candidates]
    if most < 2 or len(candidates) < 2 or min(len(rows) for rows in folds) < 2:
        return alone
    judged, judged_alone = [], []
    for k, rows in enumerate(folds):
        others = np.unique(np.concatenate([f for j, f in enumerate(folds) if j != k]))
        weights = greedy_weights(parts, others, losses, most=most)
        judged.append(losses(_mixed(parts, weights, rows), rows))
        judged_alone.append(losses(mine[rows], rows))
    loss, loss_alone = (float(np.concatenate(v).mean()) for v in (judged, judged_alone))
    if not loss < loss_alone:
        return replace(alone, loss=loss_alone, loss_alone=loss_alone)
    weights = greedy_weights(parts, np.unique(np.concatenate(folds)), losses, most=most)
    order = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i] > 0]
    return Blend(
        tuple(candidates[i] for i in order),
        tuple(float(weights[i]) for i in order),
        _mixed(parts, weights, np.arange(len(target))),
        loss,
        loss_alone,
        result.chosen,
    )


def _mixed(parts: Sequence[Array], weights: Array, rows: NDArray[np.int64]) -> Array:
    return np.asarray(sum(w * p[rows] for p, w in zip(parts, weights, strict=True) if w > 0))


def _sample(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(rows) <= _MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, _MOST_ROWS, replace=False))


def _out_of_fold(views: StudyViews, study: StudyRun) -> dict[int, Array]:
    """Return each configuration's out-of-fold outputs, averaged over seeds and repeats; NaN elsewhere."""
    totals: dict[int, Array] = {}
    counts: dict[int, Array] = {}
    n = len(views.target)
    for result, outcome in zip(study.result.members, study.outcomes, strict=True):
        member = result.member
        if not np.isfinite(study.result.scores_CK[member.configuration]).all():
            continue
        predicted = views.predictions(member.fold, outcome.validation_outputs.double().numpy())
        values = on_training_scale(views, predicted) if views.scales else predicted
        c, rows = member.configuration, views.folds[member.fold].validation
        if c not in totals:
            totals[c], counts[c] = np.zeros((n, *values.shape[1:])), np.zeros(n)
        totals[c][rows] += values
        counts[c][rows] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return {c: t / counts[c].reshape(-1, *([1] * (t.ndim - 1))) for c, t in totals.items()}


def on_training_scale(views: StudyViews, values: Array) -> Array:
    """Return values of a regression under the target's transform; class codes as they are."""
    if not views.scales:
        return np.asarray(values)
    scales = views.scales
    unit = replace(
        scales[0], mean=0.0, sd=1.0, low=min(s.low for s in scales), high=max(s.high for s in scales)
    )
    return unit.forward(values)
