"""Race: the interface between a study that drops members at rungs and the bank that trains them.

A rung is an epoch after which all members of a call, whatever chunk they train in, wait for each other and
are compared; who loses leaves. How losers are found is the study's business. Knows no metrics.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

__all__ = ["Race", "Rungs", "Standing"]


@dataclass(frozen=True)
class Standing:
    """Where a member stands at a rung; ``at`` is its position in the call.

    ``validation_outputs`` (n, C) are those of its best checkpoint so far, on the host; meaningless while
    ``best_epoch`` is 0 (no evaluation yet, or none that was finite).
    """

    at: int
    status: str
    epochs: int
    best_epoch: int
    validation_outputs: Tensor


class Race(Protocol):
    """Rungs and the judge of who leaves at them. The judge depends on nothing but the standings."""

    @property
    def epochs(self) -> Sequence[int]:
        """The rungs' epochs, ascending."""

    @property
    def key(self) -> str:
        """Everything that the judgement depends on besides the standings."""

    def losers(self, epoch: int, standings: Sequence[Standing]) -> Collection[int]:
        """Return the positions that leave; ``standings`` has one entry per member, in order."""

    def record(self) -> Any:
        """Return what the judge has seen so far, JSON-ready."""

    def restore(self, record: Any) -> None:
        """Take up what was seen before an interruption."""


class Rungs:
    """Which members left at which rung, kept on disk beside the states of chunks where there are any.

    A chunk's state may be newer than its rung when a study is continued, so what was decided there is read
    back, never decided again.
    """

    def __init__(self, race: Race, path: Path | None) -> None:
        self.race, self.path = race, path
        self.left: dict[int, list[int]] = {}
        if path is not None and path.exists():
            record = json.loads(path.read_text())
            self.left = {int(epoch): those for epoch, those in record["left"].items()}
            race.restore(record["race"])

    def judge(self, epoch: int, standings: Sequence[Standing]) -> None:
        """Decide who leaves, and remember it before anybody trains on."""
        self.left[epoch] = sorted(self.race.losers(epoch, standings))
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(json.dumps({"left": self.left, "race": self.race.record()}))
            os.replace(partial, self.path)
