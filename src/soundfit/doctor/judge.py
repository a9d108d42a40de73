"""What is usual (rates, ranges, first weights), and two numbers of a Trace: score got, score possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "ACTIVATION_RANGES",
    "HELD_SHARE",
    "PRODUCTS",
    "USUAL_RATES",
    "best_score",
    "far_off",
    "possible_score",
    "usual_rates",
    "weighs_classes",
]

USUAL_RATES = {  # rates within which a failure is more likely to have another cause
    "SGD": (1e-3, 0.6),
    "Adam": (1e-4, 2e-2),
    "AdamW": (1e-4, 2e-2),
    "NAdam": (1e-4, 2e-2),
    "RAdam": (1e-4, 2e-2),
    "RMSprop": (1e-4, 2e-2),
    "Adagrad": (1e-3, 0.5),
    "Adamax": (1e-4, 3e-2),
    "Adadelta": (0.05, 2.0),
    "LBFGS": (0.01, 2.0),
    "Rprop": (1e-4, 0.1),
    "ASGD": (1e-3, 0.5),
}
DEFAULT_RATES = (1e-4, 0.5)
ACTIVATION_RANGES = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "log_softmax": (-math.inf, 0.0),
}
# How torch calls it where numbers that were given weigh what a model made, and do not measure it.
PRODUCTS = ("mul", "__mul__", "__rmul__")


def far_off(matrices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the matrices that start far too large (gain 1 is sound), where they are a third or nearly."""
    large = [m for m in matrices if m["gain"] > 4.0 or abs(m["mean"]) > 1.0]
    return large if len(large) >= 0.3 * len(matrices) else []


def shrinks(optimiser: Mapping[str, Any]) -> bool:
    """Return whether an optimiser's weight decay may take more than noise.

    Decoupled decay stands beside the rate, any other beside the gradients.

    Args:
        optimiser: its facts (``class``, ``lr``, ``weight_decay``).
    """
    decay = float(optimiser.get("weight_decay") or 0.0)
    if optimiser.get("class") == "AdamW":
        return decay >= 0.1 and decay * float(optimiser.get("lr", 0.0)) >= 5e-4
    return decay >= 0.005


def usual_rates(optimiser: str, momentum: float = 0.0) -> tuple[float, float]:
    """Return the lowest and highest usual rate of an optimiser.

    Under momentum m a gradient that stays the same moves weights by rate / (1 - m) a step: more than 2 is
    unusual.
    """
    low, high = USUAL_RATES.get(optimiser, DEFAULT_RATES)
    if optimiser in ("SGD", "ASGD") and 0.0 < momentum < 1.0:
        high = min(high, 2.0 * (1.0 - momentum))
    return min(low, 0.1 * high), high


# Of the rows, so many are held out of what is fitted to them.
HELD_SHARE = 0.3


def weighs_classes(facts: Mapping[str, Any]) -> bool:
    """Return whether the loss weighs uneven classes: then the mean over classes is what was trained for."""
    shares = facts.get("target", {}).get("shares") or [0.0]
    both = facts.get("score", {}).get("evened"), facts.get("reference", {}).get("evened")
    known = all(b is not None and not math.isnan(b) for b in both)
    return bool(facts.get("loss", {}).get("weighted")) and known and max(shares) >= 0.6


def best_score(facts: Mapping[str, Any]) -> float:
    """Return the training's own score on training rows; on evaluation rows where that is missing or better.

    Rows trained on may be of an earlier task, or altered: what new rows show is what was learned.
    """
    found = facts.get("score", {})
    if weighs_classes(facts):
        return float(found["evened"])
    train, other = found.get("train", math.nan), found.get("evaluation", math.nan)
    if other > train and facts.get("evaluation", {}).get("rows", 0) >= 50:
        return float(other)
    for name in ("train", "evaluation", "evaluation_by_script"):
        value = found.get(name, math.nan)
        if not math.isnan(value):
            return float(value)
    return math.nan


def possible_score(facts: Mapping[str, Any]) -> float:
    """Return the best held-out score that anything sound reached on the training's rows."""
    kind = "evened" if weighs_classes(facts) else "held_out"
    values = [facts["reference"][kind]] if "reference" in facts else []
    values += [r.get(kind, math.nan) for k, r in facts.get("replays", {}).items() if k.startswith("sound-1e")]
    # Of an autoencoder that tells no more than the mean; far less is told in other units, in logits say.
    copied = facts.get("linear_copy", math.nan)
    wide = facts.get("task", {}).get("columns", 0) >= 8 and facts.get("trained_steps", 0) >= 100
    if wide and copied > 0.3 and -0.3 < best_score(facts) < 0.3 * copied:
        values.append(copied)
    values = [v for v in values if not math.isnan(v)]
    return max(values) if values else math.nan
