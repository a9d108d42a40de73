"""Memorising: what a net fits in fact, on labels that mean nothing, and how freely it follows its targets.

Two empirical measures beside the bounds of theory: how much of *random* targets a size fits (Zhang et al.
2017; the training share left is 1 for a model that fits none of it), and the effective degrees of freedom
of its training, by how much fitted values move with their own targets (Ye 1998; Efron 2004, eq. 2.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.bank import BankData, MemberRows, Outcome, train_members
from soundfit.models.net import build
from soundfit.records import Config

__all__ = ["Memorising", "memorising"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Memorising:
    """What one size does with noise.

    Attributes:
        fitted: share of the variance of random targets that it fits on its training rows, 0 to 1.
        degrees_of_freedom: n · that share of covariance: of a least-squares line on d columns, d.
        rows: n, the training rows of the measurement.
    """

    fitted: float
    degrees_of_freedom: float
    rows: int


def memorising(
    inputs: Array,
    configurations: Sequence[Config],
    *,
    seeds: Sequence[int] = (0, 1),
    device: torch.device | None = None,
) -> list[Memorising]:
    """Train each configuration on standard normal targets and see how much of them it fits.

    For targets that are noise of variance 1 around nothing, the sum of covariances between fitted values
    and targets *is* the effective number of parameters; each seed draws targets of its own, and the
    covariance is taken over rows and seeds.

    Args:
        inputs: (N, F), scaled.
        configurations: to measure; they train to their end, no early stop.
        seeds: draws of random targets.
        device: where to train.
    """
    n, n_inputs = inputs.shape
    targets_SN = np.stack([_noise(s, n) for s in seeds])
    data = BankData.of(np.stack([inputs] * len(seeds)), targets_SN[:, :, None].astype(np.float32))
    rows = np.arange(n)
    # Validation rows are the training rows: the outputs that come back are the fitted values.
    jobs = [(c, s) for c in range(len(configurations)) for s in range(len(seeds))]

    def make_module(config: Config) -> nn.Module:
        return build(config, n_inputs, 1)

    outcomes: list[Outcome] = train_members(
        make_module,
        [configurations[c].with_(patience=0) for c, _ in jobs],
        [MemberRows(s, rows, rows, s) for _, s in jobs],
        data,
        seeds=[seeds[s] for _, s in jobs],
        loss="mse",
        device=device,
    )
    found = []
    for c in range(len(configurations)):
        fitted_SN = np.stack(
            [
                o.validation_outputs[:, 0].double().numpy()
                for (i, _), o in zip(jobs, outcomes, strict=True)
                if i == c
            ]
        )
        residual = ((targets_SN - fitted_SN) ** 2).mean()
        covariance = (fitted_SN * targets_SN).mean()
        found.append(Memorising(float(np.clip(1.0 - residual, 0.0, 1.0)), float(n * covariance), n))
    return found


def _noise(seed: int, n: int) -> Array:
    values = np.random.default_rng([7, seed]).normal(size=n)
    return np.asarray((values - values.mean()) / values.std())
