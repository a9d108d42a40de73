"""One row without pandas equals the same row through the encoder, to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from soundfit.data.encoder import fit_encoder
from soundfit.data.layout import plan_features
from soundfit.data.one_row import RowEncoder
from soundfit.data.source import read
from soundfit.errors import DataError
from untrained import every_kind

FRAME = every_kind().drop(columns="price")
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", " ", "NA", "nan", "?", "-", "1,234", "12%", "$5", "(3.5)", "12:30", "yes", "F", "∞"]
    ),
    st.sampled_from(
        ["1e400", "-1E-400", "9" * 400, "2021-13-45", "30.02.2021 10:00", "0001-01-01", "9999-12-31"]
    ),
    st.dates().map(str),
    st.datetimes().map(lambda t: t.strftime("%d.%m.%Y %H:%M")),
    st.text(max_size=12),
)


def _cell(name: str) -> st.SearchStrategy:
    seen = [None if pd.isna(v) else v for v in FRAME[name].unique()[:40].tolist()]
    spaced = [f" {v} " for v in seen if isinstance(v, str)] or seen
    return st.one_of(st.sampled_from(seen), st.sampled_from(spaced), ANY)


ROWS = st.fixed_dictionaries({name: _cell(name) for name in FRAME.columns})


@pytest.fixture(scope="module")
def encoders():
    table = read(every_kind(), target="price")
    rng = np.random.default_rng(0)
    layout = plan_features(table, np.arange(len(table)))
    return [fit_encoder(layout, table.frame, rng.permutation(len(table))[:n]) for n in (200, 3)]


def _either(work):
    """Return what work returns, or the rule and what was received of its refusal."""
    try:
        return work()
    except DataError as error:
        return error.rule


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS)
@example(row={**FRAME.iloc[1].to_dict(), "rooms": 10**400, "sold": "x" * 200})
def test_one_row_equals_the_encoder_to_the_last_bit(encoders, row):
    frame = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()})
    fast = _either(lambda: RowEncoder(encoders).encode(row))
    slow = _either(lambda: [encoder.transform(frame) for encoder in encoders])
    if isinstance(slow, str):
        assert fast == slow
        return
    assert not isinstance(fast, str), fast
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_encoders_of_different_layouts_keep_their_places(encoders):
    table = read(every_kind()[["rooms", "price"]], target="price")
    other = fit_encoder(plan_features(table, np.arange(len(table))), table.frame, np.arange(100))
    row = {name: None if pd.isna(value) else value for name, value in FRAME.iloc[3].items()}
    got = RowEncoder([encoders[0], other, encoders[1]]).encode(row)
    frame = pd.DataFrame([row], dtype=object)
    for one, encoder in zip(got, [encoders[0], other, encoders[1]], strict=True):
        np.testing.assert_array_equal(one, encoder.transform(frame))
