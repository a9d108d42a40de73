"""Delimited text: any bytes end well, and no cell moves to another place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from soundfit.data.delimited import parse_delimited
from soundfit.data.source import read_frame
from soundfit.errors import DataError


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_beside_others_in_quotes(delimiter):
    line = delimiter.join(['"a,b;c|d\te"', "2", "x"])
    frame = parse_delimited((delimiter.join("pqr") + f"\n{line}\n" * 3).encode(), source="file")
    assert frame.columns.tolist() == ["p", "q", "r"]
    assert frame.iloc[0].tolist() == ["a,b;c|d\te", 2, "x"]


def test_types_come_from_all_rows_not_from_the_first():
    body = "1,a\n" * 200_000 + "1.5,a\n"
    frame = parse_delimited(("n,c\n" + body).encode(), source="file")
    assert frame["n"].iloc[-1] == 1.5


def test_a_hash_may_start_a_header():
    frame = parse_delimited(b"#,name\n1,a\n2,b\n", source="file")
    assert frame.columns.tolist() == ["#", "name"]


def test_an_emptied_row_of_cells_is_a_row():
    frame = parse_delimited(b"a,b\n1,x\n,\n3,z\n", source="file")
    assert frame["a"].isna().tolist() == [False, True, False]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xa0\n")
def test_any_bytes_are_a_table_or_an_error_that_teaches(content):
    try:
        frame = parse_delimited(content, source="file")
    except DataError:
        return
    assert frame.shape[1] >= 1


FIELD = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cc", "Cs")), max_size=6
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FIELD, FIELD, st.floats(allow_nan=False)), min_size=2, max_size=20))
def test_what_pandas_writes_is_read_back_in_its_order(tmp_path_factory, rows):
    """Quotes, blanks and odd letters in cells move no cell to another row or column."""
    written = pd.DataFrame([(f"a{a}", f"b{b}", y) for a, b, y in rows], columns=["a", "b", "y"])
    path = tmp_path_factory.mktemp("written") / "t.csv"
    written.to_csv(path, index=False, encoding="utf-8")
    frame = read_frame(path)
    assert frame["a"].str.strip().tolist() == written["a"].str.strip().tolist()
    assert frame["b"].str.strip().tolist() == written["b"].str.strip().tolist()
    np.testing.assert_allclose(frame["y"].to_numpy(float), written["y"], rtol=1e-15)
