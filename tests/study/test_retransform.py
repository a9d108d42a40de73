"""Predictions of a net that tells logarithms are means: the shift, and what stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.retransform import mean_shift


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.2, 0.6), st.integers(2_000, 4_000))
def test_the_shift_of_normal_scatter_is_half_its_variance(seed, sd, n):
    rng = np.random.default_rng(seed)
    z = rng.normal(0.0, 0.5, n)
    y = z + rng.normal(0.0, sd, n)
    shift = mean_shift(y, z)
    assert shift == pytest.approx(sd**2 / 2, abs=6 * sd / n**0.5) or shift == 0.0
    assert np.exp(z + shift).mean() <= 1.02 * np.exp(y).mean() + 0.05


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(60, 400), st.floats(0.0, 1.0))
def test_squared_errors_out_of_fold_never_rise(seed, n, sd):
    rng = np.random.default_rng(seed)
    z = rng.normal(0.0, 1.0, n)
    y = z + rng.standard_t(4, n) * sd
    shift = mean_shift(y, z)
    before, after = (np.square(np.exp(y) - np.exp(z + s)).mean() for s in (0.0, shift))
    assert after <= before
    assert abs(shift) <= 0.5


def test_few_rows_and_numbers_that_are_none_shift_nothing():
    z = np.linspace(0.0, 1.0, 40)
    assert mean_shift(z + 0.3, z) == 0.0
    z = np.linspace(0.0, 1.0, 4_000)
    y = z + np.random.default_rng(0).normal(0.0, 0.4, 4_000)
    holes = np.where(np.arange(4_000) % 7 == 0, np.nan, z)
    assert mean_shift(y, z) > 0.06
    assert mean_shift(y, holes) == pytest.approx(mean_shift(y, z), abs=0.01)
    assert mean_shift(z + 0.2 * (y - z), z) == 0.0  # less than a hundredth
    assert mean_shift(1000.0 * y, z) == 0.0  # no scatter around a prediction


def test_bounds_stay_where_they_were():
    interval = PredictionInterval(0.9, np.array([0.0, 1.0]), np.array([-0.3, -0.2]), np.array([0.2, 0.5]))
    told = np.linspace(-1.0, 2.0, 9)
    before, after = interval.bounds(told), interval.around(0.1).bounds(told + 0.1)
    np.testing.assert_allclose(before, after)
