"""Checks on saved forms."""

from __future__ import annotations

import pytest

from soundfit.data.saved import finite_floats, unreadable
from soundfit.errors import DataError


def test_whole_lists_pass():
    assert finite_floats({"k": [1, 2.5]}, "k", 2).tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    "values", [None, "12", [1.0], [1.0, None], [1.0, True], [1.0, float("inf")], [1.0, 10**400]]
)
def test_other_values_are_refused(values):
    with pytest.raises(DataError, match="A saved model must be as it was written: 'k'"):
        finite_floats({"k": values}, "k", 2)


def test_what_was_received_is_cut_short():
    message = str(unreadable("it is short", "x" * 500))
    assert "xxx…" in message
    assert len(message) < 250
