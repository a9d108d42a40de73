"""Progress: what each of a bank's members has reached so far, on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Event, Trace

__all__ = ["Progress"]

Array = NDArray[np.float64]


@dataclass
class Progress:
    """Best checkpoint, status and history of M members (original positions, whoever has left)."""

    best_loss: Array
    best_epoch: NDArray[np.int64]
    training_at_best: Array
    epochs: NDArray[np.int64]
    rollbacks: NDArray[np.int64]
    status: NDArray[np.str_]
    history: list[tuple[int, NDArray[np.int64], Array, Array]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _sorted: tuple[int, list[Array]] | None = None

    @classmethod
    def empty(cls, m: int) -> Progress:
        """Return the progress of m members before their first epoch."""
        zeros = np.zeros(m, dtype=np.int64)
        return cls(
            np.full(m, np.inf),
            zeros.copy(),
            np.full(m, np.nan),
            zeros.copy(),
            zeros.copy(),
            np.full(m, "training", dtype="U16"),
        )

    def training(self, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of ``members`` are still training."""
        training: NDArray[np.bool_] = self.status[members] == "training"
        return training

    def record(
        self,
        epoch: int,
        members: NDArray[np.int64],
        training: Array,
        validation: Array,
        due: NDArray[np.bool_],
        *,
        latest: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """Record the evaluation of those of ``members`` that are due; return whose state is to be kept.

        Those that improved, and of ``latest`` all that are finite.
        """
        improved = due & (np.nan_to_num(validation, nan=np.inf) < self.best_loss[members])
        if latest is not None:
            improved |= latest & np.isfinite(validation)
        winners = members[improved]
        self.best_loss[winners] = validation[improved]
        self.best_epoch[winners] = epoch
        self.training_at_best[winners] = training[improved]
        self.history.append((epoch, members[due], training[due], validation[due]))
        return improved

    def _tables(self) -> list[Array]:
        """Return each member's evaluations (epochs, 3): epoch, training and validation loss."""
        if not self.history:
            return [np.empty((0, 3)) for _ in self.status]
        if self._sorted is None or self._sorted[0] != len(self.history):
            columns = [
                np.concatenate(c) for c in zip(*((m, t, v) for _, m, t, v in self.history), strict=True)
            ]
            epochs = np.concatenate([np.full(len(m), e, dtype=np.float64) for e, m, _, _ in self.history])
            order = np.argsort(columns[0], kind="stable")
            table = np.stack([epochs, *columns[1:]], axis=1)[order]
            edges = np.searchsorted(columns[0][order], np.arange(1, len(self.status)))
            self._sorted = (len(self.history), np.split(table, edges))
        return self._sorted[1]

    def trace(self, member: int) -> Trace:
        """Return one member's trace over the evaluated epochs."""
        table = self._tables()[member]
        events = tuple(e for e in self.events if e.member == member)
        series = {"training_loss": table[:, 1], "validation_loss": table[:, 2]}
        return Trace("epoch", table[:, 0], series, events=events)
