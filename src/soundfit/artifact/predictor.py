"""Predictor: the chosen configuration's fold members as one model on raw columns.

Each member reads rows through its own fold's encoder; outputs are averaged (probabilities; values on
the scale of training, so geometrically under a logarithm). Knows no files and no scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.data.encoder import Encoder
from soundfit.data.target import TargetScale
from soundfit.models.net import build
from soundfit.records import Config

__all__ = ["Predictor", "build_predictor"]

_ROWS_A_PASS = 8192


@dataclass(frozen=True)
class Predictor:
    """An ensemble of K members.

    Attributes:
        config: the members' configuration.
        modules: K nets in evaluation mode.
        encoders: one per member.
        scales: target scales, one per member; empty for classification.
        task, target, classes: as in the table.
    """

    config: Config
    modules: tuple[nn.Module, ...]
    encoders: tuple[Encoder, ...]
    scales: tuple[TargetScale, ...]
    task: str
    target: str
    classes: tuple[Any, ...]

    def outputs(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return predictions (N,) in target units, or probabilities (N, C).

        Raises:
            DataError: a column that the model reads is not in the frame.
        """
        if len(frame) == 0:
            shape = (0, len(self.classes)) if self.task == "classification" else (0,)
            return np.zeros(shape)
        members = [self._member(k, frame) for k in range(len(self.modules))]
        mean = np.mean(members, axis=0)
        if self.task == "regression" and self._logarithmic:
            return np.asarray(np.exp(mean) if self.scales[0].transform == "log" else np.expm1(mean))
        return np.asarray(mean)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return one row per row of ``frame``, in its order: ``prediction`` and class probabilities."""
        output = self.outputs(frame)
        if self.task == "regression":
            return pd.DataFrame({"prediction": output})
        labels = np.empty(len(self.classes), dtype=object)
        labels[:] = self.classes
        columns: dict[str, Any] = {"prediction": labels[output.argmax(axis=1)]}
        for c, label in enumerate(self.classes):
            columns[f"probability_{label}"] = output[:, c]
        return pd.DataFrame(columns).infer_objects()

    @property
    def _logarithmic(self) -> bool:
        return bool(self.scales) and self.scales[0].transform != "identity"

    def _member(self, k: int, frame: pd.DataFrame) -> NDArray[np.float64]:
        inputs = torch.from_numpy(self.encoders[k].transform(frame))
        with torch.inference_mode():
            parts = [self.modules[k](part) for part in inputs.split(_ROWS_A_PASS)]
        outputs = torch.cat(parts).double()
        if self.task == "classification":
            return torch.softmax(outputs, dim=1).numpy()
        values = self.scales[k].inverse(outputs[:, 0].numpy())
        if not self._logarithmic:
            return values
        return np.asarray(np.log(values) if self.scales[k].transform == "log" else np.log1p(values))


def build_predictor(
    config: Config,
    states: Sequence[dict[str, torch.Tensor]],
    encoders: Sequence[Encoder],
    scales: Sequence[TargetScale],
    *,
    task: str,
    target: str,
    classes: Sequence[Any],
) -> Predictor:
    """Build the members' nets and load their weights.

    Raises:
        RuntimeError: weights do not fit the architecture.
    """
    n_outputs = len(classes) if task == "classification" else 1
    modules = []
    for state, encoder in zip(states, encoders, strict=True):
        module = build(config, len(encoder.feature_names), n_outputs)
        module.load_state_dict(state)
        modules.append(module.eval().requires_grad_(False))
    return Predictor(config, tuple(modules), tuple(encoders), tuple(scales), task, target, tuple(classes))
