"""What the callbacks share: one visit from a fit's start to its end. Knows no training library."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from soundfit.doctor.speak import verdict_text
from soundfit.records import Diagnosis

if TYPE_CHECKING:
    import torch

    from soundfit.doctor.visit import Visit

__all__ = ["Watching"]


class Watching:
    """A doctor that a training library starts and stops.

    Args:
        price: ``economy`` (few steps watched in full) or ``full``.
        seconds: soft limit for the examination when the fit ends.
        quiet: print no verdict on standard error.

    Attributes:
        visit: the last fit's visit; None before the first.
    """

    def __init__(self, *, price: str = "economy", seconds: float = 25.0, quiet: bool = False) -> None:
        super().__init__()
        self.price, self.seconds, self.quiet = price, seconds, quiet
        self.visit: Visit | None = None
        self._watches = False

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """What was found, worst first; empty before the fit has ended."""
        return self.visit.diagnoses if self.visit is not None else []

    @property
    def healthy(self) -> bool:
        """Whether nothing but notes was found; False before the fit has ended."""
        return self.visit is not None and self.visit.trace is not None and self.visit.healthy

    def begin(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Attach to torch; a second call during the same fit does nothing."""
        from soundfit.doctor.visit import doctor

        if not self._watches:
            self.visit = doctor(optimizer=optimizer, price=self.price, seconds=self.seconds).begin()
            self._watches = True

    def end(self) -> None:
        """Detach, examine and say what was found."""
        if self.visit is None or not self._watches:
            return
        self._watches = False
        self.visit.end()
        if not self.quiet:
            trained = self.visit.watch.backwards > 0
            print(verdict_text(self.visit.to_dict(), trained=trained), file=sys.stderr, flush=True)

    def drop(self) -> None:
        """Detach and examine nothing, as when a fit broke off."""
        if self.visit is not None and self._watches:
            self._watches = False
            self.visit.watch.detach()
