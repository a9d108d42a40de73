"""Optimism: by how much validation flatters nets whose checkpoint it chose.

Each member keeps the checkpoint of its least validation loss, so that loss is a minimum over epochs and too
good; of few rows by a third. What it would be had the other folds chosen the epoch is on record (Tibshirani &
Tibshirani 2009, equation 3). Knows no files.

K members of one configuration, one a fold; N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from soundfit.bank import Outcome

__all__ = ["as_if_unseen", "optimism"]

Array = NDArray[np.float64]

_TINY = 1e-7
_HALVINGS = 30


def optimism(outcomes: Sequence[Outcome]) -> float:
    """Return validation losses with epochs chosen by the other members, over those with their own; 1 or more.

    Args:
        outcomes: the members (K) of one configuration. 1 for fewer than two, or where nothing was chosen.
    """
    if len(outcomes) < 2:
        return 1.0
    epochs = reduce(np.intersect1d, [o.trace.at for o in outcomes])
    losses_KE = np.stack(
        [np.asarray(o.trace.series["validation_loss"])[np.isin(o.trace.at, epochs)] for o in outcomes]
    )
    known = np.isfinite(losses_KE).all(axis=0)
    losses_KE = losses_KE[:, known]
    own = losses_KE.min(axis=1).sum() if losses_KE.size else 0.0
    if not own > 0:
        return 1.0
    by_others_K = np.argmin(losses_KE.sum(axis=0) - losses_KE, axis=1)
    return float(max(losses_KE[np.arange(len(losses_KE)), by_others_K].sum() / own, 1.0))


def as_if_unseen(outputs: Array, target: Array, ratio: float, *, classes: bool) -> Array:
    """Return out-of-fold outputs with a mean loss ``ratio`` times as large: what unseen rows would get.

    Errors of values grow by its root; shares of classes are mixed with the frequencies of the classes.

    Args:
        outputs: (N,) values or (N, C) shares; NaN where a row was not validated.
        target: (N,) values on the same scale, or codes.
        ratio: from :func:`optimism`.
        classes: whether outputs are shares.
    """
    if ratio <= 1.0:
        return outputs
    if not classes:
        return np.asarray(target + (outputs - target) * np.sqrt(ratio))
    known = np.flatnonzero(np.isfinite(outputs[:, 0]))
    codes = target[known].astype(np.int64)
    frequencies = np.bincount(codes, minlength=outputs.shape[1]) / max(len(codes), 1)
    mine, others = outputs[known, codes], frequencies[codes]
    wanted = ratio * _surprise(mine)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2.0
        enough = _surprise((1.0 - share) * mine + share * others) >= wanted
        low, high = (low, share) if enough else (share, high)
    return np.asarray((1.0 - low) * outputs + low * frequencies)


def _surprise(shares: Array) -> float:
    return float(-np.log(np.maximum(shares, _TINY)).mean())
