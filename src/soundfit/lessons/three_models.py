"""Linear regression, softmax regression and an MLP on the same handwritten digits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import digits
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import count, percent, significant
from soundfit.study.cross_validation import cross_validate

__all__ = ["measure"]


def squared_error_of_classes(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error between outputs (B, C) and classes (B,) as vectors of 0 and 1."""
    classes = torch.arange(output.shape[-1], device=output.device)
    return ((output - (target.unsqueeze(-1) == classes).to(output.dtype)) ** 2).mean()


def measure(seed: int = 0, *, rows: int = 1000, epochs: int = 30, width: int = 64, folds: int = 5) -> Lesson:
    """Cross-validate the three on the same rows and folds."""
    pictures, labels = digits()
    order = np.random.default_rng(seed).permutation(len(pictures))[:rows]
    x, y = pictures[order], labels[order]
    linear = Config(model="linear", depth=0, width=0, epochs=epochs, batch_size=32, learning_rate=0.01)
    kinds = {
        "linear": (linear, squared_error_of_classes),
        "softmax": (linear, None),
        "mlp": (linear.with_(model="mlp", depth=1, width=width, learning_rate=0.03), None),
    }
    score: dict[str, float] = {}
    per_fold: dict[str, np.ndarray] = {}
    parameters: dict[str, int] = {}
    for name, (config, loss) in kinds.items():
        result = cross_validate(
            lambda c: build(c, x.shape[1], 10),
            x,
            y,
            config=config,
            folds=folds,
            seeds=[seed],
            loss=loss,
            metric="accuracy",
            standardize=False,
        )
        per_fold[name] = result.scores_CK[0]
        score[name], parameters[name] = float(result.scores_CK.mean()), result.parameters[0]
    gain = per_fold["mlp"] - per_fold["softmax"]
    se = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    labels_of = {"linear": say("linear regression"), "softmax": say("softmax regression"), "mlp": say("MLP")}
    return Lesson(
        "three-models",
        (
            say(
                "Linear regression on classes as vectors of 0 and 1 gets {share} of unseen digits right: "
                "its squared loss also punishes answers that are more than right.",
                share=percent(score["linear"], 3),
            ),
            say(
                "Softmax regression, the same {parameters} parameters with cross-entropy, gets {share}.",
                parameters=count(parameters["softmax"]),
                share=percent(score["softmax"], 3),
            ),
            say(
                "One hidden layer of {width} units ({parameters} parameters) gets {share}: {gain} points "
                "more than softmax (± {se}, fold by fold), a clear gain.",
                width=width,
                parameters=count(parameters["mlp"]),
                share=percent(score["mlp"], 3),
                gain=significant(100 * gain.mean(), 2),
                se=significant(100 * se, 2),
            )
            if gain.mean() > 2 * se
            else say(
                "One hidden layer of {width} units ({parameters} parameters) gets {share}, {gain} points "
                "from softmax (± {se}, fold by fold): no clear gain, so the simpler model would do.",
                width=width,
                parameters=count(parameters["mlp"]),
                share=percent(score["mlp"], 3),
                gain=significant(100 * gain.mean(), 2),
                se=significant(100 * se, 2),
            ),
        ),
        say(
            "{folds}-fold cross-validation on {rows} handwritten digits of 8 × 8 pixels, the same folds, "
            "batches and {epochs} epochs for all three.",
            folds=folds,
            rows=count(rows),
            epochs=epochs,
        ),
        (
            chart(
                "three-models",
                say("Accuracy of three models, fold by fold"),
                say("Where lines do not cross, the order of the models is the same on every fold."),
                [
                    Line(labels_of[name], [(f + 1, float(v)) for f, v in enumerate(per_fold[name])])
                    for name in kinds
                ],
                x=say("fold"),
                y=say("accuracy"),
                ticks={float(f + 1): str(f + 1) for f in range(folds)},
                fraction=True,
            ),
        ),
        {**score, "gain": float(gain.mean()), "gain_se": se, "parameters_mlp": parameters["mlp"]},
    )
