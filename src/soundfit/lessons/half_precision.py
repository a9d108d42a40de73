"""NaN in half precision: where numbers end, and what undoes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant

__all__ = ["exp_softmax", "measure"]

KINDS = {"half": torch.float16, "bfloat16": torch.bfloat16, "single": torch.float32}


def exp_softmax(x: Tensor) -> Tensor:
    """Return exp(x) / Σ exp(x) as the formula stands, without subtracting the largest input first."""
    powers = torch.exp(x)
    return powers / powers.sum(-1, keepdim=True)


def measure(seed: int = 0, *, highest: int = 100, rows: int = 64, width: int = 128) -> Lesson:
    """Find the logit at which a plain softmax breaks, and how many gradients half precision rounds to 0."""
    breaks = {name: _first_broken(kind, highest) for name, kind in KINDS.items()}
    safe = torch.softmax(torch.tensor([float(highest), 0.0], dtype=torch.float16), -1)
    lost = _lost_gradients(seed, rows, width)
    largest, smallest = torch.finfo(torch.float16).max, 2.0**-24
    scales = sorted(lost)
    labels = {"half": say("half"), "bfloat16": say("bfloat16"), "single": say("single")}
    survivor = min(scales, key=lambda s: (lost[s], s))
    return Lesson(
        "half-precision",
        (
            say(
                "Half precision ends at {largest}: exp({logit}) is already infinite in it, and a softmax "
                "written as the formula stands divides ∞ by ∞ and returns NaN (bfloat16 does so at "
                "{bfloat}, single precision at {single}).",
                largest=significant(largest, 5),
                logit=breaks["half"],
                bfloat=breaks["bfloat16"],
                single=breaks["single"],
            ),
            say(
                "Subtracting the largest logit first changes nothing in the mathematics and everything in "
                "the numbers: torch.softmax of a logit of {logit} is {value} in half precision.",
                logit=highest,
                value=significant(float(safe[0])),
            )
            if bool(torch.isfinite(safe).all())
            else say("Here torch.softmax broke as well at a logit of {logit}.", logit=highest),
            say(
                "It also ends at the bottom, {smallest}: of the gradients of this net {lost} were rounded "
                "to 0 in half precision, with the loss scaled by {scale} it is {left}, which is what loss "
                "scaling is for.",
                smallest=significant(smallest),
                lost=percent(lost[1.0]),
                scale=significant(survivor),
                left=percent(lost[survivor]),
            ),
        ),
        say(
            "Softmax of the logits (z, 0) for z = 1 to {highest} in each format; gradients of a net with "
            "two hidden layers of {width} units whose loss is small, computed in single precision and "
            "rounded to half after scaling.",
            highest=highest,
            width=width,
        ),
        (
            chart(
                "half-precision-softmax",
                say("Relative error of exp(z) in three formats"),
                say("Each line ends where exp(z) is infinite: the next softmax is NaN."),
                [Line(labels[name], _rounding(kind, highest)) for name, kind in KINDS.items()],
                x=say("logit z"),
                y=say("relative error"),
                log_y=True,
            ),
            chart(
                "half-precision-gradients",
                say("Gradients rounded to 0 over the scale of the loss"),
                say(
                    "Too small a scale loses gradients to 0, too large a one to ∞; between lies the window "
                    "to train in."
                ),
                [
                    Line(say("share rounded to 0"), [(s, lost[s]) for s in scales]),
                    Line(
                        say("share infinite"), [(s, _infinite(seed, rows, width, s)) for s in scales], "dash"
                    ),
                ],
                x=say("scale of the loss"),
                y=say("share of gradients"),
                log_x=True,
                fraction=True,
            ),
        ),
        {
            **{f"breaks_{name}": float(value) for name, value in breaks.items()},
            "lost": lost[1.0],
            "lost_scaled": lost[survivor],
            "scale": survivor,
        },
    )


def _first_broken(kind: torch.dtype, highest: int) -> int:
    """Return the smallest whole logit for which the plain softmax is not finite; 0 if there is none."""
    logits = torch.arange(1, highest + 1, dtype=torch.float32)
    pairs = torch.stack([logits, torch.zeros_like(logits)], 1).to(kind)
    broken = ~torch.isfinite(exp_softmax(pairs)).all(1)
    return int(logits[broken][0]) if bool(broken.any()) else 0


def _rounding(kind: torch.dtype, highest: int) -> list[tuple[float, float]]:
    """Return (z, relative error of exp(z)) for every z at which exp(z) is finite."""
    logits = torch.arange(1, highest + 1, 3, dtype=torch.float32)
    values, exact = torch.exp(logits.to(kind)).double(), torch.exp(logits.double())
    errors = ((values - exact) / exact).abs()
    return [(float(z), float(e)) for z, v, e in zip(logits, values, errors, strict=True) if torch.isfinite(v)]


def _gradients(seed: int, rows: int, width: int) -> Tensor:
    """Return all weight gradients of a net whose loss is small, as one vector in single precision."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(20, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    x = torch.randn(rows, 20, generator=generator)
    # A net near its optimum: residuals of a thousandth.
    target = net(x).detach() + 1e-3 * torch.randn(rows, 1, generator=generator)
    loss = 0.5 * ((net(x) - target) ** 2).mean()
    grads = torch.autograd.grad(loss, list(net.parameters()))
    return torch.cat([g.flatten() for g in grads])


def _lost_gradients(seed: int, rows: int, width: int) -> dict[float, float]:
    gradients = _gradients(seed, rows, width)
    there = gradients != 0
    scales = [float(2**power) for power in range(0, 33, 4)]
    return {s: float(((gradients * s).half() == 0)[there].float().mean()) for s in scales}


def _infinite(seed: int, rows: int, width: int, scale: float) -> float:
    return float(torch.isinf((_gradients(seed, rows, width) * scale).half()).float().mean())
