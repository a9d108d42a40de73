"""Dropout: what it sets to zero, and what it and noise do to the error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from soundfit.lessons.learned import errors_at_the_end
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import house_numbers
from soundfit.models.dropout import CounterDropout
from soundfit.models.net import build
from soundfit.records import Config, StudyResult
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant
from soundfit.study.cross_validation import cross_validate

__all__ = ["measure", "zeros_under_dropout"]

RATES = (0.0, 0.15, 0.3, 0.5)
NOISES = (0.0, 0.15, 0.4, 0.8)


def zeros_under_dropout(rate: float, *, rows: int, width: int = 256, seed: int = 0) -> dict[str, float]:
    """Return which shares are exactly 0 in one training pass of a tanh net with dropout on its hidden layer.

    ``activations`` of the hidden layer, ``signals`` (the loss's gradient by the values dropped or kept) and
     ``gradients`` (by the weights, summed over the rows of the batch).
    """
    torch.manual_seed(seed)
    first, drop, last = nn.Linear(32, width), CounterDropout(rate, seed=seed), nn.Linear(width, 1)
    x, y = torch.randn(rows, 32), torch.randn(rows, 1)
    before = torch.tanh(first(x))
    before.retain_grad()
    hidden = drop(before)
    ((last(hidden) - y) ** 2).mean().backward()
    zero = {"activations": hidden, "signals": before.grad, "gradients": first.weight.grad}
    return {name: float((value == 0).float().mean()) for name, value in zero.items() if value is not None}


def measure(
    seed: int = 0,
    *,
    rows: int = 150,
    width: int = 128,
    epochs: int = 120,
    rates: Sequence[float] = RATES,
    noises: Sequence[float] = NOISES,
) -> Lesson:
    """Count zeros under dropout of one half, then cross-validate dropout and input noise on few houses."""
    rate = 0.5
    single = zeros_under_dropout(rate, rows=1, seed=seed)
    batch = zeros_under_dropout(rate, rows=64, seed=seed)
    x, y = house_numbers(rows, seed=seed)
    base = Config(width=width, depth=2, epochs=epochs, batch_size=32, learning_rate=0.03)

    def path(**grid: Sequence[float]) -> StudyResult:
        return cross_validate(
            lambda config: build(config, x.shape[1], 1), x, y, config=base, grid=grid, folds=5, seeds=[seed]
        )

    dropped, noisy = path(dropout=rates), path(input_noise=noises)
    drop_end, noise_end = errors_at_the_end(dropped), errors_at_the_end(noisy)
    plain = drop_end[0]
    best_drop, best_noise = int(np.argmin(drop_end)), int(np.argmin(noise_end))
    gain_drop = 1 - drop_end[best_drop] / plain
    gain_noise = 1 - noise_end[best_noise] / noise_end[0]
    return Lesson(
        "dropout",
        (
            say(
                "Dropout of {rate} set {activations} of the activations to 0, and with them the signals "
                "back through these units; yet of the gradients of the weights before it {gradients} were "
                "0 in a batch of 64 rows, for each row drops other units: no weight stops learning (with a "
                "single row {single} would).",
                rate=percent(rate),
                activations=percent(batch["activations"], 3),
                gradients=percent(batch["gradients"], 3),
                single=percent(single["gradients"], 3),
            ),
            say(
                "Trained to the end on {rows} houses, the validation error was lowest with dropout {best}: "
                "{gain} less than without.",
                rows=rows,
                best=significant(rates[best_drop]),
                gain=percent(gain_drop),
            )
            if best_drop
            else say(
                "Trained to the end on {rows} houses, no dropout rate beat none: the validation error was "
                "{plain} without and {most} at the highest rate.",
                rows=rows,
                plain=significant(plain),
                most=significant(drop_end[-1]),
            ),
            say(
                "Noise on the inputs restrains as well: with a standard deviation of {best} the error was "
                "{gain} lower than without.",
                best=significant(noises[best_noise]),
                gain=percent(gain_noise),
            )
            if best_noise
            else say("Noise on the inputs did not help here at any of its levels."),
        ),
        say(
            "Zeros counted in one training pass of a tanh net of 256 hidden units, which makes no zeros "
            "itself; then 5 folds of a net of 2 × {width} units on the numeric columns of {rows} houses, "
            "log10 of the price, error at the last of {epochs} epochs.",
            width=width,
            rows=rows,
            epochs=epochs,
        ),
        (
            chart(
                "dropout-path",
                say("Validation error over the strength of dropout and noise"),
                say(
                    "Both make the training rows harder to memorise; the lowest point of a line is its "
                    "best strength."
                ),
                [
                    Line(say("dropout"), list(zip(rates, drop_end, strict=True))),
                    Line(say("input noise"), list(zip(noises, noise_end, strict=True)), "dash"),
                ],
                x=say("dropout rate, or noise in standard deviations"),
                y=say("validation error of log10 price"),
            ),
        ),
        {
            "zero_activations": batch["activations"],
            "zero_gradients": batch["gradients"],
            "zero_gradients_single": single["gradients"],
            "zero_signals": batch["signals"],
            "gain_dropout": gain_drop,
            "gain_noise": gain_noise,
        },
    )
