"""Learning curves: the extrapolation on curves whose law is known, and a real one on a line."""

import itertools

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.records import Config
from soundfit.study.learning import extrapolate, learning_curve_of, nested_rows
from soundfit.study.views import table_views

ROWS = np.array([50.0, 100.0, 200.0, 400.0])


@pytest.mark.parametrize(("floor", "exponent"), [(1.0, 1.0), (0.2, 0.5), (0.0, 0.7)])
def test_a_known_power_law_is_continued(floor, exponent):
    def law(rows):
        return floor + 5.0 * rows**-exponent

    truth = law(400) - law(800)
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        loss = law(ROWS)[:, None] * (1 + 0.1 * rng.normal(size=5)) * (1 + 0.01 * rng.normal(size=(4, 5)))
        gain, se = extrapolate(ROWS, loss)
        inside += abs(gain - truth) <= 2 * se
    assert inside >= 34
    gain, se = extrapolate(ROWS, np.repeat(law(ROWS)[:, None], 5, axis=1))
    # To a seventh, or half a hundredth of the loss: less is lost in the least noise that is assumed.
    assert gain == pytest.approx(truth, rel=0.15, abs=0.005 * law(400))
    assert abs(gain - truth) <= 2 * se


def test_a_flat_curve_promises_nothing():
    rng = np.random.default_rng(1)
    loss = 0.8 + 0.1 * rng.normal(size=(1, 5)) + 0.003 * rng.normal(size=(4, 5))
    gain, se = extrapolate(ROWS, loss)
    assert gain < 0.02
    assert gain - 2 * se <= 0.0


def test_parts_are_nested_and_depend_on_the_seed():
    rows = np.arange(200)
    parts = [set(nested_rows(rows, f, seed=3)) for f in (0.125, 0.25, 0.5, 1.0)]
    assert all(a < b for a, b in itertools.pairwise(parts))
    assert set(nested_rows(rows, 0.5, seed=4)) != parts[2]


def test_error_falls_with_rows_until_it_reaches_the_noise():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 12))
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(12)]).assign(y=x.sum(1) + rng.normal(size=400))
    table = sf.read(frame, target="y")
    views = table_views(table, sf.split(table, folds=4))
    config = Config(
        model="linear", width=0, depth=0, learning_rate=0.05, epochs=20, batch_size=16, warmup=0.0
    )
    curve = learning_curve_of(views, config, fractions=(0.15, 0.4))
    points = curve.points()
    assert [p["rows"] for p in points] == sorted(p["rows"] for p in points)
    assert points[0]["validation"] > points[-1]["validation"] > 0.9
    assert points[0]["training"] < points[-1]["training"] + 0.2
    assert 0.0 <= curve.gain < 0.5
    assert learning_curve_of(views, config, fractions=(0.2,), should_stop=lambda: True) is None
