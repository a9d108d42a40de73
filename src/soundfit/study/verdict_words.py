"""Words of a verdict: its numbers as lines of evidence, and prescriptions with the figures to try."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Prescription, StudyResult
from soundfit.study.evidence import Evidence, Rival, capacity_points

__all__ = [
    "less_restraint_or_more_capacity",
    "more_restraint",
    "more_rows",
    "named",
    "numbers",
    "other_models",
    "share",
]

Array = NDArray[np.float64]
_Words = tuple[str, ...]


def less_restraint_or_more_capacity(e: Evidence) -> tuple[Prescription, ...]:
    c = e.config
    epochs, rate = 3 * c.epochs, 3.0 * c.learning_rate
    longer = Prescription(
        f"Train for {epochs} epochs instead of {c.epochs}, or at a learning rate of {rate:.2g} instead of "
        f"{c.learning_rate:.2g}.",
        change={"epochs": epochs, "learning_rate": rate},
    )
    width, depth = (4 * c.width, c.depth + 1) if c.depth else (64, 2)
    larger = Prescription(
        f"Add capacity: a net of {_layers(depth, width)} instead of "
        f"{_layers(c.depth, c.width) if c.depth else 'a linear model'}.",
        change={"model": c.model if c.depth else "mlp", "width": width, "depth": depth},
    )
    looser = Prescription(
        f"Restrain it less: weight decay {c.weight_decay / 10:.2g} instead of {c.weight_decay:.2g}"
        + (f" and dropout {c.dropout / 2:.2g} instead of {c.dropout:.2g}." if c.dropout else "."),
        change={"weight_decay": c.weight_decay / 10, "dropout": c.dropout / 2},
    )
    first = (looser,) if c.weight_decay > 1.0 or c.dropout > 0.5 else ()
    order = (longer, larger) if e.drop > 0.05 and e.early > 0.9 else (larger, longer)
    return (*first, *order)


def more_restraint(e: Evidence) -> tuple[Prescription, ...]:
    c = e.config
    decay, dropout = max(10 * c.weight_decay, 0.1), min(c.dropout + 0.2, 0.5)
    said = f"Restrain the model: weight decay {decay:.2g} instead of {c.weight_decay:.2g}"
    change: dict[str, float] = {"weight_decay": decay}
    if c.depth:
        narrow = max(c.width // 4, 1)
        said += f" and dropout {dropout:.2g} instead of {c.dropout:.2g}, "
        said += f"or a width of {narrow} instead of {c.width}"
        change |= {"dropout": dropout, "width": narrow}
    return (
        Prescription(said + ".", change=change),
        Prescription(
            "Show each picture in more ways (shifted, mirrored, partly erased), or add pictures."
            if c.model in ("cnn", "resnet")
            else "Drop columns that carry little" + (", or prefer the linear model." if c.depth else ".")
        ),
        more_rows(e),
    )


def _layers(depth: int, width: int) -> str:
    return f"{depth} hidden layer{'s' if depth > 1 else ''} of {width} units"


def more_rows(e: Evidence) -> Prescription:
    if e.doubling is not None:
        gain, se = e.doubling
        low, high = max(gain - 2 * se, 0.0) / e.validation, max(gain + 2 * se, 0.0) / e.validation
        return Prescription(
            f"Twice the rows would take about {share(max(gain, 0.0) / e.validation)} of the validation loss "
            f"({share(low)} to {share(high)}, by the learning curve)."
        )
    return Prescription(
        f"More rows can close at most half of the gap: {share(max(e.gap, 0.0) / 2 / e.validation)} of the "
        "validation loss."
    )


def named(rival: Rival | None) -> str:
    names = {
        "linear": "a ridge or logistic regression",
        "boosted-trees": "a boosted tree model",
        "neighbours": "the mean of nearest neighbours",
    }
    if rival is None:
        return "another model"
    return names.get(rival.name, rival.name) if rival.configuration < 0 else f"the smaller model {rival.name}"


def share(value: float) -> str:
    if not math.isfinite(value):
        return "an unknown share"
    return f"{100.0 * value:.0f} %" if abs(value) >= 0.1 else f"{100.0 * value:.2g} %"


def numbers(result: StudyResult, e: Evidence, trivial_K: Array) -> _Words:
    name, chosen = result.metric, result.chosen
    training = float(result.training_scores_CK[chosen].mean())
    validation = float(result.scores_CK[chosen].mean())
    k = result.scores_CK.shape[1]
    se = float(result.scores_CK[chosen].std(ddof=1) / np.sqrt(k)) if k > 1 else 0.0
    lines = [
        f"training {name} {training:.4g}, validation {name} {validation:.4g} (SE {se:.2g})",
        f"trivial baseline {float(trivial_K.mean()):.4g}: of its loss the model leaves {share(e.training)} "
        f"on training rows and {share(e.validation)} on validation rows",
    ]
    points = capacity_points(result)
    if len(points) > 1:
        curve = ", ".join(f"{p['parameters']:,}: {p['validation']:.4g}" for p in points)
        lines.append(f"best validation {name} by number of parameters: {curve}")
    return tuple(lines)


def other_models(e: Evidence) -> _Words:
    outside = [r for r in e.rivals if r.configuration < 0]
    lines = []
    if outside:
        said = ", ".join(f"{r.name} {share(r.share)}" for r in sorted(outside, key=lambda r: r.share))
        lines.append(f"share of the trivial loss that other models leave on validation rows: {said}")
    if e.floor is not None:
        what = "rows with equal features" if e.floor.equal else "nearest neighbours"
        lines.append(
            f"noise by {what} ({e.floor.pairs:,} pairs): at most {share(e.floor.share)} of the target's "
            "variance"
        )
    if e.doubling is not None:
        gain, se = (value / max(e.validation, 1e-12) for value in e.doubling)
        lines.append(
            f"learning curve: twice the rows would take {share(gain)} of the validation loss (SE {share(se)})"
        )
    return tuple(lines)
