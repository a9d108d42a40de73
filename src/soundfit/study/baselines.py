"""Baselines: what a model must beat. The mean or the class shares of the training rows, fold by fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundfit.study.views import StudyViews

__all__ = ["trivial_name", "trivial_scores"]


def trivial_name(views: StudyViews) -> str:
    """Return the trivial baseline's name: ``mean`` or ``majority``."""
    return "majority" if views.table.task == "classification" else "mean"


def trivial_scores(views: StudyViews) -> NDArray[np.float64]:
    """Return the score of predicting the training rows' mean (or class shares) on each fold, (K,).

    The mean is taken on the scale that models train on; class shares are the best constant
    probabilities, of which the majority class is the largest.
    """
    scores = []
    for k, fold in enumerate(views.folds):
        n = len(fold.validation)
        if views.table.task == "classification":
            counts = np.bincount(views.target[fold.train], minlength=views.n_outputs)
            shares = (counts + 1e-9) / (counts.sum() + 1e-9 * len(counts))
            output = np.broadcast_to(shares, (n, len(counts)))
        else:
            output = views.scales[k].inverse(np.zeros(n))
        scores.append(views.metric(views.target[fold.validation], output))
    return np.array(scores)
