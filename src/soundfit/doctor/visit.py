"""A visit: watch one training from its start to its end, then examine it. Knows nothing of scripts or output."""

# ruff: noqa: E501

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import torch

from soundfit.doctor.examine import examine
from soundfit.doctor.lines import user_place
from soundfit.doctor.rules import diagnose, is_healthy
from soundfit.doctor.watch import Watch
from soundfit.records import Diagnosis, Trace

__all__ = ["Visit", "doctor"]


class Visit:
    """What the doctor found; filled when the ``with`` block ends.

    Attributes:
        diagnoses: worst first; empty while the visit lasts.
        healthy: whether nothing but notes was found.
        trace: everything that was recorded, None while the visit lasts.
    """

    def __init__(self, *, price: str = "economy", seconds: float = 25.0) -> None:
        self.watch = Watch(price=price)
        self.seconds = seconds
        self.diagnoses: list[Diagnosis] = []
        self.trace: Trace | None = None
        self._started = 0.0
        self.watched_seconds = 0.0

    @property
    def healthy(self) -> bool:
        """Whether nothing but notes was found."""
        return is_healthy(self.diagnoses)

    def begin(self) -> Visit:
        """Attach to torch."""
        self._started = time.perf_counter()
        self.watch.attach()
        return self

    def end(self) -> Visit:
        """Detach from torch and examine what was seen."""
        self.watched_seconds = time.perf_counter() - self._started
        self.watch.detach()
        self.trace = examine(self.watch, seconds=self.seconds)
        self.watch.loaders.clear()  # none of the script's data is held longer
        try:
            self.diagnoses = diagnose(self.trace)
        except Exception as error:
            self.watch.stumble(error)
        return self

    def __enter__(self) -> Visit:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.watch.detach()
            return
        self.end()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: ``healthy``, ``diagnoses``, ``repair`` (null) and ``overhead``."""
        return {
            "healthy": self.healthy,
            "diagnoses": [d.to_dict() for d in self.diagnoses],
            "repair": None,
            "overhead": round(self.watch.spent_seconds / max(self.watched_seconds, 1e-9), 5),
        }


def doctor(
    model: torch.nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    price: str = "economy",
    seconds: float = 25.0,
) -> Visit:
    """Watch the training inside a ``with`` block.

    Args:
        model: the model that trains; found by itself when it is called.
        optimizer: its optimiser; needed when it was built before the block.
        price: ``economy`` (few steps watched in full) or ``full``.
        seconds: soft limit for the examination at the end.

    Example:
        >>> import torch, soundfit.doctor as sd
        >>> model = torch.nn.Linear(3, 1); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with sd.doctor(model, optimizer) as visit:
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         torch.nn.functional.mse_loss(model(torch.ones(8, 3)), torch.ones(8, 1)).backward()
        ...         optimizer.step()
        >>> visit.trace.facts["steps"]
        3
    """
    visit = Visit(price=price, seconds=seconds)
    if optimizer is not None:
        visit.watch.add_optimiser(optimizer, user_place())
    del model
    return visit
