"""Initialisation scale: how far a signal gets through twenty layers, and what training makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.learned import accuracy_on
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import digits
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant

__all__ = ["measure", "scaled_net"]

SCALES = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)


def scaled_net(depth: int, width: int, scale: float) -> nn.Sequential:
    """Return a ReLU net for digits; weights start at ``scale`` times He's deviation √(2 / fan-in)."""
    layers: list[nn.Module] = []
    for level in range(depth):
        linear = nn.Linear(64 if level == 0 else width, width)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        with torch.no_grad():
            linear.weight.mul_(scale)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def measure(
    seed: int = 0,
    *,
    scales: Sequence[float] = SCALES,
    depth: int = 20,
    width: int = 48,
    rows: int = 1000,
    epochs: int = 5,
    draws: int = 2,
) -> Lesson:
    """Measure activations at the start and accuracy on unseen digits after training, over the scale."""
    pictures, labels = digits()
    order = np.random.default_rng(seed).permutation(len(pictures))
    train, rest = order[:rows], order[rows:]
    x = torch.as_tensor(pictures, dtype=torch.float32)
    spread = {s: [] for s in scales}  # type: dict[float, list[float]]
    for scale in scales:
        for draw in range(draws):
            torch.manual_seed(seed * 1000 + draw)
            net = scaled_net(depth, width, scale)
            with torch.no_grad():
                hidden = net[: 2 * depth](x[:256])
            spread[scale].append(float(torch.log10(hidden.pow(2).mean().sqrt().clamp_min(1e-30))))
    jobs = [(s, draw) for s in scales for draw in range(draws)]
    base = Config(epochs=epochs, batch_size=32, learning_rate=1e-3)
    outcomes = train_members(
        lambda config: scaled_net(depth, width, config["scale"]),
        [base.with_(scale=s) for s, _ in jobs],
        # Checkpoints are chosen on training rows: the digits that score have no say.
        [MemberRows(0, train, train, draw) for _, draw in jobs],
        BankData.of(pictures[None], labels[None]),
        seeds=[seed * 1000 + draw for _, draw in jobs],
        loss="cross_entropy",
    )
    scores = {s: [] for s in scales}  # type: dict[float, list[float]]
    for (scale, _), outcome in zip(jobs, outcomes, strict=True):
        hit = accuracy_on(outcome.module, pictures[rest], labels[rest])
        # A net without numbers guesses.
        scores[scale].append(hit if np.isfinite(hit) else 0.1)
    size = {s: float(np.mean(v)) for s, v in spread.items()}
    hits = {s: float(np.mean(v)) for s, v in scores.items()}
    low, high, best = min(scales), max(scales), max(scales, key=lambda s: hits[s])
    per_layer = (size[low] - size[1.0]) / depth if 1.0 in size else float("nan")
    return Lesson(
        "initialisation",
        (
            say(
                "At {low} times He's scale an input leaves {depth} ReLU layers with a size of 10^{small}, "
                "at {high} times with 10^{large}: the scale is taken to the power of the depth.",
                low=significant(low),
                depth=depth,
                small=significant(size[low], 2),
                high=significant(high),
                large=significant(size[high], 2),
            ),
            say(
                "After the same {epochs} epochs the net is right on {bottom} of unseen digits from the "
                "smallest start and on {top} from the largest (guessing: 10 %).",
                epochs=epochs,
                bottom=percent(hits[low]),
                top=percent(hits[high]),
            ),
            say(
                "Of these starts He's own is the best: right on {score}.",
                score=percent(hits[best], 3),
            )
            if best == 1.0
            else say(
                "The best of these starts is {best} times He's scale with {score}; at He's own it is {he}.",
                best=significant(best),
                score=percent(hits[best], 3),
                he=percent(hits.get(1.0), 3),
            ),
        ),
        say(
            "Nets of {depth} layers of {width} units, weights normal with standard deviation √(2 / inputs) "
            "times each scale, {draws} draws; AdamW at one learning rate on {rows} digits, all scales in "
            "one bank; scored on the other {rest}.",
            depth=depth,
            width=width,
            draws=draws,
            rows=f"{rows:,}",
            rest=len(rest),
        ),
        (
            chart(
                "initialisation-size",
                say("Size of the activations after the last layer, over the starting scale"),
                say("At 0 the signal is as large as 1; each unit up or down is a factor of ten."),
                [Line(say("size after the last layer"), list(size.items()))],
                x=say("times He's scale"),
                y=say("size, power of ten"),
                log_x=True,
            ),
            chart(
                "initialisation-accuracy",
                say("Accuracy on unseen digits over the starting scale"),
                say("After the same training from each starting scale; guessing gives 10 %."),
                [Line(say("accuracy"), list(hits.items()))],
                x=say("times He's scale"),
                y=say("accuracy"),
                log_x=True,
                fraction=True,
            ),
        ),
        {
            **{f"size_{s:g}": value for s, value in size.items()},
            **{f"accuracy_{s:g}": value for s, value in hits.items()},
            "log10_scale_per_layer": per_layer,
        },
    )
