"""Model: a predictor on rows of plain values: one row fast, and why. Knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.artifact.predictor import Predictor
from soundfit.artifact.small_ensemble import SmallEnsemble
from soundfit.data.one_row import RowEncoder
from soundfit.data.profile import ColumnProfile

__all__ = ["Reason", "ServedModel"]

_PAIRS, _MOST_ROWS = 12, 4_000

Encoded = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Reason:
    """How far one column moves a prediction from that of a typical row."""

    column: str
    effect: float
    error: float


class ServedModel:
    """A predictor with its columns."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.encoders = predictor.distinct_encoders
        self._ensemble = SmallEnsemble(predictor)
        self._encoder = RowEncoder(self.encoders)
        self.columns = predictor.profile or tuple(
            ColumnProfile(b.column, b.kind, b.levels[0] if b.levels else "", levels=b.levels)
            for b in self.encoders[0].layout.blocks
        )
        self.typical = {column.name: column.typical or None for column in self.columns}

    def encode(self, row: Mapping[str, Any]) -> Encoded:
        """Return the row as each encoder reads it, (1, F) each.

        Raises:
            DataError: naming the column that cannot be read.
        """
        return self._encoder.encode(row)

    def seconds_a_row(self) -> float:
        """Return how long a pass of one row takes here and now."""
        row = self.encode(self.typical)
        took = []
        for _ in range(9):
            start = time.perf_counter()
            self.answers([row])
            took.append(time.perf_counter() - start)
        return sorted(took)[len(took) // 2]

    def answers(self, rows: Sequence[Encoded]) -> list[dict[str, Any]]:
        """Return the predictions of encoded rows."""
        predictor = self.predictor
        mean = self._values(rows)
        if predictor.task == "classification":
            labels = [c.item() if isinstance(c, np.generic) else c for c in predictor.classes]
            return [
                {
                    "prediction": labels[int(shares.argmax())],
                    "probabilities": dict(zip(map(str, labels), shares.tolist(), strict=True)),
                }
                for shares in mean
            ]
        columns = {"prediction": predictor.in_target_units(mean)}
        if predictor.interval is not None:
            low, high = predictor.interval.bounds(mean)
            columns |= {"low": predictor.in_target_units(low), "high": predictor.in_target_units(high)}
        return [
            dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)
        ]

    def why(self, row: Encoded) -> tuple[list[Reason], float, float]:
        """Return reasons, the largest first, the value of a typical row, and this row's.

        Shapley values against one typical row (medians and most frequent values), by sampled orders in
        which columns change from typical to given, each order and its reverse (Štrumbelj & Kononenko 2014;
        baseline Shapley, Sundararajan & Najmi 2020). Effects sum to the difference of the two values; they
        are in the target's unit, or in the probability of the predicted class. ``error`` is the standard
        error of the sampling.
        """
        typical = self.encode(self.typical)
        names = [column.name for column in self.columns]
        target = int(self._values([row]).argmax()) if self.predictor.task == "classification" else 0
        pairs = int(np.clip(_MOST_ROWS // (2 * (len(names) + 1)), 2, _PAIRS))
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(names)) for _ in range(pairs)]
        orders = [o for order in orders for o in (order, order[::-1])]
        # is_given[o, s, c]: whether column c has its given value at step s of order o.
        steps = np.arange(len(names) + 1)
        is_given = np.stack([np.argsort(order)[None, :] < steps[:, None] for order in orders])
        flat = is_given.reshape(-1, len(names))
        mixed = []
        for encoder, x, reference in zip(self.encoders, row, typical, strict=True):
            of = np.array([names.index(source) for source in encoder.source_columns])
            mixed.append(np.where(flat[:, of], x, reference).astype(np.float32))
        values = self._of_target(mixed, target).reshape(len(orders), -1)
        effects = np.empty((len(orders), len(names)))
        for i, order in enumerate(orders):
            effects[i, order] = np.diff(values[i])
        paired = effects.reshape(pairs, 2, -1).mean(axis=1)
        error = paired.std(axis=0, ddof=1) / np.sqrt(pairs)
        reasons = [
            Reason(n, float(e), float(s)) for n, e, s in zip(names, paired.mean(axis=0), error, strict=True)
        ]
        return sorted(reasons, key=lambda r: -abs(r.effect)), float(values[0, 0]), float(values[0, -1])

    def _values(self, rows: Sequence[Encoded]) -> NDArray[np.float64]:
        return self._ensemble.mean([np.concatenate(parts) for parts in zip(*rows, strict=True)])

    def _of_target(self, encoded: Sequence[NDArray[np.float32]], target: int) -> NDArray[np.float64]:
        mean = self._ensemble.mean(encoded)
        return mean[:, target] if mean.ndim == 2 else self.predictor.in_target_units(mean)
