"""k-fold cross-validation: bias and spread of its estimate for k = 2, 5, 10 and n."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import KFold

from soundfit.lessons.learned import error_at_the_end
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant
from soundfit.study.cross_validation import cross_validate

__all__ = ["measure"]


def measure(
    seed: int = 0,
    *,
    rows: int = 40,
    pool: int = 300,
    draws: int = 24,
    epochs: int = 120,
    counts: Sequence[int] = (2, 5, 10),
    columns: int = 8,
) -> Lesson:
    """Estimate a linear model's error from ``rows`` rows with each k, and compare with its error on the rest.

    All folds of all k and draws are the folds of one cross-validation, so they train as one bank.
    """
    drawn = np.random.default_rng(seed)
    x = drawn.normal(size=(pool, columns))
    y = x @ drawn.normal(size=columns) + drawn.normal(size=pool)
    ks = [*counts, rows]
    rng = np.random.default_rng(seed)
    folds: list[tuple[np.ndarray, np.ndarray]] = []
    place: list[tuple[int, int]] = []
    for draw in range(draws):
        order = rng.permutation(pool)
        mine, rest = order[:rows], order[rows:]
        folds.append((mine, rest))
        place.append((draw, 0))
        for k in ks:
            for train, validation in KFold(k, shuffle=True, random_state=draw).split(mine):
                folds.append((mine[train], mine[validation]))
                place.append((draw, k))
    result = cross_validate(
        lambda config: build(config, columns, 1),
        x,
        y,
        config=Config(model="linear", depth=0, width=0, epochs=epochs, batch_size=rows, learning_rate=0.05),
        folds=folds,
        seeds=[seed],
    )
    # Mean squares, as every row counts once whatever the size of its fold.
    end = np.array([error_at_the_end(found) ** 2 for found in result.members])
    picked = result.scores_CK[0] ** 2
    where = np.array(place)

    def over_draws(squares: np.ndarray, k: int) -> np.ndarray:
        return np.array([np.sqrt(squares[(where == (d, k)).all(1)].mean()) for d in range(draws)])

    truth = over_draws(end, 0)
    level = float(truth.mean())
    miss = {k: (over_draws(end, k) - truth) / level for k in ks}
    bias = {k: float(miss[k].mean()) for k in ks}
    spread = {k: float(miss[k].std(ddof=1)) for k in ks}
    flattered = {k: float((over_draws(picked, k) - truth).mean() / level) for k in ks}
    low, high = ks[0], ks[-1]
    steadiest = min(ks, key=lambda k: spread[k])
    ticks = {float(i): f"n = {k}" if k == rows else str(k) for i, k in enumerate(ks)}
    return Lesson(
        "k-fold",
        (
            say(
                "On average the estimate is {bias} off the true error with k = {low} and {other} with k = "
                "{high}, which leaves one row out: models of few folds train on fewer rows than the one "
                "they stand for.",
                low=low,
                bias=_signed(bias[low]),
                high=high,
                other=_signed(bias[high]),
            )
            if (miss[low] - miss[high]).mean() > 2 * (miss[low] - miss[high]).std(ddof=1) / np.sqrt(draws)
            else say(
                "On average the estimate is {bias} off the true error with k = {low} and {other} with k = "
                "{high}, which leaves one row out: the bias of few folds does not show here.",
                low=low,
                bias=_signed(bias[low]),
                high=high,
                other=_signed(bias[high]),
            ),
            say(
                "A single estimate misses by ± {first} (k = {low}), ± {last} (k = {high}); k = {best} is "
                "steadiest (± {least}). That leaving one out varies most is often said; here its spread is "
                "{ratio} times that of k = {ten}, at {cost} times the models.",
                first=percent(spread[low]),
                low=low,
                last=percent(spread[high]),
                high=high,
                best=steadiest,
                least=percent(spread[steadiest]),
                ratio=significant(spread[high] / spread[ks[-2]], 2),
                ten=ks[-2],
                cost=significant(high / ks[-2], 2),
            ),
            say(
                "Where each fold also picks the best epoch on its own validation rows, k = {high} comes "
                "out {share} off and k = {low} {other}: the fewer rows a fold has, the more the picking "
                "flatters.",
                high=high,
                share=_signed(flattered[high]),
                low=low,
                other=_signed(flattered[low]),
            )
            if flattered[high] - bias[high] < flattered[low] - bias[low]
            else say(
                "Where each fold also picks the best epoch on its own validation rows, k = {high} comes "
                "out {share} off and k = {low} {other}.",
                high=high,
                share=_signed(flattered[high]),
                low=low,
                other=_signed(flattered[low]),
            ),
        ),
        say(
            "{draws} draws of {rows} rows of y = w x + noise of 1 in {columns} dimensions; root mean "
            "squared error of a linear model after {epochs} epochs; the truth is that of the model trained "
            "on all {rows} rows on {rest} others; {members} models in one bank.",
            draws=draws,
            rows=rows,
            columns=columns,
            epochs=epochs,
            rest=pool - rows,
            members=f"{len(folds):,}",
        ),
        (
            chart(
                "k-fold",
                say("Bias and spread of the estimate over the number of folds"),
                say("A bar is one standard deviation of a single estimate around its mean; 0 is the truth."),
                [
                    Line(say("estimate less truth"), [(i, bias[k], spread[k]) for i, k in enumerate(ks)]),
                    Line(
                        say("the same, with the best epoch picked on the fold"),
                        [(i, flattered[k]) for i, k in enumerate(ks)],
                        "dash",
                    ),
                ],
                x=say("folds"),
                y=say("share of the true error"),
                ticks=ticks,
                fraction=True,
            ),
        ),
        {
            **{f"bias_{k}": bias[k] for k in ks},
            **{f"spread_{k}": spread[k] for k in ks},
            **{f"flattered_{k}": flattered[k] for k in ks},
            "truth": level,
            "members": len(folds),
        },
    )


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{percent(share)}"
