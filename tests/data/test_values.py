"""Cells of any dtype read as numbers, booleans, dates and text."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from soundfit.data.values import are_booleans, date_format, to_booleans, to_dates, to_numbers, to_text


def texts(*values: object) -> pd.Series:
    return pd.Series(values, dtype=object)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234.0),
        ("1,234,567.5", 1234567.5),
        ("1'234'567", 1234567.0),
        ("12%", 12.0),
        ("$5", 5.0),
        ("-$1,000.50", -1000.5),
        ("€ 5", 5.0),
        ("(3.5)", -3.5),
        ("−3", -3.0),
        ("1e-3", 0.001),
        (".5", 0.5),
        (" 7 ", 7.0),
        ("12:30", 12.5),
        ("-inf", -np.inf),
        (decimal.Decimal("1.5"), 1.5),
        (datetime.time(6, 15), 6.25),
        (True, 1.0),
    ],
)
def test_numbers_are_read_from_text(text, number):
    numbers, bad = to_numbers(texts(text))
    assert numbers[0] == number
    assert not bad[0]


@pytest.mark.parametrize("text", ["", "NA", "?", "None", "unknown", "#DIV/0!", None, np.nan])
def test_words_for_missing_are_neither_numbers_nor_bad(text):
    numbers, bad = to_numbers(texts(text))
    assert np.isnan(numbers[0])
    assert not bad[0]


@pytest.mark.parametrize("text", ["abc", "5 km", "1,23", "1_000", "0x10", "3+", "$", "1-2", "(5", "12:3"])
def test_other_text_is_no_number(text):
    numbers, bad = to_numbers(texts(text))
    assert np.isnan(numbers[0])
    assert bad[0]


def test_text_keeps_none_as_a_category_and_strips_blanks():
    read = to_text(texts("None", "WD ", "NA", "", None, 3.0, 3, b"x"))
    assert read.tolist()[:2] == ["None", "WD"]
    assert read.isna().tolist() == [False, False, True, True, True, False, False, False]
    assert read.tolist()[5:] == ["3", "3", "x"]


def test_booleans_need_one_pair_of_words():
    assert are_booleans(texts("Yes", "no", None))
    assert are_booleans(texts("TRUE", "?"))
    assert not are_booleans(texts("T", "Y"))  # both mean yes: as booleans they would be one value
    assert not are_booleans(texts("yes", "no", "maybe"))
    values, bad = to_booleans(texts("Yes", "no", None, "maybe", True, 0))
    assert values[[0, 1, 4, 5]].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert np.isnan(values[[2, 3]]).all()
    assert bad.tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("written", "pattern", "first"),
    [
        (["2020-01-05 10:00", "2021-01-05T11:00:30Z"], "ISO8601", "2020-01-05 10:00"),
        (["1/2/2020", "13/2/2020"], "%d/%m/%Y", "2020-02-01"),
        (["1/13/2020", "2/1/2020"], "%m/%d/%Y", "2020-01-13"),
        (["3.4.2020"], "%d.%m.%Y", "2020-04-03"),
        (["Jan 5, 2020"], "%b %d, %Y", "2020-01-05"),
        (["05-Jan-20"], "%d-%b-%y", "2020-01-05"),
        (["1/2/2020 10:00 PM"], "%m/%d/%Y %I:%M %p", "2020-01-02 22:00"),
    ],
)
def test_dates_are_recognised(written, pattern, first):
    series = texts(*written)
    assert date_format(series) == pattern
    dates, bad = to_dates(series, pattern)
    assert dates[0] == pd.Timestamp(first)
    assert not bad.any()


@pytest.mark.parametrize(
    "written",
    [["A-1234", "B-2345"], ["555-1234"], ["192.168.0.1"], ["12:30"], ["2020", "2021"], ["Main St 12"]],
)
def test_codes_are_no_dates(written):
    assert date_format(texts(*written)) is None


def test_dates_with_a_zone_become_utc_and_unreadable_ones_bad():
    dates, _ = to_dates(pd.Series(pd.date_range("2020-01-01", periods=1, tz="Asia/Tokyo")))
    assert dates[0] == pd.Timestamp("2019-12-31 15:00")
    dates, bad = to_dates(texts("1/13/2020", "2020-02-01", "soon", "?", None), "%m/%d/%Y")
    assert dates.isna().tolist() == [False, False, True, True, True]
    assert bad.tolist() == [False, False, True, False, False]
