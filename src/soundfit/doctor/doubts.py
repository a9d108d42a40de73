"""Where a score alone cannot tell, changes are tried in pairs on held-out rows: which, and when.

Knows recipes, rows and plain facts; knows no rule and no watch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from soundfit.doctor.attempts import dropped, is_unscaled
from soundfit.doctor.judge import far_off, shrinks
from soundfit.doctor.proof import folds, paired_gains
from soundfit.doctor.replay import Recipe, Replayed
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task
from soundfit.doctor.series import Recording, spent_early, still_falling
from soundfit.doctor.steps import lengthened
from soundfit.doctor.thinning import HARDLY_ANY, left, thinned

__all__ = ["doubtful", "is_starved", "learns_in_part"]

_FEW_ROWS = 300
"""Of fewer, more are left to learn from where a tenth is held out at a time."""

_FEWEST = 100
_MANY = 0.3  # of the parameters


def is_starved(facts: Mapping[str, Any]) -> bool:
    """Return whether dropouts or decay leave hardly anything: then a good score is no reason not to ask."""
    optimiser = facts.get("optimiser", {})
    by_slopes = str(optimiser.get("class")).startswith("Adam") and optimiser.get("class") != "AdamW"
    return left(dropped(facts)) <= HARDLY_ANY or (by_slopes and shrinks(optimiser))


def learns_in_part(facts: Mapping[str, Any]) -> bool:
    """Return whether a good part of the parameters gets gradients and no step."""
    optimiser = facts.get("optimiser", {})
    return optimiser.get("forgotten_elements", 0) > _MANY * (optimiser.get("total") or math.inf)


def doubtful(
    recipe: Recipe, task: Task, rows: Rows, facts: Mapping[str, Any], seen: Recording, deadline: float
) -> dict[str, Any]:
    """Return what changes gain for which there is a reason, over the same training without them.

    Args:
        recipe: how the script trained.
        task: what is predicted.
        rows: of the training.
        facts: of the examination so far (``input``, ``modules``, ``dropouts``, ``optimiser``, ``weights``).
        seen: what was recorded.
        deadline: in processor seconds.

    Returns:
        ``gains``: by change (``all-parameters``, ``fresh``, ``longer``, ``flat-rate``, ``scale-inputs``,
        ``no-dropout``, ``no-decay``, ``summed-over-columns``), see ``paired_gains``.
    """
    found: dict[str, dict[str, float]] = {}
    changes = _reasons(recipe, facts, seen) if len(rows) >= _FEWEST else {}
    longer = {"longer": {"longer": lengthened(recipe.steps)}} if still_falling(seen.loss) else {}
    if len(rows) >= _FEW_ROWS:
        changes |= longer
    four, known = folds(len(rows), 4), dict[int, Replayed | None]()
    for name, change in changes.items():  # one by one: time may end before they do
        found |= (
            paired_gains(recipe, task, rows, {name: change}, deadline=deadline, runs=four, known=known) or {}
        )
    if longer and 30 <= len(rows) < _FEW_ROWS:
        found |= paired_gains(recipe, task, rows, longer, deadline=deadline, runs=folds(len(rows))) or {}
    return {"gains": found}


def _reasons(recipe: Recipe, facts: Mapping[str, Any], seen: Recording) -> dict[str, dict[str, Any]]:
    """Return the changes that settings of the script give a reason for, the surest first."""
    asked = {
        "all-parameters": ({"all_parameters": True}, learns_in_part(facts)),
        "fresh": ({"fresh": True}, bool(far_off(facts["weights"]["matrices"]))),
        "flat-rate": ({"flat_rate": True}, spent_early(recipe.rates)),
        "no-dropout": ({"no_dropout": True}, thinned(dropped(facts))),
        "scale-inputs": ({"scale_inputs": True}, is_unscaled(facts.get("input", {}))),
        "summed-over-columns": (
            {"sound_loss": True},
            recipe.loss == "kl_div" and recipe.reduction == "mean" and facts["task"]["columns"] > 4,
        ),
        "no-decay": ({"no_decay": True}, shrinks(facts.get("optimiser", {}))),
    }
    return {name: change for name, (change, reason) in asked.items() if reason}
