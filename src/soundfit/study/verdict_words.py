"""Words of a verdict: its numbers as lines of evidence, and prescriptions with the figures to try."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from soundfit.records import Prescription, StudyResult
from soundfit.records.said import say
from soundfit.study.evidence import Evidence, Rival, capacity_points
from soundfit.study.solved import is_solved

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
        say(
            "Train for {epochs} epochs instead of {epochs2}, or at a learning rate of {rate:.2g} instead "
            "of {learning_rate:.2g}.",
            epochs=epochs,
            epochs2=c.epochs,
            rate=rate,
            learning_rate=c.learning_rate,
        ),
        change={"epochs": epochs, "learning_rate": rate},
    )
    width, depth = (4 * c.width, c.depth + 1) if c.depth else (64, 2)
    larger = Prescription(
        say(
            "Add capacity: a net of {layers} instead of {what}.",
            layers=_layers(depth, width),
            what=_layers(c.depth, c.width) if c.depth else say("a linear model"),
        ),
        change={"model": c.model if c.depth else "mlp", "width": width, "depth": depth},
    )
    looser = Prescription(
        say(
            "Restrain it less: weight decay {weight_decay:.2g} instead of {weight_decay2:.2g}",
            weight_decay=c.weight_decay / 10,
            weight_decay2=c.weight_decay,
        )
        + (
            say(
                " and dropout {dropout:.2g} instead of {dropout2:.2g}.",
                dropout=c.dropout / 2,
                dropout2=c.dropout,
            )
            if c.dropout
            else "."
        ),
        change={"weight_decay": c.weight_decay / 10, "dropout": c.dropout / 2},
    )
    first = (looser,) if c.weight_decay > 1.0 or c.dropout > 0.5 else ()
    if is_solved(c):
        return (*first, larger)
    order = (longer, larger) if e.drop > 0.05 and e.early > 0.9 else (larger, longer)
    return (*first, *order)


def more_restraint(e: Evidence) -> tuple[Prescription, ...]:
    c = e.config
    decay, dropout = max(10 * c.weight_decay, 0.1), min(c.dropout + 0.2, 0.5)
    said = say(
        "Restrain the model: weight decay {decay:.2g} instead of {weight_decay:.2g}",
        decay=decay,
        weight_decay=c.weight_decay,
    )
    change: dict[str, float] = {"weight_decay": decay}
    if c.depth:
        narrow = max(c.width // 4, 1)
        said += say(
            " and dropout {dropout:.2g} instead of {dropout2:.2g}, ", dropout=dropout, dropout2=c.dropout
        )
        said += say("or a width of {narrow} instead of {width}", narrow=narrow, width=c.width)
        change |= {"dropout": dropout, "width": narrow}
    return (
        Prescription(said + ".", change=change),
        Prescription(
            say("Show each picture in more ways (shifted, mirrored, partly erased), or add pictures.")
            if c.model in ("cnn", "resnet")
            else say("Drop columns that carry little")
            + (say(", or prefer the linear model.") if c.depth else ".")
        ),
        more_rows(e),
    )


def _layers(depth: int, width: int) -> str:
    if depth > 1:
        return say("{depth} hidden layers of {width} units", depth=depth, width=width)
    return say("{depth} hidden layer of {width} units", depth=depth, width=width)


def more_rows(e: Evidence) -> Prescription:
    if e.doubling is not None:
        gain, se = e.doubling
        low, high = max(gain - 2 * se, 0.0) / e.validation, max(gain + 2 * se, 0.0) / e.validation
        return Prescription(
            say(
                "Twice the rows would take about {share} of the validation loss ({share2} to {share3}, by "
                "the learning curve).",
                share=share(max(gain, 0.0) / e.validation),
                share2=share(low),
                share3=share(high),
            )
        )
    return Prescription(
        say(
            "More rows can close at most half of the gap: {share} of the validation loss.",
            share=share(max(e.gap, 0.0) / 2 / e.validation),
        )
    )


def named(rival: Rival | None, *, first: bool = False) -> str:
    """Return what to call another model; ``first`` where it opens a sentence."""
    names = {
        "linear": say("A ridge or logistic regression") if first else say("a ridge or logistic regression"),
        "boosted-trees": say("A boosted tree model") if first else say("a boosted tree model"),
        "neighbours": say("The mean of nearest neighbours")
        if first
        else say("the mean of nearest neighbours"),
    }
    if rival is None:
        return say("Another model") if first else say("another model")
    if rival.configuration < 0:
        return names.get(rival.name, rival.name)
    if first:
        return say("The smaller model {name}", name=rival.name)
    return say("the smaller model {name}", name=rival.name)


def share(value: float) -> str:
    if not math.isfinite(value):
        return say("an unknown share")
    return (
        say("{value:.0f} %", value=100.0 * value)
        if abs(value) >= 0.1
        else say("{value:.2g} %", value=100.0 * value)
    )


def numbers(result: StudyResult, e: Evidence, trivial_K: Array) -> _Words:
    name, chosen = result.metric, result.chosen
    training = float(result.training_scores_CK[chosen].mean())
    validation = float(result.scores_CK[chosen].mean())
    k = result.scores_CK.shape[1]
    se = float(result.scores_CK[chosen].std(ddof=1) / np.sqrt(k)) if k > 1 else 0.0
    lines = [
        say(
            "training {name} {training:.4g}, validation {name} {validation:.4g} (SE {se:.2g})",
            name=name,
            training=training,
            validation=validation,
            se=se,
        ),
        say(
            "trivial baseline {mean:.4g}: of its loss the model leaves {share} on training rows and "
            "{share2} on validation rows",
            mean=float(trivial_K.mean()),
            share=share(e.training),
            share2=share(e.validation),
        ),
    ]
    points = capacity_points(result)
    if len(points) > 1:
        curve = ", ".join(f"{p['parameters']:,}: {p['validation']:.4g}" for p in points)
        lines.append(say("best validation {name} by number of parameters: {curve}", name=name, curve=curve))
    return tuple(lines)


def other_models(e: Evidence) -> _Words:
    outside = [r for r in e.rivals if r.configuration < 0]
    lines = []
    if outside:
        said = ", ".join(f"{r.name} {share(r.share)}" for r in sorted(outside, key=lambda r: r.share))
        lines.append(
            say("share of the trivial loss that other models leave on validation rows: {said}", said=said)
        )
    if e.floor is not None:
        what = say("rows with equal features") if e.floor.equal else say("nearest neighbours")
        lines.append(
            say(
                "noise by {what} ({pairs:,} pairs): at most {share} of the target's variance",
                what=what,
                pairs=e.floor.pairs,
                share=share(e.floor.share),
            )
        )
    if e.doubling is not None:
        gain, se = (value / max(e.validation, 1e-12) for value in e.doubling)
        lines.append(
            say(
                "learning curve: twice the rows would take {share} of the validation loss (SE {share2})",
                share=share(gain),
                share2=share(se),
            )
        )
    return tuple(lines)
