"""Polynomials of low, right and high degree, fitted to the same few noisy points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.models.net import Linear
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import significant

__all__ = ["measure"]

DEGREES = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19)
_NOISE = 0.1


def measure(
    seed: int = 0, *, degrees: Sequence[int] = DEGREES, rows: int = 20, draws: int = 10, epochs: int = 2000
) -> Lesson:
    """Fit polynomials to ``rows`` points of a cubic and score them on 1,000 fresh points.

    One bank: a member for each degree and draw of points. Features above its degree are 0 for a member, so
    that all are one architecture.
    """
    rng = np.random.default_rng(seed)
    highest = max(degrees)
    x_DN = rng.uniform(-1.0, 1.0, size=(draws, rows))
    y_DN = _truth(x_DN) + _NOISE * rng.normal(size=x_DN.shape)
    x_test = rng.uniform(-1.0, 1.0, size=1000)
    y_test = _truth(x_test) + _NOISE * rng.normal(size=x_test.shape)
    jobs = [(degree, draw) for degree in degrees for draw in range(draws)]
    features = np.stack([_features(x_DN[draw], degree, highest) for degree, draw in jobs])
    everything = np.arange(rows)
    outcomes = train_members(
        lambda config: Linear(highest, 1),
        [Config(learning_rate=0.05, epochs=epochs, batch_size=rows)] * len(jobs),
        # Validation rows are the training rows: nothing stops a fit early.
        [MemberRows(i, everything, everything, 0) for i in range(len(jobs))],
        BankData.of(features, np.stack([y_DN[draw] for _, draw in jobs])[:, :, None]),
        seeds=[0] * len(jobs),
    )
    errors = {degree: ([], []) for degree in degrees}  # type: dict[int, tuple[list[float], list[float]]]
    for (degree, _), outcome in zip(jobs, outcomes, strict=True):
        fresh = torch.as_tensor(_features(x_test, degree, highest), dtype=torch.float32)
        with torch.no_grad():
            missed = outcome.module(fresh)[:, 0].double().numpy() - y_test
        errors[degree][0].append(outcome.training_loss**0.5)
        errors[degree][1].append(float(np.sqrt(np.mean(missed**2))))
    training = {d: float(np.mean(e[0])) for d, e in errors.items()}
    test = {d: float(np.mean(e[1])) for d, e in errors.items()}
    best = min(degrees, key=lambda d: test[d])
    low, high = min(degrees), highest
    numbers = {
        "best_degree": best,
        "best_test": test[best],
        "low_training": training[low],
        "low_test": test[low],
        "high_training": training[high],
        "high_test": test[high],
        "noise": _NOISE,
    }
    return Lesson(
        "polynomial",
        (
            say(
                "Degree {low} underfits: its error is {training} on the training points and {test} on fresh "
                "ones, both far above the noise of {noise}.",
                low=low,
                training=significant(training[low]),
                test=significant(test[low]),
                noise=significant(_NOISE),
            )
            if min(training[low], test[low]) > 1.5 * _NOISE
            else say(
                "Degree {low} errs {training} on the training points and {test} on fresh ones; the noise is "
                "{noise}.",
                low=low,
                training=significant(training[low]),
                test=significant(test[low]),
                noise=significant(_NOISE),
            ),
            say(
                "Fresh points are predicted best at degree {best} ({test}, {training} on the training "
                "points); the points come from a cubic.",
                best=best,
                test=significant(test[best]),
                training=significant(training[best]),
            ),
            say(
                "Degree {high} overfits: {training} on the training points, less than the noise in them, but "
                "{test} on fresh ones, {ratio} times the best.",
                high=high,
                training=significant(training[high]),
                test=significant(test[high]),
                ratio=significant(test[high] / test[best], 2),
            )
            if training[high] < min(training[best], _NOISE) and test[high] > test[best]
            else say(
                "Degree {high} errs {training} on the training points and {test} on fresh ones: it does not "
                "fit the noise here.",
                high=high,
                training=significant(training[high]),
                test=significant(test[high]),
            )
            if test[high] > 1.02 * test[best]
            else say(
                "Degree {high} does no worse on fresh points here ({test}): these points were kind to it.",
                high=high,
                test=significant(test[high]),
            ),
        ),
        say(
            "{rows} points of a cubic with noise of standard deviation {noise}, drawn {draws} times; "
            "Legendre polynomials up to each degree, fitted by {epochs} full-batch steps as one bank of "
            "{members} members; scored on 1,000 fresh points.",
            rows=rows,
            noise=significant(_NOISE),
            draws=draws,
            epochs=epochs,
            members=len(jobs),
        ),
        (
            chart(
                "polynomial",
                say("Error over the degree of the polynomial"),
                say("Where the two lines part, the polynomial has begun to fit the noise of its own points."),
                [
                    Line(say("training error"), [(d, training[d]) for d in degrees], "dash"),
                    Line(say("generalisation error"), [(d, test[d]) for d in degrees]),
                ],
                x=say("degree"),
                y=say("root mean squared error"),
                log_y=True,
            ),
        ),
        numbers,
    )


def _truth(x: np.ndarray) -> np.ndarray:
    """A cubic on [-1, 1]."""
    return np.asarray(0.5 + 1.2 * x - 1.7 * x**2 + 2.8 * x**3)


def _features(x: np.ndarray, degree: int, highest: int) -> np.ndarray:
    """Return Legendre polynomials 1 to ``highest`` (N, highest), those above ``degree`` set to 0."""
    values = np.polynomial.legendre.legvander(x, highest)[:, 1:]
    values[:, degree:] = 0.0
    return np.asarray(values)
