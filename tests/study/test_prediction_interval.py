"""Prediction intervals on generated residuals: coverage, scatter that grows, and what is read back."""

import numpy as np
import pytest

from soundfit.study.prediction_interval import PredictionInterval, fit_interval


def _draw(rng, n, kind):
    predicted = rng.uniform(1.0, 5.0, size=n)
    noise = {
        "even": rng.normal(size=n),
        "growing": rng.normal(size=n) * predicted,
        "skewed": rng.exponential(size=n) - 1.0,
        "heavy": rng.standard_t(3, size=n),
    }[kind]
    return predicted + noise, predicted


@pytest.mark.parametrize("kind", ["even", "growing", "skewed", "heavy"])
@pytest.mark.parametrize("n", [100, 400, 2000])
def test_nine_tenths_of_new_targets_lie_inside(kind, n):
    rng = np.random.default_rng(5)
    inside, below = [], []
    for _ in range(30):
        interval = fit_interval(*_draw(rng, n, kind))
        target, predicted = _draw(rng, 2000, kind)
        low, high = interval.bounds(predicted)
        inside.append(np.mean((low <= target) & (target <= high)))
        below.append(np.mean(target < low))
    assert 0.89 <= np.mean(inside) <= 0.93
    assert np.mean(below) == pytest.approx(0.05, abs=0.02)


def test_bounds_are_wider_where_targets_scatter_more():
    rng = np.random.default_rng(6)
    interval = fit_interval(*_draw(rng, 2000, "growing"))
    low, high = interval.bounds(np.array([1.2, 4.8]))
    assert (high - low)[1] > 2.5 * (high - low)[0]


def test_few_rows_and_equal_predictions():
    rng = np.random.default_rng(7)
    assert fit_interval(np.zeros(10), np.zeros(10)) is None
    flat = fit_interval(rng.normal(size=1000), np.full(1000, 3.0))
    assert len(flat.at) == 1
    low, high = flat.bounds(np.array([3.0]))
    assert low[0] < -1.0 < 1.0 < high[0]


def test_an_interval_is_read_back_to_the_last_bit_and_damage_is_refused():
    interval = fit_interval(*_draw(np.random.default_rng(8), 900, "even"))
    given = interval.to_dict()
    again = PredictionInterval.from_dict(given)
    assert np.array_equal(again.low, interval.low)
    assert again.level == 0.9
    for damage in (
        {"low": given["low"][1:]},
        {"low": [float("nan"), *given["low"][1:]]},
        {"level": 1.5},
        {"at": given["at"][::-1]},
        {"low": given["high"], "high": given["low"]},
    ):
        with pytest.raises(ValueError, match="an interval has"):
            PredictionInterval.from_dict({**given, **damage})
    with pytest.raises(ValueError, match="an interval has"):
        PredictionInterval.from_dict(None)
