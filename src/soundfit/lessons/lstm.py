"""LSTM against plain RNN: remembering the first of many steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.learned import accuracy_on
from soundfit.lessons.lesson import Lesson, chart, lines_of
from soundfit.models.memory import gradient_by_step
from soundfit.models.recurrent import RecurrentNet
from soundfit.models.sequence_input import SequenceInput
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant

__all__ = ["first_sign", "measure"]

LENGTHS = (10, 25, 50, 100)


def first_sign(rows: int, steps: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of noise (N, T, 2), values and presence, and each first value's sign (N,), 0 or 1."""
    values = np.random.default_rng([seed, steps]).normal(size=(rows, steps))
    return np.stack([values, np.ones_like(values)], axis=2), (values[:, 0] > 0).astype(np.int64)


def measure(
    seed: int = 0,
    *,
    lengths: Sequence[int] = LENGTHS,
    rows: int = 384,
    held_out: int = 500,
    width: int = 16,
    epochs: int = 20,
) -> Lesson:
    """Train both on sequences whose label is the sign of their first value, over their length.

    ``memory`` is an LSTM whose forget gates start with time scales up to the length of the sequences.
    """
    kinds = {"rnn": ("rnn", False), "lstm": ("lstm", False), "memory": ("lstm", True)}
    score: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    reach: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    for steps in lengths:
        x, y = first_sign(rows + held_out, steps, seed=seed)
        train, rest = np.arange(rows), np.arange(rows, rows + held_out)

        def make_module(config: Config, steps: int = steps) -> RecurrentNet:
            cell, spread = kinds[config["kind"]]
            inputs = SequenceInput([0.0], [1.0])
            return RecurrentNet(cell, inputs, 2, width=width, memory=steps if spread else 0)

        base = Config(epochs=epochs, batch_size=32, learning_rate=0.01, gradient_clip=1.0)
        outcomes = train_members(
            make_module,
            [base.with_(kind=kind) for kind in kinds],
            # Checkpoints are chosen on training rows: the rows that score have no say.
            [MemberRows(0, train, train, 0)] * len(kinds),
            BankData.of(x[None], y[None]),
            seeds=[seed] * len(kinds),
            loss="cross_entropy",
        )
        for kind, outcome in zip(kinds, outcomes, strict=True):
            score[kind][steps] = accuracy_on(outcome.module, x[rest], y[rest])
            torch.manual_seed(seed)
            net = make_module(base.with_(kind=kind)).eval()
            norms = gradient_by_step(net, torch.as_tensor(x[rest][:64], dtype=torch.float32), _first_output)
            reach[kind][steps] = float(norms[0] / norms[-1])
    short, long = min(lengths), max(lengths)
    names = {"rnn": say("RNN"), "lstm": say("LSTM"), "memory": say("LSTM, started with a long memory")}
    best, second, *_ = sorted(kinds, key=lambda kind: -score[kind][long])
    shares = {kind: percent(score[kind][long], 3) for kind in kinds}
    # Two standard errors of a difference of shares, at most.
    chance = 2.0 * (0.5 / held_out) ** 0.5
    return Lesson(
        "lstm",
        (
            say(
                "Before training, {rnn} of the gradient at the last of {steps} steps reaches the first one "
                "in a plain RNN, {lstm} in an LSTM and {memory} in one whose gates start with a long "
                "memory.",
                rnn=significant(reach["rnn"][long], 2),
                steps=long,
                lstm=significant(reach["lstm"][long], 2),
                memory=significant(reach["memory"][long], 2),
            ),
            say(
                "Asked for the sign of the first value, over {short} steps the RNN is right on {rnn} of "
                "unseen sequences and the LSTM on {lstm} (guessing: 50 %).",
                short=short,
                rnn=percent(score["rnn"][short], 3),
                lstm=percent(score["lstm"][short], 3),
            ),
            say(
                "Over {long} steps the RNN is right on {rnn}, the LSTM on {lstm} and the LSTM with a long "
                "memory on {memory}: {best} remembers best.",
                long=long,
                **shares,
                best=names[best],
            )
            if score[best][long] > 0.6 and score[best][long] - score[second][long] > chance
            else say(
                "Over {long} steps the RNN is right on {rnn}, the LSTM on {lstm} and the LSTM with a long "
                "memory on {memory}; the best two do not differ by more than chance.",
                long=long,
                **shares,
            )
            if score[best][long] > 0.6
            else say(
                "Over {long} steps none of them finds it in this training: {rnn}, {lstm} and {memory}.",
                long=long,
                **shares,
            ),
        ),
        say(
            "{rows} sequences of normal noise for each length, {width} units, {epochs} epochs, scored on "
            "{rest} others; gradients of the output by the state (for an LSTM cell and output) at each "
            "step.",
            rows=rows,
            width=width,
            epochs=epochs,
            rest=held_out,
        ),
        (
            chart(
                "lstm-accuracy",
                say("Accuracy over the length of the sequence"),
                say("The label is the sign of the first value; everything after it is noise."),
                lines_of(names, score),
                x=say("steps"),
                y=say("accuracy"),
                fraction=True,
            ),
            chart(
                "lstm-gradient",
                say("Gradient at the first step, relative to the last, over the length"),
                say("Measured before training: what the first step could be learnt from."),
                lines_of(names, reach),
                x=say("steps"),
                y=say("ratio of gradient norms"),
                log_y=True,
            ),
        ),
        {
            **{f"{kind}_short": score[kind][short] for kind in kinds},
            **{f"{kind}_long": score[kind][long] for kind in kinds},
            **{f"reach_{kind}": reach[kind][long] for kind in kinds},
        },
    )


def _first_output(outputs: Tensor) -> Tensor:
    return nn.functional.softplus(outputs[:, 0]).sum()
