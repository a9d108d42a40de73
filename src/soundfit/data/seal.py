"""Seal: what rows are, by content: hashes that neither order, file nor format of a table can change.

A row's hash depends on that row alone: on its values and on the names of its columns, never on the
columns' order, on the other rows, on whether a whole number is stored as an integer or a float, or
on whether the file was CSV or Parquet. Knows no plan and no ledger.

N rows, U different values in a column.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.table import Table
from soundfit.data.values import MISSING

__all__ = ["SKETCH_SIZE", "overlap", "row_hashes", "seal", "sketch"]

Hashes = NDArray[np.uint64]

SKETCH_SIZE = 16_384

# Salts keep a date, a number and a text with the same bits apart.
_NUMBER, _DATE, _TEXT = (np.uint64(s) for s in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_NOTHING = np.uint64(0xD6E8FEB86659FD93)
_TARGET = "\0target"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"


def row_hashes(frame: pd.DataFrame, target: NDArray[Any]) -> Hashes:
    """Return a hash per row over all columns and the target, shape (N,).

    Fractions are compared to single precision, so that a table stored as float32 equals its text.
    Missing values of every kind are equal. Class targets are given as labels, not as codes.
    """
    total = _cells(_TARGET, pd.Series(target))
    for position, name in enumerate(frame.columns):
        total += _cells(str(name).strip(), frame.iloc[:, position])
    return _mix(total)


def seal(table: Table, rows: NDArray[np.int64]) -> str:
    """Return the SHA-256 seal of these rows (positions in the table), free of their order."""
    hashes = np.sort(_hashes_of(table, rows)).astype("<u8")
    return hashlib.sha256(hashes.tobytes()).hexdigest()


def sketch(table: Table, rows: NDArray[np.int64], *, size: int = SKETCH_SIZE) -> Hashes:
    """Return the lowest ``size`` different row hashes, ascending: all of them for few rows.

    Two sketches tell how many rows two sets share (bottom-k sketches, Cohen & Kaplan 2007).
    """
    return np.unique(_hashes_of(table, rows))[:size]


def overlap(of: Hashes, earlier: list[Hashes], *, size: int = SKETCH_SIZE) -> float:
    """Return the share of the rows behind sketch ``of`` that are behind any of the earlier ones.

    Exact where every set has fewer than ``size`` different rows. Else an estimate from those rows of
    ``of`` whose hashes lie in the range that every sketch covers: about ``size`` rows where the sets
    are of one size (standard error below 0.4 percentage points), fewer where they are not.
    """
    sampled = [one for one in earlier if len(one)]
    if not sampled or not len(of):
        return 0.0
    # Below the lowest of the full sketches' last hashes, every set is known completely.
    bound = min((one[-1] for one in [of, *sampled] if len(one) >= size), default=np.uint64(2**64 - 1))
    known = of[of <= bound]
    return float(np.isin(known, np.concatenate(sampled)).mean()) if len(known) else 0.0


def _hashes_of(table: Table, rows: NDArray[np.int64]) -> Hashes:
    target = table.target[rows]
    if table.task == "classification":
        labels = np.empty(len(table.classes), dtype=object)
        labels[:] = table.classes
        target = labels[target.astype(np.int64)]
    return row_hashes(table.frame.iloc[rows], target)


def _mix(bits: Hashes) -> Hashes:
    """Return the bits well stirred (the finaliser of splitmix64: Steele, Lea & Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _cells(name: str, column: pd.Series[Any]) -> Hashes:
    """Return a hash per cell of a column; their sum over columns does not depend on the columns' order."""
    salt = np.frombuffer(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], dtype="<u8")
    return _mix(_values(column) ^ salt.astype(np.uint64))


def _values(column: pd.Series[Any]) -> Hashes:
    dtype = column.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _dates(column)
    if pd.api.types.is_timedelta64_dtype(dtype):
        column = column.dt.total_seconds()
    elif pd.api.types.is_complex_dtype(dtype):
        column = column.astype(str)
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return _numbers(column.to_numpy(dtype=np.float64, na_value=np.nan))
    codes, uniques = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=True)
    hashes = np.append(_objects(uniques), _NOTHING)
    return hashes[codes]


def _numbers(values: NDArray[np.float64]) -> Hashes:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values) == values
        bits = (np.where(whole, values, values.astype(np.float32)) + 0.0).view(np.uint64)  # -0.0 is 0.0
    return np.where(np.isnan(values), _NOTHING, _mix(bits ^ _NUMBER))


def _dates(column: pd.Series[Any]) -> Hashes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    microseconds = column.to_numpy(dtype="datetime64[us]").astype(np.int64).view(np.uint64)
    return np.where(column.isna().to_numpy(), _NOTHING, _mix(microseconds ^ _DATE))


def _objects(uniques: NDArray[Any]) -> Hashes:
    """Return a hash per different value: what reads as a number or an ISO date is one."""
    text = pd.Series([str(value).strip() for value in uniques], dtype=object)
    hashes = _mix(pd.util.hash_array(text.to_numpy(), categorize=False) ^ _TEXT)
    as_number = text.replace(
        {"True": "1", "true": "1", "TRUE": "1", "False": "0", "false": "0", "FALSE": "0"}
    )
    numbers = pd.to_numeric(as_number, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    hashes = np.where(np.isnan(numbers), hashes, _numbers(numbers))
    is_date = text.str.fullmatch(_ISO_DATE).to_numpy(dtype=bool)
    if is_date.any():
        dates = pd.to_datetime(text[is_date], format="ISO8601", utc=True, errors="coerce")
        hashes[is_date] = np.where(dates.isna().to_numpy(), hashes[is_date], _dates(dates))
    return np.where(text.isin(MISSING).to_numpy(), _NOTHING, hashes)
