"""Which steps are looked at: in full, or for their rows. Knows numbers of steps and nothing else."""

from __future__ import annotations

__all__ = ["ACCUMULATED", "FULL", "full_steps", "lengthened", "mixed", "rows_due"]


def full_steps(limit: int = 10_000_000) -> frozenset[int]:
    """Return the steps that are watched in full: 1 … 4, then each half, later twice, as far again."""
    out, step = set(), 1
    while step < limit:
        out.add(step)
        step = max(step + 1, int(step * (1.5 if step < 12 else 2)))
    return frozenset(out)


def mixed(step: int) -> int:
    """Return a number that depends on the step alone and keeps no rhythm with epochs."""
    return (step * 0x9E3779B1 & 0xFFFFFFFF) >> 12


FULL = full_steps()
ACCUMULATED = 32  # backward passes since the last step, after which none is looked at in full
_ALL_ROWS = 128  # steps whose rows are all kept


def rows_due(step: int, stride: int) -> bool:
    """Return whether a step's rows are kept: all at first, then ever fewer."""
    if step < _ALL_ROWS:
        return step % stride == 0
    return mixed(step) % max(stride, 4 if step < 4 * _ALL_ROWS else 16) == 0


def lengthened(steps: float) -> float:
    """Return how many times as long a training of that many steps is tried: five, or what makes 300 steps.

    >>> lengthened(1000), lengthened(30)
    (5.0, 10.0)
    """
    return min(100.0, max(5.0, 300 / max(steps, 1)))
