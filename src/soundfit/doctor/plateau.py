"""Schedulers that wait for a number to stop improving: which way is better for them, what they are handed.

Knows the scheduler's class and numbers; knows no rule.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from soundfit.records import Place

__all__ = ["Plateau", "hear_plateaus", "turned_mode"]

_MOST = 10_000  # numbers kept of one scheduler
_EARLY = 8  # the first eighth of them


@dataclass
class Plateau:
    """One scheduler's numbers.

    Attributes:
        mode: ``min`` or ``max``.
        place: where it was first stepped.
        numbers: what it was handed, in order.
        steps: of the training at that time.
    """

    mode: str
    place: Place
    numbers: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def facts(self, losses: Sequence[float]) -> dict[str, Any]:
        """Return the share of moves for the better by its mode, and how the training loss moved meanwhile."""
        numbers = [v for v in self.numbers if math.isfinite(v)]
        moves = [b - a for a, b in itertools.pairwise(numbers) if b != a]
        better = [m < 0 if self.mode == "min" else m > 0 for m in moves]
        best = (min if self.mode == "min" else max)(numbers, default=math.nan)
        best_first = bool(numbers) and numbers[0] == best
        early = [v for v in losses[: self.steps[0]] if math.isfinite(v)] if self.steps else []
        late = [v for v in losses[self.steps[-2] :] if math.isfinite(v)] if len(self.steps) > 1 else []
        fell = (
            sum(late) / len(late) / (sum(early) / len(early))
            if early and late and sum(early) > 0
            else math.nan
        )
        return {
            "mode": self.mode,
            "place": self.place,
            "n": len(numbers),
            "first": numbers[0] if numbers else math.nan,
            "last": numbers[-1] if numbers else math.nan,
            "better": sum(better) / len(moves) if moves else math.nan,
            "first_is_best": best_first,
            "best_is_early": bool(numbers) and numbers.index(best) <= len(numbers) // _EARLY,
            "early": numbers[:3],
            "loss_ratio": fell,
        }


def hear_plateaus(watch: Any, place_of: Callable[[], Place]) -> Callable[[Any], Any]:
    """Return what is put around ``ReduceLROnPlateau.step``: it notes what each scheduler is handed."""

    def around(original: Any) -> Any:
        @functools.wraps(original)
        def step(scheduler: Any, metrics: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                found = watch.plateaus.get(id(scheduler))
                if found is None:
                    found = watch.plateaus[id(scheduler)] = Plateau(str(scheduler.mode), place_of())
                if len(found.numbers) < _MOST:
                    found.numbers.append(float(metrics))
                    found.steps.append(int(watch.step))
            except Exception as error:
                watch.stumble(error)
            return original(scheduler, metrics, *args, **kwargs)

        return step

    return around


def turned_mode(original: Any) -> Any:
    """Return an ``__init__`` of such a scheduler that takes the other way for better."""

    @functools.wraps(original)
    def __init__(scheduler: Any, optimiser: Any, mode: str = "min", *args: Any, **kwargs: Any) -> None:
        original(scheduler, optimiser, "max" if mode == "min" else "min", *args, **kwargs)

    return __init__
