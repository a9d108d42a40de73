"""Trace: what was recorded while a model trained. Bank and doctor both write it; rules read only it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Event", "Trace"]

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """Something that happened once: a rollback, a non-finite value, an early stop.

    ``member`` is the position in the study (0 outside a bank); ``detail`` is JSON-ready.
    """

    kind: str
    step: int
    message: str
    member: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """Series over ``at`` (steps or epochs, from 1), by name.

    Usual names: ``training_loss``, ``validation_loss``, ``training_score``, ``validation_score``,
    ``learning_rate``, ``gradient_norm``, ``update_ratio``. ``layers`` maps a layer's name to series
    of its own (``gradient_norm``, ``activation_std``, ``zero_fraction``, …). All series have the
    length of ``at``; NaN where nothing was recorded.
    """

    unit: str
    at: Series
    series: Mapping[str, Series]
    layers: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
