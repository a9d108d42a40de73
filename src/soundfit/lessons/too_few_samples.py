"""Too few samples: a linear model and a net on ever more rows of the same houses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundfit.lessons.learned import error_at_the_end
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import house_numbers
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import count, percent, significant
from soundfit.study.cross_validation import cross_validate

__all__ = ["measure"]

SIZES = (20, 40, 80, 160, 320, 640, 1280)


def measure(
    seed: int = 0, *, sizes: Sequence[int] = SIZES, held_out: int = 800, draws: int = 3, steps: int = 400
) -> Lesson:
    """Train both on draws of each size and score them on the same rows, which nobody trains on.

    Each size takes the same number of steps, so that only the rows differ.
    """
    most = max(sizes)
    x, y = house_numbers(most + held_out, seed=seed)
    rest = np.arange(most, most + held_out)
    # Nets start near zero: they learn the price in standard deviations from its mean.
    centre, scale = float(y[:most].mean()), float(y[:most].std())
    rng = np.random.default_rng(seed)
    models = {
        "linear": Config(model="linear", depth=0, width=0, learning_rate=0.02, weight_decay=0.02),
        "mlp": Config(model="mlp", depth=2, width=64, learning_rate=0.03, weight_decay=0.1),
    }
    mean: dict[str, list[float]] = {name: [] for name in models}
    spread: dict[str, list[float]] = {name: [] for name in models}
    for size in sizes:
        folds = [(rng.permutation(most)[:size], rest) for _ in range(draws)]
        batch = min(size, 64)
        for name, config in models.items():
            result = cross_validate(
                lambda c: build(c, x.shape[1], 1),
                x,
                (y - centre) / scale,
                config=config.with_(batch_size=batch, epochs=max(steps // -(-size // batch), 4)),
                folds=folds,
                seeds=[seed],
                metric="rmse",
            )
            # At the last epoch: the rows that score choose no checkpoint.
            errors = scale * np.array([error_at_the_end(found) for found in result.members])
            mean[name].append(float(errors.mean()))
            spread[name].append(float(errors.std(ddof=1) / np.sqrt(draws)) if draws > 1 else 0.0)
    few, many = sizes[0], sizes[-1]
    linear, mlp = mean["linear"], mean["mlp"]
    ratio = {name: values[0] / values[-1] for name, values in mean.items()}
    halving = 1 - (mlp[-1] / mlp[-2]) if len(sizes) > 1 else 0.0
    baseline = float(np.sqrt(np.mean((y[rest] - centre) ** 2)))
    # By more than the standard error of the net's draws.
    ahead = [n for n, a, b, se in zip(sizes, linear, mlp, spread["mlp"], strict=True) if b - a > se]
    return Lesson(
        "too-few-samples",
        (
            say(
                "With {few} rows a net errs {mlp} and a linear model {linear} on houses that they never saw "
                "(predicting the mean: {mean}); with {many} rows {mlp_many} and {linear_many}.",
                few=few,
                mlp=significant(mlp[0]),
                linear=significant(linear[0]),
                mean=significant(baseline),
                many=count(many),
                mlp_many=significant(mlp[-1]),
                linear_many=significant(linear[-1]),
            ),
            say(
                "The simpler model is clearly ahead up to {size} rows, the net with {many}: how much "
                "capacity is right depends on how many rows there are.",
                size=count(max(ahead)),
                many=count(many),
            )
            if ahead and linear[-1] - mlp[-1] > spread["mlp"][-1] and ahead == list(sizes[: len(ahead)])
            else say(
                "Of {all} sizes tried, the linear model is clearly ahead at {n}: on these columns the "
                "number of rows does not decide it alone.",
                all=len(sizes),
                n=len(ahead),
            ),
            say(
                "Every model gains from rows: the net's error fell {ratio}-fold from the fewest to the "
                "most, and the last doubling took off {share}.",
                ratio=significant(ratio["mlp"], 2),
                share=percent(halving),
            )
            if halving > 0 and linear[-1] < linear[0]
            else say(
                "From the fewest rows to the most the net's error fell {ratio}-fold, and the last doubling "
                "took off {share}; the linear model's did not fall.",
                ratio=significant(ratio["mlp"], 2),
                share=percent(halving),
            )
            if halving > 0
            else say(
                "From the fewest rows to the most the net's error fell {ratio}-fold; the last doubling "
                "brought nothing any more.",
                ratio=significant(ratio["mlp"], 2),
            ),
        ),
        say(
            "{draws} draws of each size from the numeric columns of {most} houses, log10 of the price; the "
            "same {steps} steps for every size; scored on {rest} other houses; bars are standard errors "
            "over draws.",
            draws=draws,
            most=count(most),
            steps=steps,
            rest=held_out,
        ),
        (
            chart(
                "too-few-samples",
                say("Error on unseen houses over the number of training rows"),
                say("The same rows for both models; the dashed line predicts the mean price."),
                [
                    Line(say("linear"), list(zip(sizes, linear, spread["linear"], strict=True))),
                    Line(say("MLP"), list(zip(sizes, mlp, spread["mlp"], strict=True))),
                    Line(say("mean price"), [(size, baseline) for size in sizes], "dash"),
                ],
                x=say("training rows"),
                y=say("error of log10 price"),
                log_x=True,
                log_y=True,
            ),
        ),
        {
            "linear_few": linear[0],
            "linear_many": linear[-1],
            "mlp_few": mlp[0],
            "mlp_many": mlp[-1],
            "baseline": baseline,
        },
    )
