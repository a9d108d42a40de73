"""The task that a target column asks for, and its classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.data.task import read_target
from soundfit.errors import DataError

N = 300
RNG = np.random.default_rng(0)

CASES = {
    "floats": (RNG.normal(size=N), "regression", ()),
    "counts": (RNG.poisson(30, N), "regression", ()),
    "0 and 1": (RNG.integers(0, 2, N), "classification", (0, 1)),
    "-1 and 1": (RNG.choice([-1, 1], N), "classification", (-1, 1)),
    "digits": (RNG.integers(0, 10, N), "classification", tuple(range(10))),
    "codes with a gap": (RNG.choice([1, 2, 3, 5, 6, 7], N), "classification", (1, 2, 3, 5, 6, 7)),
    "codes as floats": (RNG.integers(1, 4, N).astype(float), "classification", (1, 2, 3)),
    "fifteen codes from 1": (np.arange(N) % 15 + 1, "classification", tuple(range(1, 16))),
    "fifteen tens": (np.arange(N) % 15 * 10, "regression", ()),
    "ages": (RNG.integers(18, 80, N), "regression", ()),
    "half points": (RNG.integers(2, 10, N) / 2, "regression", ()),
    "booleans": (RNG.random(N) < 0.5, "classification", (False, True)),
    "words": (RNG.choice(["b", "a"], N), "classification", ("a", "b")),
    "yes and no": (RNG.choice(["yes", "no"], N), "classification", ("no", "yes")),
    "numbers in text": ([f"${x:,.2f}" for x in RNG.lognormal(10, 1, N)], "regression", ()),
    "codes in text": (RNG.choice(["1", "2", "3"], N), "classification", (1, 2, 3)),
    "category in its order": (
        pd.Categorical(RNG.choice(["lo", "mid", "hi"], N), ["lo", "mid", "hi"], ordered=True),
        "classification",
        ("lo", "mid", "hi"),
    ),
    "category of integers": (pd.Categorical(RNG.choice([30, 4], N)), "classification", (4, 30)),
    "objects true and false": (
        np.array([True, False, None] * (N // 3), dtype=object),
        "classification",
        (False, True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_task_and_classes(case):
    values, task, classes = CASES[case]
    series = pd.Series(values)
    found = read_target(series, name="y")
    assert found.task == task
    assert found.classes == classes
    assert [type(c) for c in found.classes] == [type(c) for c in classes]
    if task == "classification":
        assert found.values.dtype == np.int64
        named = [str(found.classes[code]) for code in found.values[~found.missing]]
        given_ = [str(v) for v in series.dropna()]
        assert [n.removesuffix(".0") for n in named] == [g.removesuffix(".0") for g in given_]
    else:
        assert found.values.dtype == np.float64


def test_the_task_can_be_forced():
    codes = pd.Series(RNG.integers(0, 3, N))
    assert read_target(codes, name="y", task="regression").task == "regression"
    ages = pd.Series(RNG.integers(18, 80, N))
    assert len(read_target(ages, name="y", task="classification").classes) == ages.nunique()
    text = pd.Categorical(RNG.choice(["1.5", "2.5"], N))
    assert read_target(pd.Series(text), name="y", task="regression").values.max() == 2.5


def test_question_marks_and_empty_cells_are_missing():
    found = read_target(pd.Series(["a", "?", "b", "", None, " a "] * 10), name="y")
    assert found.classes == ("a", "b")
    assert found.missing.tolist()[:6] == [False, True, False, True, True, False]
    assert found.values.tolist()[::2][:2] == [0, 1]


def test_a_few_unreadable_numbers_are_missing():
    found = read_target(pd.Series(["oops", *[f"{x:.3f}" for x in RNG.normal(size=99)]]), name="y")
    assert found.task == "regression"
    assert found.missing.tolist() == [True] + [False] * 99


def test_names_are_no_classes():
    with pytest.raises(DataError, match=r"The classes of a target must repeat\. Received: 300 different"):
        read_target(pd.Series([f"n{i}" for i in range(N)]), name="y")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=4, max_size=60))
def test_codes_name_their_labels_and_only_missing_is_missing(labels):
    series = pd.Series(labels, dtype=object)
    if series.nunique() < 2:
        with pytest.raises(DataError):
            read_target(series, name="y")
        return
    found = read_target(series, name="y")
    for label, code, missing in zip(labels, found.values, found.missing, strict=True):
        assert missing == (label is None)
        assert label is None or found.classes[code] == label
