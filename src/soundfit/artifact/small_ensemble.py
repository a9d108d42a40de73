"""SmallEnsemble: a predictor's mean for a few rows at a time, members of one architecture in one pass.

M members, B rows, F inputs, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.artifact.predictor import Predictor
from soundfit.artifact.stacked import stack_modules
from soundfit.study.temperature import with_temperature

__all__ = ["SmallEnsemble"]

Array = NDArray[np.float64]


class SmallEnsemble:
    """The fast twin of ``Predictor.mean``."""

    def __init__(self, predictor: Predictor) -> None:
        place = {id(encoder): i for i, encoder in enumerate(predictor.distinct_encoders)}
        groups: dict[str, list[int]] = {}
        for k, module in enumerate(predictor.modules):
            # The text of a module names its layers and sizes.
            groups.setdefault(repr(module), []).append(k)
        self.groups = [
            (
                [place[id(predictor.encoders[k])] for k in members],
                stack_modules([predictor.modules[k] for k in members]),
                _finish(predictor, members),
            )
            for members in groups.values()
        ]

    def mean(self, encoded: Sequence[NDArray[np.float32]]) -> Array:
        """Return what ``Predictor.mean`` returns."""
        total: Array | float = 0.0
        with torch.inference_mode():
            for reads, stacked, finish in self.groups:
                x_MBF = torch.from_numpy(np.stack([encoded[i] for i in reads]))
                total = total + finish(stacked(x_MBF).double().numpy())
        return np.asarray(total)


def _finish(predictor: Predictor, members: Sequence[int]) -> Callable[[Array], Array]:
    """Return a function of raw outputs (M, B, C): their share of the predictor's mean."""
    shares = np.array([predictor.shares[k] for k in members])
    if predictor.task == "classification":
        return lambda raw: np.tensordot(shares, _probabilities(raw, predictor.temperature), axes=1)
    scales = [predictor.scales[k] for k in members]
    sd, mean = (np.array([getattr(s, name) for s in scales])[:, None] for name in ("sd", "mean"))
    low, high = np.array([s.limits for s in scales]).T[:, :, None]

    def values(raw: Array) -> Array:
        with np.errstate(over="ignore"):
            transformed = raw[:, :, 0] * sd + mean
        return np.asarray(shares @ np.minimum(np.maximum(transformed, low), high))

    return values


def _probabilities(raw: Array, temperature: float) -> Array:
    with np.errstate(invalid="ignore"):
        exponential = np.exp(raw - raw.max(axis=2, keepdims=True))
        shares = exponential / exponential.sum(axis=2, keepdims=True)
    if temperature == 1.0:
        return np.asarray(shares)
    return with_temperature(shares.reshape(-1, raw.shape[2]), temperature).reshape(raw.shape)
