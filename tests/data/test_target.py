"""Target scales: the logarithm only where it is justified, undone exactly, fitted on training rows alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from soundfit.data.target import TargetScale, choose_transform, fit_target
from soundfit.errors import DataError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
N = 500
ALL = np.arange(N)

SHAPES = {
    "prices": (RNG.lognormal(12, 0.5, N), "log"),
    "wide prices": (RNG.lognormal(0, 2, N), "log"),
    "in millions": (RNG.lognormal(12, 0.5, N) / 1e6, "log"),
    "normal": (RNG.normal(100, 5, N), "identity"),
    "normal with negatives": (RNG.normal(size=N), "identity"),
    "uniform": (RNG.random(N) + 0.01, "identity"),
    "left-skewed": (100 - RNG.lognormal(1, 0.7, N).clip(max=99), "identity"),
    "skewed with negatives": (RNG.lognormal(0, 1, N) - 0.5, "identity"),
    "narrow: a logarithm would change nothing": (1000 + RNG.exponential(1, N), "identity"),
    "one value near zero": (np.append(RNG.normal(100, 5, N - 1), 1e-9), "identity"),
    "counts with zeros, heavy tail": (np.floor(RNG.lognormal(2, 1.2, N)), "log1p"),
    "rain: zeros and fractions": (np.where(RNG.random(N) < 0.5, 0, RNG.lognormal(0, 1, N)), "identity"),
    "constant": (np.ones(N), "identity"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_logarithm_is_chosen_where_it_is_justified(shape):
    y, transform = SHAPES[shape]
    assert choose_transform(y, ALL) == transform


@pytest.mark.parametrize(
    ("file", "target", "transform"),
    [
        ("examples/ames.csv", "Sale_Price", "log"),
        ("tests/tables/hitters.csv", "Salary", "log"),
        ("tests/tables/concrete.csv", "compressive_strength", "identity"),
        # A logarithm would make bikers as skewed to the left as they are to the right.
        ("tests/tables/bikeshare.csv", "bikers", "identity"),
    ],
)
def test_real_targets(file, target, transform):
    y = pd.read_csv(ROOT / file)[target].to_numpy(dtype=float)
    assert choose_transform(y, np.arange(len(y))) == transform


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transform", ["identity", "log", "log1p"])
def test_scales_are_undone_and_restored(shape, transform):
    y = SHAPES[shape][0]
    if transform != "identity" and y.min() <= 0:
        y = np.abs(y) + 0.5
    scale = fit_target(y, ALL, transform)
    z = scale.forward(y)
    np.testing.assert_allclose(scale.inverse(z), y, rtol=1e-9, atol=1e-9)
    if y.std() > 0:
        assert abs(z.mean()) < 1e-9
        assert abs(z.std() - 1) < 1e-9
    restored = TargetScale.from_dict(json.loads(json.dumps(scale.to_dict())))
    assert restored == scale


def test_a_constant_fold_has_a_finite_scale():
    scale = fit_target(np.full(N, 3.0), ALL, "identity")
    assert scale.forward([3.0, 4.0]).tolist() == [0.0, 1.0]


def test_values_outside_the_domain_count_as_the_lowest():
    scale = fit_target(RNG.lognormal(0, 1, N), ALL, "log")
    assert np.isfinite(scale.forward([0.0, -5.0])).all()
    assert scale.inverse(scale.forward([0.0]))[0] < 0.1


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, st.integers(2, 40), elements=st.floats(1e-300, 1e300)),
    st.sampled_from(["identity", "log", "log1p"]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_predictions_are_finite_and_increase(y, transform, z):
    scale = fit_target(y, np.arange(len(y)), transform)
    low, high = scale.inverse([z, z + 1.0])
    assert np.isfinite([low, high]).all()
    assert low <= high


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, 12, elements=st.floats(0.1, 1e6)),
    arrays(np.float64, 12, elements=st.floats(-1e6, 1e6)),
    st.sets(st.integers(0, 11), min_size=3, max_size=11),
    st.sampled_from(["identity", "log", "log1p"]),
)
def test_other_rows_never_move_the_scale(y, noise, rows, transform):
    training = np.array(sorted(rows))
    changed = noise.copy()
    changed[training] = y[training]
    assert fit_target(changed, training, transform) == fit_target(y, training, transform)
    assert choose_transform(changed, training) == choose_transform(y, training)


@pytest.mark.parametrize(
    "damage",
    [
        {"transform": "exp"},
        {"transform": ["log"]},
        {"range": [0.0, 1.0, 0.0]},
        {"range": [0.0, 0.0, 0.0, 1.0]},
        {"range": [0.0, 1.0, 2.0, 1.0]},
        {"range": [0.0, 1.0, 0.0, 1e9]},
        {"range": [0.0, 1.0, 0.0, float("nan")]},
        {"range": [0.0, 1.0, 0.0, 10**400]},
        {"range": ["0", 1.0, 0.0, 1.0]},
        {"range": None},
    ],
)
def test_damaged_forms_are_refused(damage):
    form = fit_target(RNG.lognormal(0, 1, N), ALL, "log").to_dict()
    with pytest.raises(DataError, match="A saved model must be as it was written"):
        TargetScale.from_dict({**form, **damage})
