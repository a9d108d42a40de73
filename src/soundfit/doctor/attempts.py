"""Which replays are worth their time: sound trainings of the script's model, and its own with one thing changed.

Knows a recipe and plain facts; runs nothing.
"""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.nn.modules.dropout import _DropoutNd

from soundfit.doctor.replay import Recipe
from soundfit.doctor.steps import lengthened
from soundfit.doctor.thinning import HARDLY_ANY, left, rates, thinned

__all__ = ["dropped", "is_unscaled", "single_changes", "sound_trainings"]

Changes = dict[str, dict[str, Any]]

_LARGE_BATCH, _USUAL_BATCH = 256, 64
"""A sound training of a few hundred steps has no larger ones: they take the time, and leave few steps."""


def sound_trainings(recipe: Recipe) -> Changes:
    """Return sound trainings of the script's own architecture, whatever its settings were."""
    longer = min(40.0, max(1.0, 600 / max(recipe.steps, 1)))
    # No sound training keeps a single dropout that leaves hardly anything.
    bare = any(left([m.p]) <= HARDLY_ANY for m in recipe.module.modules() if isinstance(m, _DropoutNd))
    shared = {"scale_inputs": True, "sound_loss": True, "fresh": True, "longer": longer, "scale_targets": True,
              "descend": True, "zero_gradients": True, "train_mode": True, "no_dropout": bare}  # fmt: skip
    if recipe.batch_size > _LARGE_BATCH:
        shared["batch_size"] = _USUAL_BATCH
    return {"sound-1e-3": {**shared, "adam": 1e-3}, "sound-1e-2": {**shared, "adam": 1e-2}}


def dropped(facts: Mapping[str, Any]) -> list[float]:
    """Return the rates of a script's dropouts."""
    return rates(facts.get("modules", {}).get("dropout", []), facts.get("dropouts", []))


def is_unscaled(inputs: Mapping[str, Any]) -> bool:
    """Return whether inputs are numbers far from unit scale."""
    off = max(inputs.get("rms", 1.0), inputs.get("column_std_max", 1.0), inputs.get("column_mean_max", 0.0))
    return inputs.get("kind", "float") == "float" and (off > 3 or inputs.get("rms", 1.0) < 0.1)


def single_changes(recipe: Recipe, facts: Mapping[str, Any], *, violent: bool = False) -> Changes:
    """Return the single changes that can matter, likeliest first: time may end before the list does.

    Args:
        recipe: how the script trained.
        facts: of the examination so far (``input``, ``target``, ``task``, ``modules``, ``optimiser``, ``mode``).
        violent: numbers grew or gradients were huge.
    """
    keep = {"zero_gradients": True} if recipe.keeps_gradients else {}
    inputs, mode = facts.get("input", {}), facts.get("mode", {})
    numbers = not facts["task"]["classification"]
    unscaled, drops = is_unscaled(inputs), dropped(facts)
    steps = recipe.rates
    scheduled = bool(steps) and (max(steps) > 1.05 * min(steps) or not 0.9 < max(steps) < 1.1)
    optimiser = facts.get("optimiser", {})
    odd_weights = any(
        m["constant"] or m["rows_equal"] or m["gain"] > 3 or m["gain"] < 0.2 or abs(m["mean"]) > 0.5
        for m in facts.get("weights", {}).get("matrices", [])
    )
    loss = facts.get("loss", {})
    fits = (loss.get("kind") == "cross_entropy" and facts["task"]["kind"] == "classes") or (
        loss.get("kind") == "mse_loss" and facts["task"]["kind"] == "regression"
    )
    plain_loss = fits and loss.get("activation") is None and loss.get("reduction") == "mean"
    # (name, change, how likely it is to be decisive; 0: it changes nothing here)
    table: list[tuple[str, dict[str, Any], float]] = [
        ("same", {}, 9.0),
        ("scale-inputs", {"scale_inputs": True}, 0 if inputs.get("kind") != "float" else 8 if unscaled else 1),
        ("no-dropout", {"no_dropout": True}, 0 if not drops or max(drops) <= 0 else 7 if thinned(drops) else 0.5),
        ("no-decay", {"no_decay": True}, 0 if not optimiser.get("weight_decay") else 7 if optimiser["weight_decay"] > 0.01 else 0.5),
        ("flat-rate", {"flat_rate": True}, 7 if scheduled else 0),
        ("all-parameters", {"all_parameters": True}, 7 if optimiser.get("frozen") or optimiser.get("forgotten") else 0),
        ("train-mode", {"train_mode": True}, 7 if mode.get("in_eval_mode") else 0),
        ("fresh", {"fresh": True}, 6.5 if odd_weights else 2),
        ("rate-down-10", {"rate": 0.1}, 6 if violent else 4.5),
        ("rate-down-100", {"rate": 0.01}, 5.9 if violent else 3),
        ("clip", {"clip": 1.0}, 5.8 if violent else 0.6),
        ("rate-up-10", {"rate": 10.0}, 1.5 if violent else 5),
        ("rate-up-100", {"rate": 100.0}, 0.4 if violent else 4),
        ("longer", {"longer": lengthened(recipe.steps)}, 3.5),
        ("sound-loss", {"sound_loss": True}, 0 if plain_loss or recipe.loss is None else 4.2),
        ("scale-targets", {"scale_targets": True}, 5.5 if numbers else 0),
        ("scale-both", {"scale_targets": True, "scale_inputs": True}, 5.4 if numbers and unscaled else 1 if numbers else 0),
        ("small-batch", {"batch_size": 32, "longer": max(1.0, recipe.batch_size / 32)}, 2.5 if recipe.batch_size > 64 else 0),
        ("large-batch", {"batch_size": 32}, 2.5 if recipe.batch_size <= 4 else 0),
    ]  # fmt: skip
    chosen = sorted((row for row in table if row[2] > 0), key=lambda row: -row[2])
    return {name: {**change, **(keep if change else {})} for name, change, _ in chosen}
