from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundfit.report import numbers
from soundfit.report.numbers import count, decimals_for, duration, finite, fixed, percent, significant


def test_examples_of_the_module_hold() -> None:
    assert doctest.testmod(numbers).failed == 0
    assert doctest.testmod(numbers).attempted >= 5


@given(st.floats(min_value=-1e12, max_value=1e12, allow_nan=False))
def test_significant_keeps_three_digits(value: float) -> None:
    shown = float(significant(value).replace(",", "").replace("−", "-"))
    assert math.isclose(shown, value, rel_tol=5.1e-3, abs_tol=0.0)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "text", [], True])
def test_what_is_no_number_is_a_dash(value: object) -> None:
    assert finite(value) is None
    for show in (significant, percent, count, duration, lambda v: fixed(v, 2)):
        assert show(value) == "–"


@pytest.mark.parametrize(
    ("value", "spread", "decimals"),
    [(0.12345, 0.0034, 4), (21_480.0, 310.0, 0), (0.5, None, 3), (153.2, None, 0), (0.0, None, 3)],
)
def test_decimals_follow_the_spread(value: float, spread: float | None, decimals: int) -> None:
    assert decimals_for(value, spread) == decimals


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.001, "< 0.1 s"),
        (0.123, "0.1 s"),
        (9.97, "10 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (4000, "1 h 6 min"),
    ],
)
def test_durations_use_two_units(seconds: float, shown: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == shown
