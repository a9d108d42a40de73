"""The product of a hundred matrices: why gradients vanish or explode with depth."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.records.said import say
from soundfit.report.numbers import significant

__all__ = ["growth_per_matrix", "measure"]


def growth_per_matrix(size: int, scale: float) -> float:
    """Return the mean of ln(‖Ax‖ / ‖x‖) for a square matrix A of independent normal entries.

    Exact for every x: ‖Ax‖² / (scale² ‖x‖²) is chi-squared with ``size`` degrees of freedom, whose mean
    logarithm is ln 2 + ψ(size / 2).
    """
    return float(np.log(scale) + 0.5 * (np.log(2.0) + digamma(size / 2.0)))


def measure(seed: int = 0, *, matrices: int = 100, size: int = 4, draws: int = 200) -> Lesson:
    """Multiply a vector by random matrices and follow its length."""
    rng = np.random.default_rng(seed)
    critical = float(np.exp(-growth_per_matrix(size, 1.0)))
    scales = {"unit": 1.0, "half": 0.25, "critical": critical}
    paths = {name: _path(rng, matrices, size, scale, draws) for name, scale in scales.items()}
    paths["orthogonal"] = _path(rng, matrices, size, None, draws)
    ends = {name: float(path[-1]) for name, path in paths.items()}
    expected = matrices * growth_per_matrix(size, 1.0) / float(np.log(10.0))
    first_over = next((i for i, v in enumerate(paths["unit"]) if v > np.log10(65504.0)), None)
    names = {
        "unit": say("normal entries, standard deviation 1"),
        "half": say("standard deviation 1/4"),
        "critical": say("standard deviation {scale}", scale=significant(critical)),
        "orthogonal": say("orthogonal"),
    }
    steps = range(0, matrices + 1, max(1, matrices // 25))
    return Lesson(
        "matrix-product",
        (
            say(
                "A product of {matrices} matrices of {size} × {size} standard normal numbers stretches a "
                "vector by a factor of 10^{power} (typical of {draws} draws); theory says 10^{expected}.",
                matrices=matrices,
                size=size,
                power=significant(ends["unit"]),
                draws=draws,
                expected=significant(expected),
            ),
            say(
                "With a quarter of that standard deviation it shrinks to 10^{power}: a gradient that passes "
                "{matrices} such layers has vanished.",
                power=significant(ends["half"]),
                matrices=matrices,
            ),
            say(
                "Orthogonal matrices keep the length (10^{orthogonal}), and a standard deviation of "
                "{critical} does so on average (10^{power}): initialisation exists to be at this edge.",
                orthogonal=significant(round(ends["orthogonal"], 6)),
                critical=significant(critical),
                power=significant(ends["critical"], 2),
            ),
        ),
        say(
            "{draws} products of each kind in double precision; the curve is the mean of the logarithm of "
            "the vector's length. Theory: ln 2 + ψ(n/2), halved, per matrix.",
            draws=draws,
        ),
        (
            chart(
                "matrix-product",
                say("Length of a vector over the number of matrices"),
                say(
                    "On this scale of powers of ten each kind of matrix gives a straight line: growth is "
                    "exponential."
                ),
                [Line(names[name], [(i, float(path[i])) for i in steps]) for name, path in paths.items()],
                x=say("matrices multiplied"),
                y=say("length, power of ten"),
            ),
        ),
        {
            **{f"end_{name}": value for name, value in ends.items()},
            "expected": expected,
            "critical": critical,
            "first_over_half_precision": float(first_over if first_over is not None else -1),
        },
    )


def _path(rng: np.random.Generator, matrices: int, size: int, scale: float | None, draws: int) -> np.ndarray:
    """Return the mean log10 length of a unit vector after 0, 1, … matrices; no scale: orthogonal."""
    vector = np.zeros((draws, size, 1))
    vector[:, 0] = 1.0
    length = np.zeros((matrices + 1, draws))
    for i in range(1, matrices + 1):
        drawn = rng.normal(size=(draws, size, size))
        matrix = np.linalg.qr(drawn)[0] if scale is None else scale * drawn
        vector = matrix @ vector
        norm = np.linalg.norm(vector, axis=(1, 2), keepdims=True)
        # Kept at length 1 beside its logarithm, so that nothing overflows.
        vector = vector / norm
        length[i] = length[i - 1] + np.log10(norm[:, 0, 0])
    return np.asarray(length.mean(1))
