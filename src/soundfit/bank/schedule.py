"""Schedules: the learning rate's multiplier at each step, one column a member."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["SCHEDULES", "multiplier", "multiplier_table"]

SCHEDULES = ("constant", "cosine", "one-cycle", "coslog4", "range")


def multiplier(schedule: str, n_steps: int, warmup: float) -> NDArray[np.float64]:
    """Return the multiplier of the base learning rate at each of ``n_steps`` steps, shape (T,).

    ``constant``; ``cosine``: linear warm-up, then half a cosine to 0 (Loshchilov & Hutter 2017);
    ``one-cycle``: cosine up over the first 30 %, cosine down to 1e-4 (Smith 2018); ``coslog4``: four
    cosine cycles of growing length (Holzmüller et al. 2024, RealMLP); ``range``: exponential from 1e-6
    to 1 for a learning-rate range test (Smith 2017).

    Raises:
        ValueError: no schedule of that name.
    """
    at = (np.arange(n_steps) + 0.5) / n_steps
    if schedule == "constant":
        curve = np.ones(n_steps)
        return _warm(curve, warmup, n_steps)
    if schedule == "cosine":
        curve = 0.5 * (1.0 + np.cos(np.pi * at))
        return _warm(curve, warmup, n_steps)
    if schedule == "one-cycle":
        up = 0.04 + 0.96 * 0.5 * (1.0 - np.cos(np.pi * at / 0.3))
        down = 1e-4 + (1.0 - 1e-4) * 0.5 * (1.0 + np.cos(np.pi * (at - 0.3) / 0.7))
        return np.where(at < 0.3, up, down)
    if schedule == "coslog4":
        return 0.5 * (1.0 - np.cos(2.0 * np.pi * np.log2(1.0 + 15.0 * at)))
    if schedule == "range":
        return 10.0 ** (6.0 * at - 6.0)
    raise ValueError(f"a schedule is one of {SCHEDULES}, however: {schedule=}")


def _warm(curve: NDArray[np.float64], warmup: float, n_steps: int) -> NDArray[np.float64]:
    n_warm = int(warmup * n_steps)
    if n_warm == 0:
        return curve
    ramp = np.minimum((np.arange(n_steps) + 1) / n_warm, 1.0)
    return curve * ramp


def multiplier_table(specs: Sequence[tuple[str, int, float]]) -> NDArray[np.float32]:
    """Return multipliers (T, M) for members' ``(schedule, n_steps, warmup)``; 0 past a member's end."""
    longest = max(n for _, n, _ in specs)
    known: dict[tuple[str, int, float], NDArray[np.float64]] = {}
    table = np.zeros((longest, len(specs)), dtype=np.float32)
    for m, spec in enumerate(specs):
        if spec not in known:
            known[spec] = multiplier(*spec)
        table[: spec[1], m] = known[spec]
    return table
