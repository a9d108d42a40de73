"""Training against generalisation error over the size of a net, on real house prices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundfit.lessons.learned import errors_at_the_end, training_errors_at_the_end
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import house_numbers
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant
from soundfit.study.cross_validation import cross_validate

__all__ = ["measure"]

WIDTHS = (1, 2, 4, 16, 64, 192)


def measure(
    seed: int = 0, *, widths: Sequence[int] = WIDTHS, rows: int = 200, epochs: int = 250, folds: int = 4
) -> Lesson:
    """Cross-validate nets of one hidden layer of growing width, with and without early stopping."""
    x, y = house_numbers(rows, seed=seed)
    result = cross_validate(
        lambda config: build(config, x.shape[1], 1),
        x,
        y,
        config=Config(depth=1, epochs=epochs, batch_size=50, learning_rate=0.03),
        grid={"width": widths},
        folds=folds,
        seeds=[2 * seed, 2 * seed + 1],
    )
    training, end = training_errors_at_the_end(result), errors_at_the_end(result)
    stopped = [float(v) for v in result.scores_CK.mean(1)]
    best, best_stopped = int(np.argmin(end)), int(np.argmin(stopped))
    last = len(widths) - 1
    gap_small, gap_large = end[0] / training[0] - 1, end[last] / training[last] - 1
    saved = [1 - s / e for s, e in zip(stopped, end, strict=True)]
    at = list(zip(widths, strict=True))
    return Lesson(
        "capacity",
        (
            say(
                "From {few} to {many} hidden units the training error goes from {start} to {end}; on "
                "validation rows it goes from {first} to {last}.",
                few=widths[0],
                many=widths[last],
                start=significant(training[0]),
                end=significant(training[last]),
                first=significant(end[0]),
                last=significant(end[last]),
            ),
            say(
                "Trained to the end, {best} hidden units generalise best ({error}); the largest net errs "
                "{worse} more there although it fits its own rows better: that capacity memorises.",
                best=widths[best],
                error=significant(end[best]),
                worse=percent(end[last] / end[best] - 1),
            )
            if best != last and training[last] < training[best] and end[last] > 1.02 * end[best]
            else say(
                "Trained to the end, the largest net generalises best ({error}) although it fits its own "
                "rows almost perfectly ({training}): the textbook's U does not show here.",
                error=significant(end[last]),
                training=significant(training[last]),
            )
            if best == last and training[last] < 0.1 * end[last]
            else say(
                "Trained to the end, {best} hidden units generalise best ({error}): more capacity did no "
                "harm here.",
                best=widths[best],
                error=significant(end[best]),
            ),
            say(
                "Early stopping on validation rows saves {share} of the largest net's error ({error}), and "
                "{best} hidden units are then best ({lowest}): when to stop is capacity too.",
                share=percent(saved[last]),
                error=significant(stopped[last]),
                best=widths[best_stopped],
                lowest=significant(stopped[best_stopped]),
            ),
        ),
        say(
            "{folds}-fold cross-validation of nets with one hidden layer on the numeric columns of {rows} "
            "houses, log10 of the price, {epochs} epochs; errors at the last epoch and at the best one.",
            folds=folds,
            rows=rows,
            epochs=epochs,
        ),
        (
            chart(
                "capacity",
                say("Error over capacity"),
                say(
                    "The distance between training and validation error is the price of capacity on so few "
                    "rows."
                ),
                [
                    Line(say("training error"), [(*w, v) for w, v in zip(at, training, strict=True)], "dash"),
                    Line(say("validation error at the end"), [(*w, v) for w, v in zip(at, end, strict=True)]),
                    Line(
                        say("validation error, stopped early"),
                        [(*w, v) for w, v in zip(at, stopped, strict=True)],
                    ),
                ],
                x=say("hidden units"),
                y=say("error of log10 price"),
                log_x=True,
                log_y=True,
            ),
        ),
        {
            "training_small": training[0],
            "training_large": training[last],
            "end_small": end[0],
            "end_large": end[last],
            "stopped_large": stopped[last],
            "gap_small": gap_small,
            "gap_large": gap_large,
            "best_width": widths[best],
        },
    )
