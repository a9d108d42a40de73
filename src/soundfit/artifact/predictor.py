"""Predictor: trained members, of one configuration or several, as one model on raw columns.

Each member reads rows through its own fold's encoder; outputs are averaged by the members' weights
(probabilities; values on the scale of training, so geometrically under a logarithm). Knows no files
and no scores.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.data.encoder import Encoder
from soundfit.data.profile import ColumnProfile
from soundfit.data.source import read_frame
from soundfit.data.target import TargetScale
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import with_temperature

__all__ = ["Predictor", "bare_modules", "build_predictor"]

_ROWS_A_PASS = 8192
_LARGEST_EXPONENT = 709.0


@dataclass(frozen=True)
class Predictor:
    """An ensemble of K members.

    Attributes:
        config: the configuration that validation chose.
        modules: K nets in evaluation mode.
        encoders: one per member (members of one fold share theirs).
        scales: target scales, one per member; empty for classification.
        task, target, classes: as in the table.
        interval: of predictions, on the scale of training; None for classification.
        temperature: of class probabilities, member by member.
        configs: each member's own configuration.
        weights: each member's share of the mean; positive, summing to 1.
        profile: what the columns looked like in training; empty in older models.
    """

    config: Config
    modules: tuple[nn.Module, ...]
    encoders: tuple[Encoder, ...]
    scales: tuple[TargetScale, ...]
    task: str
    target: str
    classes: tuple[Any, ...]
    interval: PredictionInterval | None = None
    temperature: float = 1.0
    configs: tuple[Config, ...] = ()
    weights: tuple[float, ...] = ()
    profile: tuple[ColumnProfile, ...] = ()

    kind = "table"

    @staticmethod
    def read(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a table file or frame, as :meth:`predict` reads them.

        Raises:
            DataError: no such file, or not a table.
        """
        return read_frame(source)

    def outputs(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return predictions (N,) in target units, or probabilities (N, C).

        Raises:
            DataError: a column that the model reads is not in the frame.
        """
        if len(frame) == 0:
            shape = (0, len(self.classes)) if self.task == "classification" else (0,)
            return np.zeros(shape)
        mean = self._mean(frame)
        return mean if self.task == "classification" else self.in_target_units(mean)

    def bounds(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return lower and upper bounds (N,) of the targets in their unit; None without an interval."""
        if self.interval is None:
            return None
        if len(frame) == 0:
            return np.zeros(0), np.zeros(0)
        low, high = self.interval.bounds(self._mean(frame))
        return self.in_target_units(low), self.in_target_units(high)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each member's share of the mean, summing to 1."""
        return self.weights or (1.0 / len(self.modules),) * len(self.modules)

    def _mean(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        return self.mean([encoder.transform(frame) for encoder in self.distinct_encoders])

    @property
    def distinct_encoders(self) -> tuple[Encoder, ...]:
        """The encoders without repetition, in the order in which members first use them."""
        return tuple({id(encoder): encoder for encoder in self.encoders}.values())

    def mean(self, encoded: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return the members' mean of encoded rows: (N, C) probabilities, or (N,) on the scale of training.

        Args:
            encoded: for each of ``distinct_encoders`` its matrix (N, F).
        """
        read = {id(e): torch.from_numpy(x) for e, x in zip(self.distinct_encoders, encoded, strict=True)}
        total: NDArray[np.float64] | float = 0.0
        for k, (encoder, share) in enumerate(zip(self.encoders, self.shares, strict=True)):
            total = total + share * self._member(k, read[id(encoder)])
        return np.asarray(total)

    def in_target_units(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values on the scale of training in the target's unit."""
        if not self._logarithmic:
            return values
        bounded = np.minimum(values, _LARGEST_EXPONENT)
        return np.asarray(np.exp(bounded) if self.scales[0].transform == "log" else np.expm1(bounded))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return one row per row of ``frame``, in its order.

        ``prediction``, with ``low`` and ``high`` where there is an interval; for classes with their
        probabilities.
        """
        if self.task == "regression":
            return self._predict_values(frame)
        output = self.outputs(frame)
        labels = np.empty(len(self.classes), dtype=object)
        labels[:] = self.classes
        columns: dict[str, Any] = {"prediction": labels[output.argmax(axis=1)]}
        for c, label in enumerate(self.classes):
            columns[f"probability_{label}"] = output[:, c]
        return pd.DataFrame(columns).infer_objects()

    def _predict_values(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.interval is None or len(frame) == 0:
            output = self.outputs(frame)
            return pd.DataFrame(
                {"prediction": output} | ({} if self.interval is None else {"low": output, "high": output})
            )
        mean = self._mean(frame)
        low, high = self.interval.bounds(mean)
        values = {"prediction": mean, "low": low, "high": high}
        return pd.DataFrame({name: self.in_target_units(v) for name, v in values.items()})

    @property
    def _logarithmic(self) -> bool:
        return bool(self.scales) and self.scales[0].transform != "identity"

    def _member(self, k: int, inputs: torch.Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            parts = [self.modules[k](part) for part in inputs.split(_ROWS_A_PASS)]
        return self.from_outputs(k, torch.cat(parts))

    def from_outputs(self, k: int, raw: torch.Tensor) -> NDArray[np.float64]:
        """Return member k's outputs (N, C) as probabilities, or (N,) on the scale of training."""
        outputs = raw.double()
        if self.task == "classification":
            shares = torch.softmax(outputs, dim=1).numpy()
            return shares if self.temperature == 1.0 else with_temperature(shares, self.temperature)
        return self.scales[k].transformed(outputs[:, 0].numpy())


def bare_modules(configs: Sequence[Config], encoders: Sequence[Encoder], n_outputs: int) -> list[nn.Module]:
    """Return the members' nets without memory (on the meta device): only names, shapes and types.

    Raises:
        ValueError: no such model or activation, or the configuration doesn't fit the inputs.
    """
    with torch.device("meta"):
        return [
            build(config, len(encoder.feature_names), n_outputs)
            for config, encoder in zip(configs, encoders, strict=True)
        ]


def build_predictor(
    config: Config,
    states: Sequence[dict[str, torch.Tensor]],
    encoders: Sequence[Encoder],
    scales: Sequence[TargetScale],
    *,
    task: str,
    target: str,
    classes: Sequence[Any],
    interval: PredictionInterval | None = None,
    temperature: float = 1.0,
    configs: Sequence[Config] | None = None,
    weights: Sequence[float] | None = None,
    profile: Sequence[ColumnProfile] = (),
) -> Predictor:
    """Build the members' nets and load their states; without ``configs`` all are of ``config``.

    Raises:
        RuntimeError: a state does not fit the architecture.
    """
    n_outputs = len(classes) if task == "classification" else 1
    own = [config] * len(states) if configs is None else list(configs)
    shares = [1.0] * len(states) if weights is None else list(weights)
    modules = []
    for one, state, encoder in zip(own, states, encoders, strict=True):
        module = build(one, len(encoder.feature_names), n_outputs)
        module.load_state_dict(state)
        modules.append(module.eval().requires_grad_(False))
    return Predictor(
        config,
        tuple(modules),
        tuple(encoders),
        tuple(scales),
        task,
        target,
        tuple(classes),
        interval,
        temperature,
        tuple(own),
        tuple(w / sum(shares) for w in shares),
        tuple(profile),
    )
