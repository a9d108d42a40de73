"""What peeking at the test rows costs: the best of many models that know nothing."""

from __future__ import annotations

import numpy as np
import torch

from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import house_numbers
from soundfit.models.net import Mlp
from soundfit.records.said import say
from soundfit.report.numbers import percent

__all__ = ["measure"]


def measure(seed: int = 0, *, models: int = 1000, rows: int = 100, repeats: int = 200) -> Lesson:
    """Pick, of ``models`` untrained nets, the one that scores best on ``rows`` rows of coin-flip labels.

    Labels are drawn anew for each of ``repeats`` repetitions, independent of the houses, so that every
    model's true accuracy is exactly one half.
    """
    rng = np.random.default_rng(seed)
    houses, _ = house_numbers(2 * rows, seed=seed)
    scaled = (houses - houses.mean(0)) / np.maximum(houses.std(0), 1e-9)
    x = torch.as_tensor(scaled, dtype=torch.float32)
    with torch.no_grad():
        answers_MN = np.stack([_answers(Mlp(x.shape[1], 1, width=8, depth=1), x) for _ in range(models)])
    counts = np.unique(np.geomspace(1, models, 13).astype(int))
    peeked, sealed = np.zeros((2, repeats, len(counts)))
    for repeat in range(repeats):
        labels = rng.integers(0, 2, size=2 * rows)
        order = rng.permutation(models)
        hits_MN = answers_MN[order] == labels
        seen, unseen = hits_MN[:, :rows].mean(1), hits_MN[:, rows:].mean(1)
        for i, count in enumerate(counts):
            winner = int(np.argmax(seen[:count]))
            peeked[repeat, i], sealed[repeat, i] = seen[winner], unseen[winner]
    flattered, true = float(peeked[:, -1].mean()), float(sealed[:, -1].mean())
    bound = 0.5 + float(np.sqrt(np.log(models) / (2 * rows)))
    error = float(sealed[:, -1].std(ddof=1) / np.sqrt(repeats)) if repeats > 1 else 0.0
    return Lesson(
        "three-sets",
        (
            say(
                "Labels were coin flips, so no model can be right more often than 50 % in the long run; "
                "yet the best of {models} untrained nets was right on {score} of the {rows} rows that it "
                "was picked by.",
                models=f"{models:,}",
                score=percent(flattered, 3),
                rows=rows,
            ),
            say(
                "On {rows} rows that took no part in picking, the same winner was right on {score}: all of "
                "the {gain} above one half came from peeking.",
                rows=rows,
                score=percent(true, 3),
                gain=percent(flattered - 0.5, 3),
            )
            if abs(true - 0.5) <= 3 * error + 1e-9
            else say(
                "On {rows} rows that took no part in picking, the same winner was right on {score}.",
                rows=rows,
                score=percent(true, 3),
            ),
            say(
                "Theory bounds the mean of this flattery by √(ln M / 2n), here {bound} in all: it grows "
                "with the number of models compared, and rows that choose can no longer examine. Hence "
                "three sets.",
                bound=percent(bound, 3),
            ),
        ),
        say(
            "{models} untrained nets of one hidden layer read the numeric columns of {rows} houses; labels "
            "were drawn at random {repeats} times; the winner on the first half was scored on the second "
            "half.",
            models=f"{models:,}",
            rows=2 * rows,
            repeats=repeats,
        ),
        (
            chart(
                "three-sets",
                say("Accuracy of the winner over the number of models compared"),
                say(
                    "The best of so many models, scored on the rows that chose it and on rows that did "
                    "not; chance is 50 %."
                ),
                [
                    Line(
                        say("rows that chose the model"),
                        list(zip(counts, peeked.mean(0), strict=True)),
                        "dash",
                    ),
                    Line(say("sealed test rows"), list(zip(counts, sealed.mean(0), strict=True))),
                    Line(
                        say("bound √(ln M / 2n)"),
                        [(m, 0.5 + float(np.sqrt(np.log(m) / (2 * rows)))) for m in counts],
                    ),
                ],
                x=say("models compared"),
                y=say("accuracy"),
                log_x=True,
                fraction=True,
            ),
        ),
        {"flattered": flattered, "true": true, "bound": bound, "true_se": error},
    )


def _answers(net: Mlp, x: torch.Tensor) -> np.ndarray:
    """Return a class, 0 or 1, for each row; half of the rows each, so that no class is favoured."""
    outputs = net(x)[:, 0]
    return (outputs > outputs.median()).long().numpy()
