"""The numbers that a watch gathers, and the Trace that they become. Knows no hook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from soundfit.records import Event, Trace

__all__ = ["Recording", "spent_early", "spent_share", "still_falling"]


@dataclass
class Recording:
    """Growing lists: one entry per optimiser step in ``steps``, sparse values by name and layer."""

    loss: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    sparse: dict[str, dict[int, float]] = field(default_factory=dict)
    layers: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, step: int, value: float) -> None:
        """Record a value of a run-wide series at a step."""
        self.sparse.setdefault(name, {})[step] = value

    def put_layer(self, layer: str, name: str, step: int, value: float) -> None:
        """Record a value of a layer's series at a step."""
        self.layers.setdefault(layer, {}).setdefault(name, {})[step] = value

    def event(self, kind: str, step: int, message: str, **detail: Any) -> None:
        """Record something that happened, the first time only."""
        if not any(e.kind == kind for e in self.events):
            self.events.append(Event(kind, step, message, detail=detail))

    def trace(self, facts: dict[str, Any]) -> Trace:
        """Return the Trace over steps 1 … n with every fact."""
        n = max(
            [len(self.loss), len(self.rate), *(max(s, default=0) for s in self.sparse.values())], default=0
        )
        series = {"training_loss": _padded(self.loss, n), "learning_rate": _padded(self.rate, n)}
        series |= {name: _spread(values, n) for name, values in self.sparse.items()}
        layers = {
            layer: {name: _spread(values, n) for name, values in found.items()}
            for layer, found in self.layers.items()
        }
        at = np.arange(1, n + 1, dtype=np.float64)
        return Trace("step", at, series, layers, tuple(self.events), {**self.facts, **facts})


def spent_share(rates: Sequence[float]) -> float:
    """Return the share of steps whose rate is below a hundredth of the largest."""
    found = np.asarray(rates, dtype=float)
    return float((found < 0.01 * found.max()).mean())


def spent_early(rates: Sequence[float]) -> bool:
    """Return whether rates are below a hundredth of their largest for more than half of the steps.

    >>> spent_early([1.0] * 10), spent_early([1.0, 0.1, *[0.001] * 8])
    (False, True)
    """
    return len(rates) >= 10 and max(rates) > 0 and spent_share(rates) > 0.5


def still_falling(values: Sequence[float]) -> bool:
    """Return whether a loss fell in the last third of a run by more than 15 % of its whole fall.

    >>> still_falling([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), still_falling([1.0, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2])
    (True, False)
    """
    loss = np.asarray(values, dtype=float)
    loss = loss[np.isfinite(loss)]
    width = max(1, len(loss) // 10)
    if len(loss) < 5:
        return False
    at = round(0.6 * len(loss))
    first, middle, last = (
        float(part.mean()) for part in (loss[:width], loss[at : at + width], loss[-width:])
    )
    return first > last and middle - last > 0.15 * (first - last)


def _padded(values: list[float], n: int) -> np.ndarray:
    out = np.full(n, np.nan)
    out[: min(n, len(values))] = values[:n]
    return out


def _spread(values: dict[int, float], n: int) -> np.ndarray:
    out = np.full(n, np.nan)
    for step, value in values.items():
        if 1 <= step <= n:
            out[step - 1] = value
    return out
