"""Optimism: by how much validation flatters nets whose checkpoint and configuration it chose.

Each member keeps the checkpoint of its least validation loss, so that loss is a minimum over epochs, and that
of the chosen configuration one over configurations too. What it would be had the other folds chosen is on
record (Tibshirani & Tibshirani 2009, equation 3). Of thousands of rows it is a percent, of a hundred a third,
and of pure noise in two dozen rows everything. Some is left: all folds together let poor configurations leave
early. Knows no files.

K folds, E epochs, N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from soundfit.records import StudyResult, Trace

__all__ = ["as_if_unseen", "optimism", "optimism_of_choice"]

Array = NDArray[np.float64]


def optimism(traces: Sequence[Trace]) -> float:
    """Return validation losses with epochs chosen by the other folds, over those with their own; 1 or more.

    Args:
        traces: of the members of one configuration, one a fold. 1 for fewer than two, or where nothing was
            chosen.
    """
    curves = _curves(dict(enumerate([trace] for trace in traces)))
    return _ratio([curves], curves) if len(traces) > 1 else 1.0


def optimism_of_choice(result: StudyResult) -> float:
    """Return the same for a study: configuration and epoch chosen by the other folds; 1 for one fold.

    Only configurations that were trained to their end on every fold could be chosen.
    """
    traces: dict[int, dict[int, list[Trace]]] = {}
    for one in result.members:
        c = one.member.configuration
        if not one.member.config.is_infinite and np.isfinite(result.scores_CK[c]).all():
            traces.setdefault(c, {}).setdefault(one.member.fold, []).append(one.trace)
    n_folds = result.scores_CK.shape[1]
    curves = {c: _curves(by_fold) for c, by_fold in traces.items() if len(by_fold) == n_folds}
    if n_folds < 2 or result.chosen not in curves:
        return 1.0
    return _ratio(list(curves.values()), curves[result.chosen])


def _curves(by_fold: Mapping[int, Sequence[Trace]]) -> Array:
    """Return validation losses (K, E) at the epochs that all members have, means over a fold's seeds."""
    every = [trace for traces in by_fold.values() for trace in traces]
    epochs = reduce(np.intersect1d, [trace.at for trace in every])
    losses_KE = np.stack(
        [np.mean([_at(trace, epochs) for trace in by_fold[fold]], axis=0) for fold in sorted(by_fold)]
    )
    return np.asarray(losses_KE[:, np.isfinite(losses_KE).all(axis=0)])


def _at(trace: Trace, epochs: NDArray[np.generic]) -> Array:
    losses = np.asarray(trace.series.get("validation_loss", np.full(len(trace.at), np.nan)), dtype=np.float64)
    return losses[np.isin(trace.at, epochs)]


def _ratio(candidates: Sequence[Array], chosen_KE: Array) -> float:
    """Return the loss by what other folds choose among candidates (K, E each), over the chosen one's own."""
    own = float(chosen_KE.min(axis=1).sum()) if chosen_KE.size else 0.0
    if not own > 0:
        return 1.0
    losses_KA = np.concatenate(candidates, axis=1)
    by_others_K = np.argmin(losses_KA.sum(axis=0) - losses_KA, axis=1)
    return max(float(losses_KA[np.arange(len(losses_KA)), by_others_K].sum()) / own, 1.0)


def as_if_unseen(outputs: Array, target: Array, ratio: float) -> Array:
    """Return out-of-fold values (N,) with a mean squared error ``ratio`` times as large.

    Args:
        outputs: NaN where a row was not validated.
        target: on the same scale.
        ratio: from :func:`optimism`; 1 changes nothing.
    """
    return np.asarray(target + (outputs - target) * np.sqrt(ratio))
