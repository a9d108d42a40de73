"""Where a score alone cannot tell, changes are tried in pairs on held-out rows: which, and when.

Knows recipes and rows; knows no rule and no watch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundfit.doctor.judge import far_off
from soundfit.doctor.proof import folds, paired_gains
from soundfit.doctor.replay import Recipe
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task
from soundfit.doctor.series import Recording, spent_early, still_falling
from soundfit.doctor.steps import lengthened

__all__ = ["doubtful"]


def doubtful(
    recipe: Recipe,
    task: Task,
    rows: Rows,
    matrices: Sequence[Mapping[str, Any]],
    seen: Recording,
    deadline: float,
) -> dict[str, Any]:
    """Return what fresh first weights, more steps and a rate that stays gain, where there is such a doubt.

    Returns:
        ``start_gains``, ``length_gains`` and ``schedule_gains``: see ``paired_gains``.
    """
    found: dict[str, Any] = {}
    four: Any = [(seed, None) for seed in (3, 4, 5, 6)]
    if far_off(matrices) and len(rows) >= 100:
        fresh = {"fresh": {"fresh": True}}
        found["start_gains"] = paired_gains(recipe, task, rows, fresh, deadline=deadline, runs=four)
    if 30 <= len(rows) < 300 and still_falling(seen.loss):
        longer = {"longer": {"longer": lengthened(recipe.steps)}}
        ten = folds(len(rows))
        found["length_gains"] = paired_gains(recipe, task, rows, longer, deadline=deadline, runs=ten)
    if spent_early(recipe.rates) and len(rows) >= 100:
        flat = {"flat": {"flat_rate": True}}
        found["schedule_gains"] = paired_gains(recipe, task, rows, flat, deadline=deadline, runs=four)
    return found
