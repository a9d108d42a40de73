"""Learning curve: error over the number of training rows, and what twice the rows would bring.

Each fold's training rows are cut to nested random subsets; validation rows stay, so that points compare
fold by fold. The fold's encoder is the one of all its training rows: it reads no targets of validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from soundfit.bank import MemberRows, Outcome, train_members
from soundfit.metrics.scores import Metric
from soundfit.records import Config
from soundfit.study.evidence import ROOTS, standard_error
from soundfit.study.views import StudyViews

__all__ = ["LearningCurve", "extrapolate", "learning_curve_of", "nested_rows"]

Array = NDArray[np.float64]

FRACTIONS = (0.125, 0.25, 0.5)
# The exponents that a learning curve is seen to have in the long run (Viering & Loog 2023, "The shape of
# learning curves"): excess loss falls about as 1/n at best; steeper starts are of parts too small to go by.
EXPONENTS = np.linspace(0.2, 1.2, 21)


@dataclass(frozen=True)
class LearningCurve:
    """Scores at S sizes, smallest first, on K folds.

    Attributes:
        rows_S: mean number of training rows.
        training_SK, validation_SK: scores in the metric's unit.
        gain, se: expected fall of the validation loss from twice the rows, and its standard error (the
            loss of a root metric is its square).
    """

    rows_S: Array
    training_SK: Array
    validation_SK: Array
    gain: float
    se: float

    def points(self) -> list[dict[str, float | int]]:
        """Return the points of ``curves.learning``."""
        return [
            {
                "rows": round(float(rows)),
                "training": float(np.nanmean(training)),
                "validation": float(validation.mean()),
                "se": standard_error(validation),
            }
            for rows, training, validation in zip(
                self.rows_S, self.training_SK, self.validation_SK, strict=True
            )
        ]


def nested_rows(train: NDArray[np.int64], fraction: float, *, seed: int) -> NDArray[np.int64]:
    """Return a random part of the training rows; a smaller part lies within each larger one.

    >>> rows = np.arange(100)
    >>> few, many = nested_rows(rows, 0.1, seed=0), nested_rows(rows, 0.5, seed=0)
    >>> len(few), len(many), bool(np.isin(few, many).all())
    (10, 50, True)
    """
    order = np.random.default_rng([seed, len(train)]).permutation(train)
    return np.sort(order[: max(round(fraction * len(train)), 2)])


def learning_curve_of(
    views: StudyViews,
    config: Config,
    *,
    fractions: Sequence[float] = FRACTIONS,
    full: tuple[Array, Array] | None = None,
    seeds: Sequence[int] = (0,),
    stretch: float = 0.5,
    device: torch.device | None = None,
    on_epoch: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    train: Callable[..., list[Outcome]] = train_members,
) -> LearningCurve | None:
    """Train one configuration on parts of the training rows; None where training was stopped.

    Epochs grow with the root of the cut (``stretch`` ½), so that a small part is neither starved of steps
    nor costs as much as the whole.

    Args:
        views: of the table.
        config: the configuration to train.
        fractions: of each fold's training rows, below 1.
        full: training and validation scores (K,) on all training rows where they are known already;
            else 1 joins the fractions.
        seeds: scores are means over them.
        stretch: a part p trains for p^(−stretch) times the epochs.
        device: where to train.
        on_epoch, should_stop: as for the bank.
        train: stands in for :func:`soundfit.bank.train_members`.
    """
    parts = sorted({*fractions, *(() if full is not None else (1.0,))})
    jobs = [(part, seed, k) for part in parts for seed in seeds for k in range(len(views.folds))]
    configs = [
        views.member_config(config, k).with_(epochs=round(config.epochs * part**-stretch), patience=0)
        for part, _, k in jobs
    ]
    rows = [_member_rows(views, k, part, seed) for part, seed, k in jobs]

    outcomes = train(
        views.build,
        configs,
        rows,
        views.data,
        seeds=[seed * 1_000 + k for _, seed, k in jobs],
        loss=views.loss,
        device=device,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    if any(o.status in ("interrupted", "failed") for o in outcomes):
        return None
    shape = (len(parts), len(seeds), len(views.folds))
    scored = [_scores(views, k, o) for (_, _, k), o in zip(jobs, outcomes, strict=True)]
    training_SK, validation_SK = (np.reshape(values, shape).mean(1) for values in zip(*scored, strict=True))
    sizes = np.array([len(r.train) for r in rows], dtype=np.float64).reshape(shape).mean((1, 2))
    if full is not None:
        training_SK = np.vstack([training_SK, full[0]])
        validation_SK = np.vstack([validation_SK, full[1]])
        sizes = np.append(sizes, np.mean([len(f.train) for f in views.folds]))
    gain, se = extrapolate(sizes, _loss(views.metric, validation_SK))
    return LearningCurve(sizes, training_SK, validation_SK, gain, se)


def _member_rows(views: StudyViews, k: int, part: float, seed: int) -> MemberRows:
    fold = views.folds[k]
    train = fold.train if part >= 1.0 else nested_rows(fold.train, part, seed=seed * 1_000 + k)
    return views.member_rows(k, order_seed=seed, train=train)


def _scores(views: StudyViews, k: int, outcome: Outcome) -> tuple[float, float]:
    predicted = views.predictions(k, outcome.validation_outputs.double().numpy())
    score = views.metric(views.target[views.folds[k].validation], predicted)
    if not outcome.validation_loss > 0:
        return float("nan"), score
    if views.metric.name in ROOTS:
        return score * (outcome.training_loss / outcome.validation_loss) ** 0.5, score
    return outcome.training_loss, score


def _loss(metric: Metric, scores: Array) -> Array:
    return np.square(scores) if metric.name in ROOTS else scores


def extrapolate(rows_S: Array, loss_SK: Array) -> tuple[float, float]:
    """Return the fall of the loss that twice the largest number of rows would bring, and its SE.

    Fits loss = a + b · rows^(−c), a ≥ 0 and b ≥ 0, for each exponent c in :data:`EXPONENTS`, and weighs
    the exponents by how well they fit; the standard error joins the spread over exponents with a
    jackknife over folds (Efron & Tibshirani 1993, eq. 11.5).

    Args:
        rows_S: numbers of training rows, rising.
        loss_SK: losses at each size on each fold.
    """
    n_folds = loss_SK.shape[1]
    mean_S = loss_SK.mean(axis=1)
    # A point's own error, net of what makes a fold hard at every size.
    paired = loss_SK - loss_SK.mean(axis=0, keepdims=True)
    noise_S = paired.std(axis=1, ddof=1) / np.sqrt(n_folds) if n_folds > 1 else 0.02 * mean_S
    noise_S = np.maximum(noise_S, 0.01 * mean_S + 1e-12)
    gain, spread = _gain(rows_S, mean_S, noise_S)
    if n_folds < 2:
        return gain, float(np.hypot(spread, noise_S[-1]))
    left_out = [_gain(rows_S, np.delete(loss_SK, k, axis=1).mean(axis=1), noise_S)[0] for k in range(n_folds)]
    jackknife = np.sqrt((n_folds - 1) * np.var(left_out))
    return gain, float(np.hypot(spread, jackknife))


def _gain(rows_S: Array, loss_S: Array, noise_S: Array) -> tuple[float, float]:
    """Return the gain averaged over exponents by likelihood, and its spread."""
    relative = rows_S / rows_S[-1]
    gains, misfits = [], []
    for exponent in EXPONENTS:
        design = np.stack([np.ones_like(relative), relative**-exponent], axis=1)
        (_, b), misfit = nnls(design / noise_S[:, None], loss_S / noise_S)
        gains.append(b * (1.0 - 2.0**-exponent))
        misfits.append(misfit**2)
    weights = np.exp(-0.5 * (np.array(misfits) - min(misfits)))
    weights /= weights.sum()
    mean = float(weights @ gains)
    return mean, float(np.sqrt(weights @ np.square(np.array(gains) - mean)))
