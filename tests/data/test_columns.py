"""Column kinds: right on ordinary columns, and no false alarm on measurements that look like ids."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames, range_indexes

from soundfit.data.columns import as_kinds, infer_columns
from soundfit.data.table import Column

N = 200
RNG = np.random.default_rng(0)


def infer(values: object, name: str = "x", **options: object):
    frame = pd.DataFrame({name: values, "other": np.arange(len(values)) % 7 + 0.5})  # type: ignore[arg-type]
    columns, findings = infer_columns(frame, **options)
    return columns[0], findings


SENTENCES = [f"The {i}th house has a garden with {i * 7 % 31} old apple trees" for i in range(N)]

KINDS = {
    "floats": (RNG.normal(size=N), "numeric"),
    "floats all distinct in a small table": (np.linspace(0, 1, 12), "numeric"),
    "sorted measurements": (np.sort(RNG.normal(size=N)), "numeric"),
    "whole numbers, few": (RNG.integers(0, 5, N), "numeric"),
    "prices all unique": (RNG.permutation(np.arange(N) * 37 + 100_000), "numeric"),
    "unique wavelengths": (np.arange(400, 400 + 10 * N, 10), "numeric"),
    "latitude": (np.round(40 + RNG.random(N), 6), "numeric"),
    "0 and 1": (RNG.integers(0, 2, N), "boolean"),
    "true and false": (RNG.random(N) < 0.5, "boolean"),
    "yes and no": (np.where(RNG.random(N) < 0.5, "yes", "No"), "boolean"),
    "words": (RNG.choice(["a", "b", "c"], N), "categorical"),
    "postcodes": (RNG.choice([f"0{i}" for i in range(1000, 1150)], N), "categorical"),
    "ordinal with a plus": (RNG.choice(["0", "1", "2", "3+"], N, p=[0.5, 0.3, 0.15, 0.05]), "categorical"),
    "categories that are numbers": (pd.Categorical(RNG.integers(0, 3, N)), "categorical"),
    "thousands": ([f"{i * 997 % 7000 + 1000:,}" for i in range(N)], "numeric"),
    "percent": ([f"{i % 43}%" for i in range(N)], "numeric"),
    "numbers with a question mark": (["?"] + [f"{x:.3f}" for x in RNG.normal(size=N - 1)], "numeric"),
    "dates": (pd.date_range("2020-01-01", periods=N), "date"),
    "dates as text": (pd.date_range("2020-01-01", periods=N).strftime("%d.%m.%Y"), "date"),
    "sentences": (SENTENCES, "text"),
    "uuids": ([str(uuid.UUID(int=i * 2**70 + 5)) for i in range(N)], "id"),
    "names all unique": ([f"n{i}" for i in range(N)], "id"),
    "a counter": (np.arange(N), "id"),
    "a shuffled counter from 1": (RNG.permutation(np.arange(1, N + 1)), "id"),
    "one value": (["same"] * N, "constant"),
    "one number": ([3.0] * N, "constant"),
    "nothing": ([None] * N, "constant"),
    "only infinities": ([np.inf] * N, "constant"),
    "one word or nothing": (np.where(np.arange(N) % 3 == 0, None, "pool"), "categorical"),
}


@pytest.mark.parametrize("case", KINDS, ids=list(KINDS))
def test_kinds(case):
    values, kind = KINDS[case]
    found, _ = infer(values, "c1")
    assert found.kind == kind
    assert found.used == (kind not in ("id", "text", "constant"))
    assert bool(found.reason) == (not found.used)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PassengerId", np.arange(892, 892 + N)),
        ("PID", RNG.choice(10**9, N, replace=False)),
        ("customer_id", RNG.choice(10**6, N, replace=False)),
        ("userid", RNG.choice(10**6, N, replace=False)),
        ("Order", np.delete(np.arange(1, N + 11), [5, 9, 13, 50, 51, 52, 53, 60, 70, 80])),
        ("Unnamed: 0", np.sort(RNG.choice(N * 3, N, replace=False))),
    ],
)
def test_names_tell_identifiers(name, values):
    found, findings = infer(values, name)
    assert found.kind == "id"
    assert [f.code for f in findings] == ["id-column"]
    assert repr(name) in findings[0].message
    assert "identifier" in findings[0].message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", np.arange(1800, 1800 + N)),
        ("time", np.arange(N)),
        ("day", np.arange(1, N + 1)),
        ("number_of_people", RNG.choice(10**6, N, replace=False)),
        ("humid", RNG.choice(10**6, N, replace=False)),
        ("customer_id", RNG.integers(0, 40, N)),  # repeats: a group, for the audit to name
        ("PID", RNG.normal(size=N)),
        ("offset", np.arange(-100, N - 100)),
    ],
)
def test_measurements_and_groups_are_no_identifiers(name, values):
    found, findings = infer(values, name)
    assert found.kind == "numeric"
    assert findings == ()


def test_the_only_feature_is_never_a_counter():
    columns, findings = infer_columns(pd.DataFrame({"x7": np.arange(50)}))
    assert columns[0].kind == "numeric"
    assert findings == ()


def test_keep_reads_what_looks_like_an_identifier_or_text():
    assert infer(np.arange(N), "c1", keep=("c1",))[0].kind == "numeric"
    assert infer([f"n{i}" for i in range(N)], keep=("x",))[0].kind == "categorical"
    assert infer(SENTENCES, keep=("x",))[0] == Column("x", "categorical")


def test_drop_leaves_out_without_a_finding():
    found, findings = infer(np.arange(N), drop=("x",))
    assert (found.used, found.reason) == (False, "left out on request")
    assert findings == ()


def test_infinities_become_missing_with_their_rows_in_the_file():
    values = RNG.normal(size=N)
    values[[3, 9]] = np.inf, -np.inf
    found, findings = infer(values, file_rows=np.arange(N) * 2)
    assert found.kind == "numeric"
    assert [f.code for f in findings] == ["infinite-values"]
    assert findings[0].rows == (6, 18)
    assert findings[0].message == "Column 'x' has 2 infinite values; treated as missing."
    frame = as_kinds(pd.DataFrame({"x": values}), [found])
    assert frame["x"].isna().sum() == 2


def test_a_few_words_among_numbers_are_found():
    values = [f"{x:.3f}" for x in RNG.normal(size=N)]
    values[7] = "oops"
    found, findings = infer(values)
    assert found.kind == "numeric"
    assert [f.code for f in findings] == ["mixed-types"]
    assert findings[0].rows == (7,)
    assert "1 value cannot be read as one ('oops')" in findings[0].message


def test_half_numbers_half_words_stay_categories_with_a_note():
    values = [str(i % 60) if i % 4 else f"A{i % 20}" for i in range(N)]
    found, findings = infer(values)
    assert found.kind == "categorical"
    assert [f.code for f in findings] == ["mixed-types"]
    assert "150 numbers with 50 texts; read as categories" in findings[0].message


def test_constant_and_missing_columns_say_so():
    _, findings = infer([None] * N)
    assert [f.code for f in findings] == ["constant-column"]
    assert "every value is missing" in findings[0].message


def test_kinds_have_one_form_each():
    frame = pd.DataFrame(
        {
            "n": ["1,000", "2", None],
            "b": ["yes", "no", None],
            "c": ["a ", "None", "NA"],
            "d": ["1.2.2020", "13.2.2020", ""],
        }
    )
    kinds = [
        Column("n", "numeric"),
        Column("b", "boolean"),
        Column("c", "categorical"),
        Column("d", "date", format="%d.%m.%Y"),
    ]
    read = as_kinds(frame, kinds)
    assert read["n"].tolist()[:2] == [1000.0, 2.0]
    assert read["b"].tolist()[:2] == [1.0, 0.0]
    assert read["c"].tolist()[:2] == ["a", "None"]
    assert read["d"].tolist()[:2] == [pd.Timestamp("2020-02-01"), pd.Timestamp("2020-02-13")]
    assert read.isna().all(axis=1).tolist() == [False, False, True]
    pd.testing.assert_frame_equal(as_kinds(read, kinds), read)


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.decimals(allow_nan=False),
)


@settings(max_examples=150, deadline=None)
@given(
    data_frames(
        [column("a", elements=CELLS, dtype=object), column("b", elements=st.floats())],
        index=range_indexes(min_size=1, max_size=30),
    )
)
def test_any_cells_have_kinds_and_forms(frame):
    """Whatever the cells, inference ends, leaves the frame alone, and the forms are stable."""
    before = frame.copy()
    columns, findings = infer_columns(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert [c.name for c in columns] == ["a", "b"]
    assert {f.columns[0] for f in findings} <= {"a", "b"}
    read = as_kinds(frame, columns)
    pd.testing.assert_frame_equal(as_kinds(read, columns), read)
    numbers = read[[c.name for c in columns if c.kind in ("numeric", "boolean")]]
    assert not np.isinf(numbers.to_numpy(dtype=float)).any()
