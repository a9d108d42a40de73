"""Predictors made without training, kept for all tests of this folder."""

from __future__ import annotations

import pytest

from untrained import make_predictor, read_table


@pytest.fixture(scope="session")
def predictors(tables, ames_csv):
    """Make (and keep) the predictor and frame of a table and a kind of net."""
    made = {}

    def get(name, kind):
        if (name, kind) not in made:
            frame, target = read_table(name, tables, ames_csv)
            made[name, kind] = make_predictor(frame, target, kind), frame
        return made[name, kind]

    return get
