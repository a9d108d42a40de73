"""SequencePredictor: fold members of the chosen configuration, or of a blend, as one model on sequences.

Reads npz files, tables of arrays and long tables in the way of the training data. Knows no scores.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.artifact.on_device import device_of
from soundfit.data.sequence_layout import Layout, SequenceSource
from soundfit.data.sequence_source import read_sequences
from soundfit.data.target import TargetScale
from soundfit.errors import DataError
from soundfit.models.scan import CELLS
from soundfit.models.sequence import build_sequence_net
from soundfit.records import Config
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import with_temperature

__all__ = ["SequencePredictor", "build_sequence_predictor"]

_ELEMENTS_A_PASS = 4_000_000


@dataclass(frozen=True)
class SequencePredictor:
    """An ensemble of K members on sequences.

    Attributes:
        config: the chosen configuration.
        modules: K nets in evaluation mode, (B, T, F + 1) in.
        layout: how sequences lie in their source.
        n_steps: T of the training data; recurrent nets read any number, others are given their last T.
        scales: target scales, one per member; empty for classification.
        task, target, classes: as in the table.
        interval: of predictions, on the scale of training; None for classification.
        temperature: of class probabilities.
        configs: each member's configuration; empty where all have ``config``.
        weights: each member's share, summing to 1; empty for equal shares.
    """

    config: Config
    modules: tuple[nn.Module, ...]
    layout: Layout
    n_steps: int
    scales: tuple[TargetScale, ...]
    task: str
    target: str
    classes: tuple[Any, ...]
    interval: PredictionInterval | None = None
    temperature: float = 1.0
    configs: tuple[Config, ...] = ()
    weights: tuple[float, ...] = ()

    kind = "sequence"

    def read(self, source: str | os.PathLike[str] | pd.DataFrame) -> SequenceSource:
        """Return sequences as :meth:`predict` reads them.

        Raises:
            DataError: no such file, or it does not hold what the model reads.
        """
        given = source if isinstance(source, pd.DataFrame) else Path(source)
        return read_sequences(given, target=self.target, layout=self.layout)

    def outputs(self, sequences: SequenceSource | NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (N, C), or values (N,) in target units.

        Raises:
            DataError: the sequences have other channels than the model reads.
        """
        mean = self._mean(sequences)
        return mean if self.task == "classification" else self.unit.inverse(mean)

    def bounds(
        self, sequences: SequenceSource | NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return lower and upper bounds (N,) of the targets in their unit; None without an interval."""
        return self._bounds(self._mean(sequences)) if self.interval is not None else None

    def predict(self, source: str | os.PathLike[str] | pd.DataFrame | SequenceSource) -> pd.DataFrame:
        """Return one row per sequence, in the order of the source (of a long table: of first appearance).

        A long table's sequences are named in the first column; then ``prediction``, with ``low`` and
        ``high`` or with ``probability_<class>``.
        """
        batch = source if isinstance(source, SequenceSource) else self.read(source)
        columns: dict[str, Any] = {}
        if self.layout.form == "long":
            columns[self.layout.sequence[0]] = batch.about[self.layout.sequence[0]].to_numpy()
        if self.task == "regression":
            mean = self._mean(batch)
            columns["prediction"] = self.unit.inverse(mean)
            if self.interval is not None:
                columns["low"], columns["high"] = self._bounds(mean)
            return pd.DataFrame(columns)
        output = self.outputs(batch)
        labels = np.empty(len(self.classes), dtype=object)
        labels[:] = self.classes
        columns["prediction"] = labels[output.argmax(axis=1)] if len(output) else labels[:0]
        for c, label in enumerate(self.classes):
            columns[f"probability_{label}"] = output[:, c]
        return pd.DataFrame(columns).infer_objects()

    @property
    def shares(self) -> tuple[float, ...]:
        """Each member's share of the mean, summing to 1."""
        return self.weights or (1.0 / len(self.modules),) * len(self.modules)

    @property
    def any_length(self) -> bool:
        """Whether every member reads sequences of any number of steps."""
        return all(config.model in CELLS for config in self.configs or (self.config,))

    @property
    def unit(self) -> TargetScale:
        """The members' common scale: the transform alone."""
        scales = self.scales
        low, high = min(s.low for s in scales), max(s.high for s in scales)
        return TargetScale(scales[0].transform, 0.0, 1.0, low, high)

    def _bounds(self, mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert self.interval is not None
        low, high = self.interval.bounds(mean)
        return self.unit.inverse(low), self.unit.inverse(high)

    def _mean(self, sequences: SequenceSource | NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the members' mean: probabilities (N, C), or transformed values (N,)."""
        steps = self._checked(sequences.steps if isinstance(sequences, SequenceSource) else sequences)
        n_outputs = len(self.classes) if self.task == "classification" else 1
        mean = np.zeros((len(steps), n_outputs))
        configs = self.configs or (self.config,) * len(self.modules)
        rows = max(1, _ELEMENTS_A_PASS // max(max(steps.shape[1], self.n_steps) * steps.shape[2], 1))
        with torch.inference_mode():
            for start in range(0, len(steps), rows):
                whole = np.ascontiguousarray(steps[start : start + rows])
                device = device_of(self.modules[0])
                given = torch.from_numpy(whole).to(device)
                fitted = torch.from_numpy(_of_length(whole, self.n_steps)).to(device)
                for module, config, share in zip(self.modules, configs, self.shares, strict=True):
                    part = given if config.model in CELLS else fitted
                    mean[start : start + rows] += share * self._member(module(part).double().cpu())
        return mean if self.task == "classification" else mean[:, 0]

    def _member(self, outputs: torch.Tensor) -> NDArray[np.float64]:
        if self.task != "classification":
            values: NDArray[np.float64] = outputs.numpy()
            return values
        shares = torch.softmax(outputs, dim=1).numpy()
        return shares if self.temperature == 1.0 else with_temperature(shares, self.temperature)

    def _checked(self, steps: NDArray[np.float32]) -> NDArray[np.float32]:
        if steps.shape[2] - 1 != len(self.layout.channels):
            raise DataError(
                "New sequences have the channels of the training data",
                received=f"{steps.shape[2] - 1} instead of {len(self.layout.channels)}",
                fix=f"give them in this order: {', '.join(self.layout.channels[:12])}",
            )
        return steps


def _of_length(steps: NDArray[np.float32], n_steps: int) -> NDArray[np.float32]:
    """Return steps (N, T, F) of the length that nets of fixed size read: padded or cut in front."""
    longer = steps.shape[1] - n_steps
    if longer >= 0:
        return np.ascontiguousarray(steps[:, longer:])
    return np.pad(steps, ((0, 0), (-longer, 0), (0, 0)))


def build_sequence_predictor(
    config: Config,
    states: Sequence[dict[str, torch.Tensor]],
    *,
    layout: Layout,
    n_steps: int,
    missing: Sequence[int],
    scales: Sequence[TargetScale],
    task: str,
    target: str,
    classes: Sequence[Any],
    interval: PredictionInterval | None = None,
    temperature: float = 1.0,
    configs: Sequence[Config] = (),
    weights: Sequence[float] = (),
) -> SequencePredictor:
    """Build the members' nets and load their weights and statistics.

    ``configs`` are each member's own where they differ.

    Raises:
        RuntimeError: weights do not fit the architecture.
    """
    n_outputs = len(classes) if task == "classification" else 1
    n_channels = len(layout.channels)
    read = {"center": [0.0] * n_channels, "spread": [1.0] * n_channels, "missing": list(missing)}
    shapes = {id(own): own.with_(**read) for own in (config, *configs)}
    modules = []
    for state, own in zip(states, configs or (config,) * len(states), strict=True):
        module = build_sequence_net(shapes[id(own)], n_steps, n_outputs)
        module.load_state_dict(state)
        modules.append(module.eval().requires_grad_(False))
    return SequencePredictor(
        shapes[id(config)],
        tuple(modules),
        layout,
        n_steps,
        tuple(scales),
        task,
        target,
        tuple(classes),
        interval,
        temperature,
        tuple(shapes[id(own)] for own in configs),
        tuple(weights),
    )
