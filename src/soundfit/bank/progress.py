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
    ) -> NDArray[np.bool_]:
        """Record the evaluation of those of ``members`` that are due; return which improved."""
        improved = due & (np.nan_to_num(validation, nan=np.inf) < self.best_loss[members])
        winners = members[improved]
        self.best_loss[winners] = validation[improved]
        self.best_epoch[winners] = epoch
        self.training_at_best[winners] = training[improved]
        self.history.append((epoch, members[due], training[due], validation[due]))
        return improved

    def trace(self, member: int) -> Trace:
        """Return one member's trace over the evaluated epochs."""
        rows = []
        for epoch, members, training, validation in self.history:
            where = np.searchsorted(members, member)
            if where < len(members) and members[where] == member:
                rows.append((epoch, training[where], validation[where]))
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        events = tuple(e for e in self.events if e.member == member)
        series = {"training_loss": table[:, 1], "validation_loss": table[:, 2]}
        return Trace("epoch", table[:, 0], series, events=events)
