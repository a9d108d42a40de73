"""Columns: which kind each column is and whether models read it. Knows no files and no target."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.table import Column
from soundfit.data.values import are_booleans, date_format, to_booleans, to_dates, to_numbers, to_text
from soundfit.records import Finding
from soundfit.records.said import joined, say

__all__ = ["as_kinds", "infer_columns", "numbers_in_text"]

# Below this share of readable values, text with some numbers in it stays text (ticket numbers, say).
_NEARLY_ALL = 0.9
_FEW = 20
_NEAR_UNIQUE = 0.95
_WORDS_OF_FREE_TEXT = 3.5
_LETTERS_OF_FREE_TEXT = 40.0

_ID_WORDS = frozenset({"id", "ids", "uid", "uuid", "guid", "pid", "rowid", "idx", "index", "rownames"})
_WEAK_ID_WORDS = frozenset(
    {"row", "order", "serial", "key", "no", "nr", "num", "number", "record", "case", "sample", "obs"}
    | {"observation", "ref", "reference", "unnamed", "code", "sequence", "seq", "rank"}
)
_ENTITY_ID = re.compile(
    r"^(customer|user|passenger|patient|subject|sample|record|row|order|account|client|employee|member|person"
    r"|student|transaction|product|item|house|property|parcel|loan|case|session|device|policy|invoice|visit"
    r"|participant|respondent|observation|obs|claim|event|ticket|image|file|job|sale)s?(id|nr|no|num|number)$"
)
# A counter under such a name is a measurement: it orders rows in time or in space.
_MEASURES = frozenset(
    {"time", "year", "yr", "date", "month", "week", "day", "hour", "minute", "second"}
    | {"age", "dose", "distance", "depth", "temperature", "temp", "position", "timestamp", "period", "size"}
    | {"length", "height", "weight", "width", "level", "price", "area", "cost", "income", "quarter", "step"}
)


def infer_columns(
    frame: pd.DataFrame,
    *,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    file_rows: NDArray[np.int64] | None = None,
) -> tuple[tuple[Column, ...], tuple[Finding, ...]]:
    """Infer each column's kind from its values.

    Args:
        frame: raw feature columns, N rows.
        drop: columns that models must not read.
        keep: columns that models read although they look like an id or free text.
        file_rows: shape (N,), each row's position in the file (default 0 … N-1), named in findings.

    Returns:
        One :class:`Column` per column in the frame's order, and what was found on the way.
    """
    rows = np.arange(len(frame)) if file_rows is None else file_rows
    columns: list[Column] = []
    findings: list[Finding] = []
    for name in frame.columns:
        column, found = _infer(frame[name], str(name), kept=name in keep, rows=rows)
        if name in drop:
            # What is left out on request needs no findings about why it should be.
            column = replace(column, used=False, reason=say("left out on request"))
            found = []
        columns.append(column)
        findings.extend(found)
    return _spare_only_counter(tuple(columns), tuple(findings))


def as_kinds(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the frame with each column in its kind's one form, index 0 … N-1.

    numeric and boolean: float64 (infinities and unreadable text NaN; booleans 1 and 0); date:
    datetime64[us]; categorical, text: stripped strings in object with NaN; id, constant: as they are.
    """
    forms: dict[str, pd.Series] = {}
    for column in columns:
        series = frame[column.name].reset_index(drop=True)
        if column.kind == "numeric":
            series = pd.Series(_finite(to_numbers(series)[0]))
        elif column.kind == "boolean":
            series = pd.Series(to_booleans(series)[0])
        elif column.kind == "date":
            series = to_dates(series, column.format)[0]
        elif column.kind in ("categorical", "text"):
            series = to_text(series)
        forms[column.name] = series
    return pd.DataFrame(forms, index=pd.RangeIndex(len(frame)), copy=False)


def numbers_in_text(series: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Return (numbers, bad) where nearly all values are numbers, else None.

    Codes with leading zeros ("00123") are names, not numbers.
    """
    numbers, bad = to_numbers(series)
    n_read = int(np.isfinite(numbers).sum())
    if n_read == 0 or n_read < _NEARLY_ALL * (n_read + int(bad.sum())):
        return None
    texts = pd.Series(pd.unique(series.astype(object).dropna()), dtype=object)
    if texts.map(lambda t: isinstance(t, str) and re.match(r"^\s*0\d+\s*$", t) is not None).any():
        return None
    return numbers, bad


def _infer(
    series: pd.Series, name: str, *, kept: bool, rows: NDArray[np.int64]
) -> tuple[Column, list[Finding]]:
    dtype = series.dtype
    if len(series) == 0 or series.isna().all():
        return _constant(name, say("every value is missing"))
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _unless_constant(Column(name, "date"), series)
    if pd.api.types.is_bool_dtype(dtype):
        return _unless_constant(Column(name, "boolean"), series)
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return _infer_numbers(to_numbers(series)[0], name, kept=kept, rows=rows)
    texts = to_text(series)
    if texts.isna().all():
        return _constant(name, say("every value is missing"))
    if are_booleans(texts):
        return _unless_constant(Column(name, "boolean"), pd.Series(to_booleans(texts)[0]))
    if not isinstance(dtype, pd.CategoricalDtype):
        read = numbers_in_text(series)
        # "3+" among 0, 1 and 2 is a category, not a damaged number.
        if read is not None and (not read[1].any() or len(np.unique(read[0])) > _FEW):
            numbers, bad = read
            column, findings = _infer_numbers(numbers, name, kept=kept, rows=rows)
            if bad.any():
                findings.insert(0, _mixed_types(name, texts, bad, rows))
            return column, findings
        pattern = date_format(texts)
        if pattern is not None:
            return _unless_constant(Column(name, "date", format=pattern), to_dates(texts, pattern)[0])
    return _infer_words(texts, name, kept=kept)


def _infer_numbers(
    numbers: NDArray[np.float64], name: str, *, kept: bool, rows: NDArray[np.int64]
) -> tuple[Column, list[Finding]]:
    findings: list[Finding] = []
    infinite = np.isinf(numbers)
    if infinite.any():
        findings.append(_infinite(name, infinite, rows))
    present = numbers[np.isfinite(numbers)]
    if present.size == 0:
        column, found = _constant(name, say("no value is a finite number"))
        return column, findings + found
    low, high = float(present.min()), float(present.max())
    if low == high and present.size == numbers.size:
        column, found = _constant(name, say("every value is {value:g}", value=low))
        return column, findings + found
    whole = bool(np.all(present == np.floor(present)))
    if whole and low >= 0 and high <= 1:
        return Column(name, "boolean"), findings
    if whole and not kept:
        why = _why_id(present, name)
        if why:
            findings.append(_id_column(name, why))
            return Column(name, "id", used=False, reason=why), findings
    return Column(name, "numeric"), findings


def _infer_words(texts: pd.Series, name: str, *, kept: bool) -> tuple[Column, list[Finding]]:
    present = texts.dropna()
    distinct = pd.Series(present.unique(), dtype=object)
    if len(distinct) == 1 and len(present) == len(texts):
        return _constant(name, say("every value is {value!r}", value=_short(distinct[0])))
    share = len(distinct) / len(present)
    words = float(distinct.str.count(r"\S+").mean())
    letters = float(distinct.str.len().mean())
    wordy = words >= _WORDS_OF_FREE_TEXT or letters >= _LETTERS_OF_FREE_TEXT
    if kept or len(distinct) < 10:
        return Column(name, "categorical"), []
    if wordy and share > 0.5 and " " in "".join(distinct.head(10)):
        reason = say(
            "free text: {words:.0f} words a value, {distinct} different values",
            words=words,
            distinct=len(distinct),
        )
        return Column(name, "text", used=False, reason=reason), [_free_text(name, reason)]
    if len(distinct) == len(present) or (share >= _NEAR_UNIQUE and len(present) >= 50):
        why = say("{distinct} different values in {n} rows", distinct=len(distinct), n=len(present))
        return Column(name, "id", used=False, reason=why), [_id_column(name, why)]
    numbers, bad = to_numbers(texts)
    if 0.5 * len(present) < int(np.isfinite(numbers).sum()) and len(np.unique(numbers)) > _FEW and bad.any():
        return Column(name, "categorical"), [_mostly_numbers(name, int(np.isfinite(numbers).sum()), bad)]
    return Column(name, "categorical"), []


def _why_id(present: NDArray[np.float64], name: str) -> str:
    """Return why these whole numbers are an identifier, or "" where they are a measurement."""
    n = present.size
    ordered = np.unique(present)
    if n < 10 or ordered.size < _NEAR_UNIQUE * n or ordered[0] < 0:
        return ""
    strength = _id_strength(name)
    unique = ordered.size == n
    if strength == "strong" or (strength == "weak" and unique):
        return say(
            "an identifier by its name and its {distinct} different values in {n} rows",
            distinct=int(ordered.size),
            n=n,
        )
    if not unique or strength == "measure":
        return ""
    span = ordered[-1] - ordered[0] + 1
    rising = bool(np.all(np.diff(present) > 0))
    if ordered[0] <= 1 and (span == n or (rising and span <= 1.25 * n)):
        return say(
            "whole numbers counting the rows from {first:.0f} to {last:.0f}",
            first=ordered[0],
            last=ordered[-1],
        )
    return ""


def _id_strength(name: str) -> str:
    """Return what the name says: "strong" or "weak" identifier, "measure", or ""."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)
    words = [part.casefold() for part in parts]
    if not words:
        return ""
    if words[-1] in _ID_WORDS or words[0] in _ID_WORDS or _ENTITY_ID.match("".join(words)):
        return "strong"
    if all(word in _WEAK_ID_WORDS for word in words):
        return "weak"
    measured = name.casefold() in ("t", "x", "y", "z") or any(word in _MEASURES for word in words)
    return "measure" if measured else ""


def _unless_constant(column: Column, series: pd.Series) -> tuple[Column, list[Finding]]:
    distinct = series.dropna().unique()
    if len(distinct) == 0:
        return _constant(column.name, say("every value is missing"))
    if len(distinct) == 1 and not series.isna().any():
        return _constant(column.name, say("every value is {value}", value=distinct[0]))
    return column, []


def _spare_only_counter(
    columns: tuple[Column, ...], findings: tuple[Finding, ...]
) -> tuple[tuple[Column, ...], tuple[Finding, ...]]:
    """Read a counter after all where it is the only feature: y against 0, 1, 2 … is a real problem."""
    if len(columns) != 1 or columns[0].kind != "id" or not columns[0].reason.startswith("whole numbers"):
        return columns, findings
    spared = tuple(f for f in findings if f.code != "id-column")
    return (replace(columns[0], kind="numeric", used=True, reason=""),), spared


def _finite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isinf(numbers), np.nan, numbers) if np.isinf(numbers).any() else numbers


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 30 else text[:29] + "…"


def _constant(name: str, why: str) -> tuple[Column, list[Finding]]:
    finding = Finding(
        "constant-column",
        "note",
        say("Column {name!r} tells rows apart by nothing ({why}); it is left out.", name=name, why=why),
        columns=(name,),
        fix=say("Drop the column, or fill it: --drop {name!r}.", name=name),
    )
    return Column(name, "constant", used=False, reason=why), [finding]


def _id_column(name: str, why: str) -> Finding:
    return Finding(
        "id-column",
        "note",
        say(
            "Column {name!r} is an identifier ({why}); it is left out, because a model would learn rows by "
            "heart.",
            name=name,
            why=why,
        ),
        columns=(name,),
        fix=say("Nothing, if it names rows; if it is a measurement, rename it after what it measures."),
    )


def _free_text(name: str, why: str) -> Finding:
    return Finding(
        "free-text",
        "note",
        say("Column {name!r} is left out ({why}).", name=name, why=why),
        columns=(name,),
        fix=say("Turn the text into columns (length, key words, an embedding) if it matters."),
    )


def _infinite(name: str, infinite: NDArray[np.bool_], rows: NDArray[np.int64]) -> Finding:
    where = rows[infinite]
    return Finding(
        "infinite-values",
        "warning",
        say(
            "Column {name!r} has {count}; treated as missing.",
            name=name,
            count=_count(len(where), say("infinite value")),
        ),
        columns=(name,),
        rows=tuple(int(row) for row in where[:20]),
        n_rows=len(where),
        fix=say("Look for a division by zero or the logarithm of zero where the column is made."),
    )


def _mixed_types(name: str, texts: pd.Series, bad: NDArray[np.bool_], rows: NDArray[np.int64]) -> Finding:
    examples = joined(", ", (repr(_short(text)) for text in texts[bad].unique()[:3]))
    n_bad = int(bad.sum())
    return Finding(
        "mixed-types",
        "warning",
        say(
            "Column {name!r} holds numbers, but {count} cannot be read as one ({examples}); treated as "
            "missing.",
            name=name,
            count=_count(n_bad, say("value")),
            examples=examples,
        ),
        columns=(name,),
        rows=tuple(int(row) for row in rows[bad][:20]),
        n_rows=n_bad,
        fix=say("Correct these cells, or leave them empty where the number is unknown."),
    )


def _mostly_numbers(name: str, n_numbers: int, bad: NDArray[np.bool_]) -> Finding:
    return Finding(
        "mixed-types",
        "note",
        say(
            "Column {name!r} mixes {count} with {count2}; read as categories.",
            name=name,
            count=_count(n_numbers, say("number")),
            count2=_count(int(bad.sum()), say("text")),
        ),
        columns=(name,),
        fix=say("Split it into a column of numbers and a column of words, if both mean something."),
    )


def _count(n: int, noun: str) -> str:
    return say("{n:,} {noun}", n=n, noun=noun) if n == 1 else say("{n:,} {noun}s", n=n, noun=noun)
