"""Plain depth against residual depth: thirty layers on handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.learned import accuracy_on
from soundfit.lessons.lesson import Lesson, chart, lines_of
from soundfit.lessons.real_data import digits
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import percent, significant

__all__ = ["deep_net", "measure"]

DEPTHS = (3, 8, 16, 30)


class Residual(nn.Module):
    """``x + W f(norm x)``.

    Shape:
        - Input: (B, H); output: the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to what came in."""
        out: Tensor = x + self.branch(x)
        return out


def deep_net(kind: str, depth: int, width: int) -> nn.Sequential:
    """Return ``depth`` layers for digits, ``plain`` or ``residual``, at torch's default initialisation."""
    middle: list[nn.Module] = []
    for _ in range(depth - 2):
        middle += [Residual(width)] if kind == "residual" else [nn.Linear(width, width), nn.ReLU()]
    end: list[nn.Module] = [nn.LayerNorm(width)] if kind == "residual" else []
    start: list[nn.Module] = [nn.Linear(64, width)] + ([] if kind == "residual" else [nn.ReLU()])
    return nn.Sequential(*start, *middle, *end, nn.Linear(width, 10))


def measure(
    seed: int = 0, *, depths: Sequence[int] = DEPTHS, width: int = 32, rows: int = 1200, epochs: int = 6
) -> Lesson:
    """Train both kinds at each depth; measure the first layer's gradient before, and accuracy after."""
    pictures, labels = digits()
    order = np.random.default_rng(seed).permutation(len(pictures))
    train, rest = order[:rows], order[rows:]
    kinds = ("plain", "residual")
    reach = {kind: {d: _reach(kind, d, width, seed, pictures, labels) for d in depths} for kind in kinds}
    jobs = [(kind, d) for kind in kinds for d in depths]
    base = Config(epochs=epochs, batch_size=32, learning_rate=1e-3)
    outcomes = train_members(
        lambda config: deep_net(config["kind"], config["layers"], width),
        [base.with_(kind=kind, layers=d) for kind, d in jobs],
        # Checkpoints are chosen on training rows: the digits that score have no say.
        [MemberRows(0, train, train, 0)] * len(jobs),
        BankData.of(pictures[None], labels[None]),
        seeds=[seed] * len(jobs),
        loss="cross_entropy",
    )
    score: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    for (kind, d), outcome in zip(jobs, outcomes, strict=True):
        score[kind][d] = accuracy_on(outcome.module, pictures[rest], labels[rest])
    shallow, deep = min(depths), max(depths)
    names = {"plain": say("plain"), "residual": say("residual")}
    shares = {kind: percent(score[kind][shallow], 3) for kind in kinds}
    return Lesson(
        "residual",
        (
            say(
                "Before training, the first layer's gradient in a plain net of {deep} layers is {plain} of "
                "the last one's; with residual connections it is {residual}.",
                deep=deep,
                plain=significant(reach["plain"][deep], 2),
                residual=significant(reach["residual"][deep], 2),
            ),
            say(
                "After the same {epochs} epochs {deep} plain layers get {plain} of unseen digits right and "
                "{deep} residual ones {residual} (guessing: 10 %).",
                epochs=epochs,
                deep=deep,
                plain=percent(score["plain"][deep], 3),
                residual=percent(score["residual"][deep], 3),
            ),
            say(
                "{shallow} layers get {plain} without residuals and {residual} with them: it is the depth "
                "that a plain net cannot use, not the data.",
                shallow=shallow,
                **shares,
            )
            if score["plain"][shallow] > score["plain"][deep] + 0.05
            else say(
                "{shallow} layers get {plain} without residuals and {residual} with them.",
                shallow=shallow,
                **shares,
            ),
        ),
        say(
            "Nets of {width} units a layer at torch's default initialisation, AdamW at one rate on {rows} "
            "handwritten digits, scored on the other {rest}. The full-size twin is examples/depth.py.",
            width=width,
            rows=f"{rows:,}",
            rest=len(rest),
        ),
        (
            chart(
                "residual-accuracy",
                say("Accuracy on unseen digits over depth"),
                say("Both kinds have the same width, data, optimiser and number of steps."),
                lines_of(names, score),
                x=say("layers"),
                y=say("accuracy"),
                fraction=True,
            ),
            chart(
                "residual-gradient",
                say("Gradient of the first layer, relative to the last, over depth"),
                say("Measured before the first step: what the first layer has to learn from."),
                lines_of(names, reach),
                x=say("layers"),
                y=say("ratio of gradient norms"),
                log_y=True,
            ),
        ),
        {
            **{f"reach_{kind}": reach[kind][deep] for kind in kinds},
            **{f"{kind}_deep": score[kind][deep] for kind in kinds},
            **{f"{kind}_shallow": score[kind][shallow] for kind in kinds},
        },
    )


def _reach(kind: str, depth: int, width: int, seed: int, pictures: np.ndarray, labels: np.ndarray) -> float:
    torch.manual_seed(seed)
    net = deep_net(kind, depth, width)
    x, y = torch.as_tensor(pictures[:256], dtype=torch.float32), torch.as_tensor(labels[:256])
    weights = [layer.weight for layer in net.modules() if isinstance(layer, nn.Linear)]
    grads = torch.autograd.grad(nn.functional.cross_entropy(net(x), y), [weights[0], weights[-1]])
    return float(grads[0].norm() / grads[1].norm())
