"""Values: one column of any dtype read as numbers, booleans, dates or text. Knows no kinds and no files."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "FALSE_WORDS",
    "FILLERS",
    "MISSING",
    "TRUE_WORDS",
    "are_booleans",
    "date_format",
    "number_of",
    "text_codes",
    "text_of",
    "to_booleans",
    "to_dates",
    "to_numbers",
    "to_text",
]

# "None" is no entry: real tables use it as a category (no veneer, no alley).
MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NAN", "null", "NULL", "Null", "#N/A", "<NA>", "NaT"}
)
# Words that stand for a missing value only where the column otherwise holds numbers, booleans or dates.
FILLERS = frozenset(
    {"?", "-", "--", ".", "..", "*", "none", "unknown", "missing", "na", "n/a", "n.a.", "nan", "nil"}
    | {"null", "#div/0!", "#value!", "#ref!", "#num!", "not available", "undefined"}
)
_PAIRS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("1", "0"), ("on", "off"))
TRUE_WORDS = frozenset(yes for yes, _ in _PAIRS)
FALSE_WORDS = frozenset(no for _, no in _PAIRS)

_NUMBER = re.compile(
    r"""^(?P<open>\()?\s*(?P<sign>[-+−])?\s*(?:[$€£¥₹]|USD|EUR|GBP)?\s*(?P<sign2>[-+−])?
        (?P<whole>\d{1,3}(?:(?P<group>[,\s'  ])\d{3})(?:(?P=group)\d{3})*|\d*)
        (?P<part>\.\d*)?(?P<power>[eE][-+]?\d+)?
        \s*(?:[%‰$€£¥₹]|USD|EUR|GBP)?\s*(?P<close>\))?$""",
    re.VERBOSE,
)
_CLOCK = re.compile(r"^(\d{1,3}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$")
_DAYS = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%y",
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ENOUGH = 0.95


def to_text(series: pd.Series) -> pd.Series:
    """Return stripped strings with NaN for missing, dtype object; 3.0 reads "3" as an integer would."""
    codes, distinct = text_codes(series)
    texts = np.empty(len(distinct) + 1, dtype=object)
    texts[:-1] = distinct
    texts[-1] = np.nan
    return pd.Series(texts[codes], index=series.index, name=series.name, dtype=object)


def text_codes(series: pd.Series) -> tuple[NDArray[np.intp], list[Any]]:
    """Return (codes, texts) ``texts[codes[i]]`` the text of row i; code −1 or NaN for none."""
    codes, uniques = _factorize(series)
    return codes, [text_of(value) for value in uniques]


def to_numbers(series: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (numbers, bad), each of shape (N,): NaN for missing, bad where text is no number.

    Infinities stay. Text such as "1,234", "12%", "$5", "(3.5)" and "1e-3" is read: "12%" gives 12, and
    a time of day its hours, 12.5 for "12:30".
    """
    dtype = series.dtype
    nothing_bad = np.zeros(len(series), dtype=bool)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return series.dt.total_seconds().to_numpy(dtype=np.float64), nothing_bad
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return np.full(len(series), np.nan), series.notna().to_numpy()
    if pd.api.types.is_complex_dtype(dtype):
        return np.full(len(series), np.nan), ~nothing_bad
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan), nothing_bad
    codes, uniques = _factorize(series)
    numbers = np.full(len(uniques) + 1, np.nan)
    bad = np.zeros(len(uniques) + 1, dtype=bool)
    for i, value in enumerate(uniques):
        number = number_of(value)
        bad[i] = number is None
        numbers[i] = np.nan if number is None else number
    return numbers[codes], bad[codes]


def to_booleans(series: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (values, bad), each of shape (N,): 1, 0 or NaN; bad where a value is neither yes nor no."""
    codes, uniques = _factorize(series)
    values = np.full(len(uniques) + 1, np.nan)
    bad = np.zeros(len(uniques) + 1, dtype=bool)
    for i, value in enumerate(uniques):
        text = text_of(value)
        word = text.casefold() if isinstance(text, str) else ""
        if word in TRUE_WORDS or word in FALSE_WORDS:
            values[i] = float(word in TRUE_WORDS)
        else:
            bad[i] = bool(word) and word not in FILLERS
    return values[codes], bad[codes]


def are_booleans(texts: pd.Series) -> bool:
    """Return whether the texts are one pair of words for yes and no, or one word of it."""
    words = {str(text).casefold() for text in texts.dropna().unique()} - FILLERS
    return bool(words) and any(words <= set(pair) for pair in _PAIRS)


def to_dates(series: pd.Series, pattern: str = "") -> tuple[pd.Series, NDArray[np.bool_]]:
    """Return (dates, bad): datetime64[us] without a zone (UTC), NaT for missing, bad where text is no date.

    Args:
        series: dates or text.
        pattern: what :func:`date_format` returned for the column; empty means ISO 8601.
    """
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        dates = series.dt.tz_convert(None) if series.dt.tz is not None else series
        return dates.astype("datetime64[us]"), np.zeros(len(series), dtype=bool)
    texts = to_text(series)
    codes, uniques = pd.factorize(texts)
    parsed = _parse_dates(pd.Series(uniques, dtype=object), pattern or "ISO8601")
    # A file written later may use ISO 8601 where the training file did not.
    if pattern not in ("", "ISO8601"):
        parsed = parsed.fillna(_parse_dates(pd.Series(uniques, dtype=object), "ISO8601"))
    whole = np.append(parsed.to_numpy(dtype="datetime64[us]"), np.datetime64("NaT", "us"))
    dates = pd.Series(whole[codes], index=series.index, name=series.name)
    filler = np.array([str(u).casefold() in FILLERS for u in uniques] + [True], dtype=bool)
    return dates, (dates.isna().to_numpy() & ~filler[codes])


def date_format(texts: pd.Series) -> str | None:
    """Return the strptime format (or ``"ISO8601"``) that reads nearly all of the texts, else None.

    Where both month-first and day-first read every value, month-first wins.
    """
    distinct = pd.Series(pd.unique(texts.dropna()), dtype=object)
    distinct = distinct[[str(t).casefold() not in FILLERS for t in distinct]].head(1000)
    if distinct.empty:
        return None
    dated = distinct.str.contains(r"\d", regex=True) & distinct.str.len().between(6, 40)
    if dated.mean() < _ENOUGH or not distinct.str.contains(r"\d[-/. :,]|[ -]\d", regex=True).all():
        return None
    if _share(distinct, "ISO8601") >= _ENOUGH:
        return "ISO8601"
    timed = distinct.str.contains(":").mean() > 0.5
    times = _TIMES[1:] if timed else _TIMES[:1]
    shares = {day + time: _share(distinct, day + time) for time in times for day in _DAYS}
    best = max(shares, key=lambda key: shares[key])
    return best if shares[best] >= _ENOUGH else None


def _share(texts: pd.Series, pattern: str) -> float:
    if len(texts) > 20 and _parse_dates(texts.head(20), pattern).notna().mean() < 0.5:
        return 0.0
    return float(_parse_dates(texts, pattern).notna().mean())


def _parse_dates(texts: pd.Series, pattern: str) -> pd.Series:
    parsed = pd.to_datetime(texts, format=pattern, errors="coerce", utc=True)
    return parsed.dt.tz_convert(None).astype("datetime64[us]")


def _factorize(series: pd.Series) -> tuple[NDArray[np.intp], list[Any]]:
    """Return (codes, distinct values), code -1 for missing; lists and arrays count as their text."""
    values = series.astype(object)
    try:
        codes, uniques = pd.factorize(values)
    except TypeError:
        codes, uniques = pd.factorize(values.map(str, na_action="ignore"))
    return codes, list(uniques)


def text_of(value: Any) -> Any:
    """Return one value as stripped text, NaN where it is a word for missing."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    return np.nan if text in MISSING else text


def number_of(value: Any) -> float | None:
    """Return the number, NaN for a missing word, None for any other text."""
    if not isinstance(value, str | bytes):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            if not isinstance(value, datetime.time):
                return None
    text = text_of(value)
    if not isinstance(text, str) or text.casefold() in FILLERS:
        return np.nan
    if "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    clock = _CLOCK.match(text)
    if clock:
        return int(clock[1]) + int(clock[2]) / 60 + float(clock[3] or 0) / 3600
    found = _NUMBER.match(text)
    if not found or not any(c.isdigit() for c in found["whole"] + (found["part"] or "")):
        return None
    if bool(found["open"]) != bool(found["close"]):
        return None
    digits = re.sub(r"\D", "", found["whole"]) or "0"
    number = float(digits + (found["part"] or "") + (found["power"] or ""))
    negative = found["open"] or (found["sign"] or found["sign2"] or "") in ("-", "−")
    return -number if negative else number
