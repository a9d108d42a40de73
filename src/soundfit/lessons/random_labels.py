"""Capacity and VC dimension: how many points with labels at random a model can label as they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.models.complexity import vc_bounds
from soundfit.models.net import build, count_parameters
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import count, percent, significant

__all__ = ["measure", "separable_share"]

POINTS = (6, 9, 11, 14, 18, 22, 28, 36, 48)


def separable_share(points: int, dimensions: int) -> float:
    """Return the share of all labellings of points in general position that a hyperplane separates.

    Cover's counting theorem (1965): 2 Σ_{k=0}^{d} C(n-1, k) of the 2^n labellings.

    >>> separable_share(11, 10), separable_share(22, 10)
    (1.0, 0.5)
    """
    return sum(comb(points - 1, k) for k in range(dimensions + 1)) / 2 ** (points - 1)


def measure(
    seed: int = 0,
    *,
    points: Sequence[int] = POINTS,
    dimensions: int = 10,
    width: int = 32,
    draws: int = 12,
    epochs: int = 400,
) -> Lesson:
    """Train a linear classifier and an MLP on random labels and count the sets that they fit wholly."""
    rng = np.random.default_rng(seed)
    most = max(points)
    x = rng.normal(size=(draws, most, dimensions))
    labels = rng.integers(0, 2, size=(draws, most))
    base = Config(epochs=epochs, batch_size=most, learning_rate=0.1, schedule="constant")
    linear = base.with_(model="linear", depth=0, width=0)
    mlp = base.with_(model="mlp", depth=1, width=width, learning_rate=0.05)
    jobs = [(config, n, draw) for config in (linear, mlp) for n in points for draw in range(draws)]
    outcomes = train_members(
        lambda config: build(config, dimensions, 2),
        [config for config, _, _ in jobs],
        # Validation rows are the training rows: what counts is whether they are fitted.
        [MemberRows(draw, np.arange(n), np.arange(n), 0) for _, n, draw in jobs],
        BankData.of(x, labels),
        seeds=[seed * 1000 + draw for _, _, draw in jobs],
        loss="cross_entropy",
    )
    fitted = {"linear": dict.fromkeys(points, 0.0), "mlp": dict.fromkeys(points, 0.0)}
    for (config, n, draw), outcome in zip(jobs, outcomes, strict=True):
        answers = outcome.validation_outputs.argmax(1).numpy()
        fitted[config.model][n] += float((answers == labels[draw, :n]).all())
    fitted = {name: {n: hits / draws for n, hits in found.items()} for name, found in fitted.items()}
    theory = {n: separable_share(n, dimensions) for n in points}
    shattered = max((n for n in points if n <= dimensions + 1), default=min(points))
    parameters = count_parameters(build(mlp, dimensions, 2))
    lower, upper = vc_bounds(mlp, dimensions, parameters)
    return Lesson(
        "random-labels",
        (
            say(
                "A linear classifier of {d} inputs has VC dimension {vc}: of {draws} sets of {few} points "
                "with labels at random it fitted {share}, of sets of {many} points {left} (Cover's "
                "theorem: {theory}).",
                d=dimensions,
                vc=dimensions + 1,
                draws=draws,
                few=shattered,
                share=percent(fitted["linear"][shattered]),
                many=most,
                left=percent(fitted["linear"][most]),
                theory=percent(theory[most]),
            ),
            say(
                "A net of {width} hidden units fitted {share} of the sets of {many} points without a "
                "mistake, though their labels mean nothing: what it remembers there is no knowledge.",
                width=width,
                share=percent(fitted["mlp"][most]),
                many=most,
            )
            if fitted["mlp"][most] > 0
            else say(
                "A net of {width} hidden units fitted none of the sets of {many} points without a mistake "
                "in this training.",
                width=width,
                many=most,
            ),
            say(
                "It has {parameters} parameters; theory places its VC dimension between about {lower} and "
                "{upper}: too wide to choose a size by, so sizes are chosen on validation rows.",
                parameters=count(parameters),
                lower=significant(lower, 2),
                upper=significant(upper, 2),
            ),
        ),
        say(
            "{draws} draws of normal points in {d} dimensions and coin-flip labels; for each number of "
            "points a linear classifier and an MLP trained for {epochs} full-batch steps, {members} "
            "members in all; a set counts where every label is met.",
            draws=draws,
            d=dimensions,
            epochs=epochs,
            members=len(jobs),
        ),
        (
            chart(
                "random-labels",
                say("Share of random labellings fitted over the number of points"),
                say("Where a line leaves 100 %, that model can no longer label so many points at will."),
                [
                    Line(say("linear, trained"), list(fitted["linear"].items())),
                    Line(say("MLP, trained"), list(fitted["mlp"].items())),
                    Line(say("linear, Cover's theorem"), list(theory.items()), "dash"),
                ],
                x=say("points"),
                y=say("share of labellings fitted"),
                fraction=True,
            ),
        ),
        {
            "linear_at_vc": fitted["linear"][shattered],
            "linear_most": fitted["linear"][most],
            "mlp_most": fitted["mlp"][most],
            "largest_gap": max(abs(fitted["linear"][n] - theory[n]) for n in points),
        },
    )
