"""Sigmoid saturation: what is left of a gradient behind units that are on or off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from soundfit.lessons.lesson import Lesson, Line, chart, lines_of
from soundfit.lessons.real_data import digits
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant

__all__ = ["gradient_reach", "measure"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
DEPTHS = (1, 2, 4, 6, 8, 10)


def gradient_reach(activation: str, depth: int, *, rows: int = 256, width: int = 64, seed: int = 0) -> float:
    """Return the gradient norm of the first layer's weights over that of the last hidden layer's, untrained.

    Weights start at Xavier scale (He's for ReLU) on real digits, as each activation is meant to be used.
    """
    torch.manual_seed(seed)
    pictures, labels = digits()
    layers: list[nn.Module] = []
    for level in range(depth):
        linear = nn.Linear(64 if level == 0 else width, width)
        if activation == "relu":
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, ACTIVATIONS[activation]()]
    net = nn.Sequential(*layers, nn.Linear(width, 10))
    x, y = torch.as_tensor(pictures[:rows], dtype=torch.float32), torch.as_tensor(labels[:rows])
    loss = nn.functional.cross_entropy(net(x), y)
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    first, *_, last = grads if len(grads := torch.autograd.grad(loss, weights)) > 1 else (grads[0], grads[0])
    return float(first.norm() / last.norm())


def measure(seed: int = 0, *, depths: Sequence[int] = DEPTHS, units: int = 100_000) -> Lesson:
    """Measure the derivative of the sigmoid over the scale of its input, and how far a gradient reaches."""
    generator = torch.Generator().manual_seed(seed)
    scales = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    draws = torch.randn(units, generator=generator)
    slope, saturated = {}, {}
    for scale in scales:
        on = torch.sigmoid(scale * draws)
        derivative = on * (1 - on)
        slope[scale] = float(derivative.mean())
        saturated[scale] = float((derivative < 0.01).float().mean())
    reach = {name: {d: gradient_reach(name, d, seed=seed) for d in depths} for name in ACTIVATIONS}
    deepest = max(depths)
    per_layer = reach["sigmoid"][deepest] ** (1.0 / max(deepest - 1, 1))
    names = {"sigmoid": say("sigmoid"), "tanh": say("tanh"), "relu": say("ReLU")}
    return Lesson(
        "saturation",
        (
            say(
                "The sigmoid's derivative is never above 1/4; for inputs of standard deviation {scale} it "
                "is below 0.01 for {share} of the units: they are saturated and hardly learn.",
                scale=significant(scales[-2]),
                share=percent(saturated[scales[-2]]),
            ),
            say(
                "In a net of {depth} sigmoid layers, before any training, the first layer's gradient is "
                "{ratio} of the last one's: a factor of {factor} per layer.",
                depth=deepest,
                ratio=significant(reach["sigmoid"][deepest], 2),
                factor=significant(per_layer, 2),
            ),
            say(
                "At the same depth it is {tanh} with tanh and {relu} with ReLU: their derivatives are near "
                "1 where units work, so that the gradient does not shrink at every layer.",
                tanh=significant(reach["tanh"][deepest], 2),
                relu=significant(reach["relu"][deepest], 2),
            )
            if min(reach["tanh"][deepest], reach["relu"][deepest]) > 10 * reach["sigmoid"][deepest]
            else say(
                "At the same depth it is {tanh} with tanh and {relu} with ReLU.",
                tanh=significant(reach["tanh"][deepest], 2),
                relu=significant(reach["relu"][deepest], 2),
            ),
        ),
        say(
            "Derivatives at {units} normal inputs per scale; gradients of the cross-entropy of 256 "
            "handwritten digits in untrained nets of 64 units a layer, at Xavier scale (He for ReLU).",
            units=f"{units:,}",
        ),
        (
            chart(
                "saturation-reach",
                say("Gradient of the first layer, relative to the last, over depth"),
                say("A falling straight line on this scale is a gradient that vanishes exponentially."),
                lines_of(names, reach),
                x=say("hidden layers"),
                y=say("ratio of gradient norms"),
                log_y=True,
            ),
            chart(
                "saturation-slope",
                say("Sigmoid units over the scale of their inputs"),
                say("The larger the inputs, the more units are stuck at 0 or 1."),
                [
                    Line(say("mean derivative"), list(slope.items()), "dash"),
                    Line(say("share of saturated units"), list(saturated.items())),
                ],
                x=say("standard deviation of the inputs"),
                y=say("derivative, share"),
                log_x=True,
            ),
        ),
        {
            "saturated": saturated[scales[-2]],
            "largest_slope": max(slope.values()),
            "reach_sigmoid": reach["sigmoid"][deepest],
            "reach_tanh": reach["tanh"][deepest],
            "reach_relu": reach["relu"][deepest],
        },
    )
