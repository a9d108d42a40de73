"""Weight decay in 200 dimensions with 20 samples: what it shrinks, and what it does not remove."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.models.net import Linear
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import significant

__all__ = ["measure"]

DECAYS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)


def measure(
    seed: int = 0,
    *,
    decays: Sequence[float] = DECAYS,
    dimensions: int = 200,
    rows: int = 20,
    draws: int = 10,
    epochs: int = 600,
) -> Lesson:
    """Fit linear models with more weights than rows under several decays, from two starting points."""
    rng = np.random.default_rng(seed)
    truth = 0.01 * np.ones(dimensions)
    x = rng.normal(size=(draws, rows, dimensions))
    y = 0.05 + x @ truth + 0.01 * rng.normal(size=(draws, rows))
    x_test = rng.normal(size=(2000, dimensions))
    y_test = 0.05 + x_test @ truth + 0.01 * rng.normal(size=2000)
    base = Config(learning_rate=0.01, epochs=epochs, batch_size=rows, optimizer="sgd", momentum=0.9)
    jobs = [(start, decay, d) for start in ("random", "zero") for decay in decays for d in range(draws)]

    def make_module(config: Config) -> nn.Module:
        net = Linear(dimensions, 1)
        if config["start"] == "random":
            nn.init.normal_(net.output.weight)
        return net

    everything = np.arange(rows)
    outcomes = train_members(
        make_module,
        [base.with_(weight_decay=decay, start=start) for start, decay, _ in jobs],
        [MemberRows(d, everything, everything, 0) for _, _, d in jobs],
        BankData.of(x, y[:, :, None]),
        seeds=[seed * 1000 + d for _, _, d in jobs],
    )
    fresh = torch.as_tensor(x_test, dtype=torch.float32)
    training, test, norm, zeros = np.zeros((4, len(jobs)))
    for i, outcome in enumerate(outcomes):
        weight = outcome.module.get_parameter("output.weight").detach()
        with torch.no_grad():
            missed = outcome.module(fresh)[:, 0].double().numpy() - y_test
        training[i], test[i] = outcome.training_loss**0.5, np.sqrt(np.mean(missed**2))
        norm[i], zeros[i] = float(weight.norm()), int((weight == 0).sum())
    shape = (2, len(decays), draws)
    (train_random, _), (test_random, test_zero), (norm_random, _) = (
        values.reshape(shape).mean(2) for values in (training, test, norm)
    )
    removed = int(zeros.reshape(shape)[:, np.array(decays) > 0].sum())
    under_decay = 2 * draws * dimensions * sum(d > 0 for d in decays)
    best = int(np.argmin(test_random))
    return Lesson(
        "weight-decay",
        (
            say(
                "With {dimensions} weights, started at random, for {rows} rows and no decay, the model errs "
                "{training} on its training rows and {test} on fresh ones: the rows say nothing about most "
                "directions, and there the random start stays.",
                dimensions=dimensions,
                rows=rows,
                training=significant(train_random[0], 2),
                test=significant(test_random[0]),
            ),
            say(
                "A decay of {best} brings that to {test} and the length of the weights from {long} to "
                "{short}; a model that starts at 0 errs {zero} without any decay: here decay cures the "
                "start, not the data.",
                best=significant(decays[best]),
                test=significant(test_random[best]),
                long=significant(norm_random[0]),
                short=significant(norm_random[best]),
                zero=significant(test_zero[0]),
            )
            if test_zero[0] < 1.1 * test_random[best]
            else say(
                "A decay of {best} brings that to {test} and the length of the weights from {long} to "
                "{short}; a model that starts at 0 errs {zero} without any decay, so decay restrains the "
                "fit as well.",
                best=significant(decays[best]),
                test=significant(test_random[best]),
                long=significant(norm_random[0]),
                short=significant(norm_random[best]),
                zero=significant(test_zero[0]),
            ),
            say(
                "Weight decay shrinks weights in proportion and does not remove edges: of {all} weights "
                "under decay, {removed} ended at exactly 0.",
                all=f"{under_decay:,}",
                removed=f"{removed:,}",
            )
            if removed < 0.01 * under_decay
            else say(
                "Of {all} weights under decay, {removed} ended at exactly 0.",
                all=f"{under_decay:,}",
                removed=f"{removed:,}",
            ),
        ),
        say(
            "y = 0.05 + Σ 0.01 x + noise of 0.01 (Dive into Deep Learning, weight decay); {draws} draws of "
            "{rows} rows, {epochs} full-batch steps each, all decays and both starts in one bank; scored "
            "on 2,000 fresh rows.",
            draws=draws,
            rows=rows,
            epochs=epochs,
        ),
        (
            chart(
                "weight-decay",
                say("Error over weight decay"),
                say(
                    "The same rows and decays from two starting points: random weights of size 1, and "
                    "weights of 0."
                ),
                [
                    Line(say("training error"), list(enumerate(train_random)), "dash"),
                    Line(say("generalisation error"), list(enumerate(test_random))),
                    Line(say("generalisation error, started at 0"), list(enumerate(test_zero))),
                    Line(say("length of the weights"), list(enumerate(norm_random)), "dash"),
                ],
                x=say("weight decay"),
                y=say("root mean squared error, length"),
                ticks={float(i): significant(d) for i, d in enumerate(decays)},
                log_y=True,
            ),
        ),
        {
            "training_0": float(train_random[0]),
            "test_0": float(test_random[0]),
            "test_best": float(test_random[best]),
            "best": float(decays[best]),
            "test_from_zero": float(test_zero[0]),
            "zeros": float(removed),
            "norm_0": float(norm_random[0]),
            "norm_last": float(norm_random[-1]),
        },
    )
