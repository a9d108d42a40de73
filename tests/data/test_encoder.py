"""Encoders: right values, training rows alone, finite on any frame, exact after saving."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.data.encoder import Encoder, fit_encoder
from soundfit.data.layout import plan_features
from soundfit.data.source import read, read_frame
from soundfit.errors import DataError

ROOT = Path(__file__).parents[2]
N = 120
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(N) % 10 == 0, np.nan, RNG.normal(50, 9, N)),
        "mostly": np.where(np.arange(N) % 8 == 0, 5.0, 0.0) * RNG.random(N),
        "sold": RNG.random(N) < 0.5,
        "zone": RNG.choice(["a", "b", "c"], N),
        "heat": np.where(np.arange(N) % 6 == 0, None, RNG.choice(["gas", "oil"], N)),
        "side": RNG.choice(["left", "right"], N),
        "seen": pd.date_range("2019-11-20", periods=N, freq="37h"),
        "y": RNG.normal(size=N),
    }
)
TABLE = read(FRAME, target="y")
ROWS = np.arange(100)


def encoder_of(frame: pd.DataFrame, rows: np.ndarray, **options: Any) -> Encoder:
    table = read(frame, target="y", **options)
    return fit_encoder(plan_features(table, rows), table.frame, rows)


ENCODER = fit_encoder(plan_features(TABLE, ROWS), TABLE.frame, ROWS)


def columns_of(encoder: Encoder, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    matrix = encoder.transform(frame)
    return {name: matrix[:, j] for j, name in enumerate(encoder.feature_names)}


def test_features_are_named_and_traced():
    assert ENCODER.feature_names == (
        "size",
        "size=(missing)",
        "mostly",
        "sold",
        "zone=a",
        "zone=b",
        "zone=c",
        "heat=gas",
        "heat=oil",
        "heat=(missing)",
        "side=right",
        "seen.year",
        "seen.month.sin",
        "seen.month.cos",
        "seen.weekday.sin",
        "seen.weekday.cos",
        "seen.hour.sin",
        "seen.hour.cos",
        "seen.days",
    )
    assert ENCODER.source_columns[:5] == ("size", "size", "mostly", "sold", "zone")
    assert ENCODER.numeric.tolist() == [True, False, True, *[False] * 8, *[True] * 8]


def test_numbers_follow_the_published_formula():
    """RealMLP's robust scaling and smooth clipping, computed here from its definition."""
    x = columns_of(ENCODER, TABLE.frame)
    size = FRAME["size"].to_numpy()
    first, median, third = np.nanquantile(size[ROWS], [0.25, 0.5, 0.75])
    scaled = (size - median) / (third - first)
    expected = np.where(np.isnan(size), 0.0, scaled / np.sqrt(1 + (scaled / 3) ** 2))
    np.testing.assert_allclose(x["size"], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(x["size=(missing)"], np.isnan(size))
    mostly = FRAME["mostly"].to_numpy()
    scaled = 2 * mostly / mostly[ROWS].max()  # quartiles coincide at 0: 2 / (max - min)
    np.testing.assert_allclose(x["mostly"], scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-6)


def test_categories_booleans_and_dates():
    x = columns_of(ENCODER, TABLE.frame)
    np.testing.assert_array_equal(x["zone=b"], FRAME["zone"] == "b")
    np.testing.assert_array_equal(x["heat=(missing)"], FRAME["heat"].isna())
    np.testing.assert_array_equal(x["side=right"], np.where(FRAME["side"] == "right", 1, -1))
    np.testing.assert_array_equal(x["sold"], np.where(FRAME["sold"], 1, -1))
    days = x["seen.days"].astype(float)
    assert np.corrcoef(days[:100], np.arange(100))[0, 1] > 0.99


def test_what_training_never_saw_is_zero():
    """No weight that training left at its initial value can speak about a validation row."""
    rows = np.flatnonzero((FRAME["zone"] != "c") & FRAME["sold"] & (FRAME["side"] == "left"))
    rows = rows[FRAME["size"].notna()[rows]]
    encoder = fit_encoder(plan_features(TABLE, ROWS), TABLE.frame, rows)
    x = columns_of(encoder, TABLE.frame)
    for name in ("zone=c", "sold", "side=right", "size=(missing)"):
        assert not x[name].any()
    assert x["zone=a"].any()


def test_booleans_with_gaps_speak_where_they_are_known():
    frame = FRAME.assign(sold=np.array([True, False, None] * 40, dtype=object))
    x = columns_of(encoder_of(frame, ROWS), frame)
    assert x["sold"].tolist()[:3] == [1, -1, 0]
    assert x["sold=(missing)"].tolist()[:3] == [0, 0, 1]


def test_unknown_categories_and_odd_cells_at_prediction():
    new = pd.DataFrame(
        {
            "zone": ["z", " a ", None, "b"],
            "size": ["50", "1,000", "?", "inf"],
            "mostly": [0, 1, 2, 3],
            "sold": ["yes", "FALSE", 1, None],
            "heat": ["coal", None, "oil", "gas"],
            "side": ["up", "left", None, "right"],
            "seen": ["2020-01-01", "2020-01-01T10:00", None, "soon"],
            "extra": [1, 2, 3, 4],
        }
    )
    x = columns_of(ENCODER, new)
    assert all(np.isfinite(column).all() for column in x.values())
    assert [x[f"zone={level}"].tolist() for level in "abc"] == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert x["side=right"].tolist() == [0, -1, 0, 1]
    assert x["sold"].tolist() == [1, -1, 1, 0]
    assert x["size=(missing)"].tolist() == [0, 0, 1, 1]
    assert x["heat=(missing)"].tolist() == [0, 1, 0, 0]


def test_rare_levels_share_a_column_with_unknown_ones():
    frame = FRAME.assign(zone=[f"z{min(i % 20, 12) * (i % 2)}" for i in range(N)])
    table = read(frame, target="y", drop=[c for c in FRAME if c not in ("zone", "y")])
    layout = plan_features(table, ROWS, max_levels=3)
    assert layout.feature_names == ("zone=z0", "zone=z1", "zone=z12", "zone=(other)")
    x = columns_of(fit_encoder(layout, table.frame, ROWS), pd.DataFrame({"zone": ["z0", "z9", "new", None]}))
    assert x["zone=(other)"].tolist() == [0, 1, 1, 0]


def test_used_columns_must_be_there():
    with pytest.raises(DataError) as caught:
        ENCODER.transform(FRAME.rename(columns={"zone": "Zone"}).drop(columns=["size"]))
    message = str(caught.value)
    assert "Prediction needs every column that the model was trained on" in message
    assert "a table without 'size', 'zone'" in message
    assert "for 'zone' did you mean 'Zone'?" in message


def test_unused_columns_may_be_missing():
    encoder = encoder_of(FRAME.assign(id=np.arange(N)), ROWS)
    assert encoder.transform(FRAME).shape == (N, len(encoder.feature_names))


def test_a_column_of_words_where_numbers_were_is_refused():
    with pytest.raises(DataError, match=r"Column 'size' held numbers .* Received: 'big' and 119 more"):
        ENCODER.transform(FRAME.assign(size="big"))
    with pytest.raises(DataError, match="Column 'seen' held dates"):
        ENCODER.transform(FRAME.assign(seen="soon"))


def test_no_rows_give_no_rows():
    assert ENCODER.transform(FRAME.head(0)).shape == (0, len(ENCODER.feature_names))


def test_saving_is_exact():
    restored = Encoder.from_dict(json.loads(json.dumps(ENCODER.to_dict())))
    assert restored.layout == ENCODER.layout
    np.testing.assert_array_equal(restored.transform(FRAME), ENCODER.transform(FRAME))
    assert restored.to_dict() == ENCODER.to_dict()


def _damaged(path: list[Any], value: Any) -> Any:
    form = copy.deepcopy(ENCODER.to_dict())
    place = form
    for key in path[:-1]:
        place = place[key]
    if value is _GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return form


_GONE = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["blocks"], _GONE),
        (["blocks"], "x"),
        (["blocks", 0], 3),
        (["blocks", 0, "column"], None),
        (["blocks", 0, "kind"], "image"),
        (["blocks", 0, "missing"], 1),
        (["blocks", 3, "levels"], ["a", 2]),
        (["blocks", 3, "levels"], ["a", "a", "b"]),
        (["blocks", 3, "levels"], ["a"]),
        (["blocks", 6, "parts"], ["century"]),
        (["blocks", 6, "parts"], [["year"]]),
        (["blocks", 6, "parts"], ["year"] * 8),
        (["blocks", 6, "format"], _GONE),
        (["blocks", 0, "levels"], ["a"]),
        (["blocks", 0, "parts"], ["year"]),
        (["blocks", 1, "column"], "size"),
        (["median"], _GONE),
        (["median", 0], float("nan")),
        (["median", 0], True),
        (["scale", 0], 0.0),
        (["scale", 0], 10**400),
        (["scale"], [1.0]),
        (["active", 0], 1),
        (["active"], [True]),
    ],
)
def test_damaged_forms_are_refused(path, value):
    with pytest.raises(DataError, match="A saved model must be as it was written"):
        Encoder.from_dict(_damaged(path, value))


@pytest.mark.parametrize("form", [None, [], "x", {}, {"blocks": {}}])
def test_what_is_no_form_is_refused(form):
    with pytest.raises(DataError, match="A saved model must be as it was written"):
        Encoder.from_dict(form)


VALUES = st.one_of(st.none(), st.floats(), st.integers(-(10**6), 10**6), st.text(max_size=5), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_other_rows_never_move_the_statistics(data):
    """Whatever stands in rows outside the training rows, the fitted encoder is the same."""
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, N - 1), min_size=3, max_size=60))))
    others = np.setdiff1d(np.arange(N), rows)
    frame = TABLE.frame.copy()
    for name in ("size", "mostly", "sold"):
        frame.loc[others, name] = data.draw(st.floats(-1e300, 1e300))
    frame.loc[others, "zone"] = data.draw(st.sampled_from(["a", "b", "new", None]))
    frame.loc[others, "seen"] = pd.Timestamp("2030-05-05")
    layout = plan_features(TABLE, ROWS)
    assert fit_encoder(layout, frame, rows).to_dict() == fit_encoder(layout, TABLE.frame, rows).to_dict()


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, N - 1), min_size=3, max_size=60))
def test_other_rows_never_move_the_layout(rows):
    chosen = np.array(sorted(rows))
    others = np.setdiff1d(np.arange(N), chosen)
    frame = TABLE.frame.copy()
    frame.loc[others, "zone"] = "new"
    frame.loc[others, "size"] = np.nan
    changed = copy.copy(TABLE)
    object.__setattr__(changed, "frame", frame)
    assert plan_features(changed, chosen) == plan_features(TABLE, chosen)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_frame_gives_finite_numbers_or_an_error_that_teaches(data):
    n_rows = data.draw(st.integers(1, 6))
    cells = st.lists(VALUES, min_size=n_rows, max_size=n_rows)
    frame = pd.DataFrame({name: pd.Series(data.draw(cells), dtype=object) for name in TABLE.used})
    try:
        matrix = ENCODER.transform(frame)
    except DataError:
        return
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()
    assert np.abs(matrix[:, ENCODER.numeric]).max() <= 3.0
    assert np.abs(matrix[:, ~ENCODER.numeric]).max() <= 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=10, max_size=40))
def test_any_numbers_are_scaled_into_three(values):
    frame = pd.DataFrame({"a": values, "b": np.arange(len(values)) * 1.5, "y": np.arange(len(values)) / 7})
    rows = np.arange(len(values) - 2)
    encoder = encoder_of(frame, rows, keep=["a"])
    matrix = encoder.transform(frame)
    assert np.isfinite(matrix).all()
    assert np.abs(matrix).max() <= 3.0


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("examples/ames.csv", "Sale_Price"),
        ("tests/tables/bikeshare.csv", "bikers"),
        ("tests/tables/credit_data.csv", "Status"),
        ("tests/tables/penguins.csv", "species"),
    ],
)
def test_real_tables_encode_the_same_from_the_file(file, target):
    """What prediction reads from the file is what training read."""
    table = read(ROOT / file, target=target)
    rows = np.arange(0, len(table), 2)
    encoder = fit_encoder(plan_features(table, rows), table.frame, rows)
    matrix = encoder.transform(table.frame)
    np.testing.assert_array_equal(encoder.transform(read_frame(ROOT / file)), matrix)
    assert np.isfinite(matrix).all()


def test_a_large_table_is_encoded_in_seconds():
    n_rows = 200_000
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(n_rows, 50))).add_prefix("x")
    table = read(frame.assign(y=frame["x0"]), target="y")
    rows = np.arange(n_rows // 2)
    encoder = fit_encoder(plan_features(table, rows), table.frame, rows)
    start = time.perf_counter()
    encoder.transform(table.frame)
    assert time.perf_counter() - start < 5.0  # measured 0.2 s on one core
