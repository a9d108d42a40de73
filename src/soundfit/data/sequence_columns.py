"""Sequences in tables with one sequence a row: lists in Parquet, or text such as ``[1, 2, 3]`` in CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from soundfit.data.columns import as_kinds, infer_columns
from soundfit.data.sequence_layout import Layout, SequenceSource, check_target, stacked
from soundfit.errors import DataError, did_you_mean
from soundfit.records.said import say

__all__ = ["array_columns", "columns_of_lists", "from_columns"]

_LIST = re.compile(r"^\s*[\[(].*[\])]\s*$", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\bnan\b|\bnone\b|\bnull\b", re.IGNORECASE)


def array_columns(frame: pd.DataFrame, named: str = "") -> list[str]:
    """Return the columns whose cells are arrays: lists, or text such as ``[1, 2, 3]``.

    A column that is ``named`` may also hold bare text such as ``1 2 3``; it then stands alone.
    """
    found = [str(c) for i, c in enumerate(frame.columns) if _is_array_column(frame.iloc[:, i], bare=False)]
    if named and named in frame.columns and named not in found:
        return [named] if _is_array_column(frame[named], bare=True) else []
    return [named] if named else found


def columns_of_lists(path: Path) -> bool:
    """Return whether a Parquet or Feather file has a column of lists of numbers, by its schema alone."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            schema = pa.parquet.read_schema(path)
        else:
            with pa.ipc.open_file(path) as reader:
                schema = reader.schema
    except (OSError, pa.ArrowException):
        return False
    return any(_is_list_of_numbers(field.type) for field in schema)


def _is_list_of_numbers(kind: Any) -> bool:
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return 0 < depth <= 2 and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_array_column(column: pd.Series, *, bare: bool) -> bool:
    if column.dtype != object and not pd.api.types.is_string_dtype(column.dtype):
        return False
    cells = column.dropna().head(50)
    return len(cells) > 0 and all(_is_array(cell, bare) for cell in cells)


def _is_array(cell: Any, bare: bool) -> bool:
    if isinstance(cell, list | tuple | np.ndarray):
        return True
    if not isinstance(cell, str) or not (_LIST.match(cell) or (bare and len(_NUMBER.findall(cell)) > 1)):
        return False
    return not re.sub(r"[\s,;|\[\]()]", "", _NUMBER.sub("", cell))


def _cell(cell: Any, where: str) -> NDArray[np.float32]:
    """Return a cell as (t, F)."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return np.zeros((0, 1), dtype=np.float32)
    try:
        if isinstance(cell, str):
            rows = (
                re.findall(r"[\[(]([^\[\]()]*)[\])]", cell) if re.match(r"^\s*[\[(]\s*[\[(]", cell) else None
            )
            if rows is not None:
                return np.array([_numbers(r) for r in rows], dtype=np.float32).reshape(len(rows), -1)
            return np.array(_numbers(cell), dtype=np.float32)[:, None]
        values = [np.asarray(v, dtype=np.float32) if v is not None else np.float32("nan") for v in cell]
        array = np.stack(values) if values else np.zeros((0, 1), dtype=np.float32)
        return np.asarray(array[:, None] if array.ndim == 1 else array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            "A sequence is an array of numbers, its steps of one size",
            received=f"{where}: {str(cell)[:80]!r} ({error})",
            fix="write each cell as [1, 2, 3], or [[1, 2], [3, 4]] for several channels",
        ) from None


def _numbers(text: str) -> list[float]:
    return [
        float("nan") if token.casefold() in ("nan", "none", "null") else float(token)
        for token in _NUMBER.findall(text)
    ]


def from_columns(
    frame: pd.DataFrame, name: str, target: str, arrays: list[str], layout: Layout | None, keep: Sequence[str]
) -> SequenceSource:
    check_target(frame, target, layout, name)
    parts: list[list[NDArray[np.float32]]] = []
    names: list[str] = []
    for column in arrays:
        if column not in frame.columns:
            raise DataError(
                "New data have the columns that the model reads",
                received=say("{name} without {column!r}", name=name, column=column),
                fix=did_you_mean(column, [str(c) for c in frame.columns]),
            )
        cells = [_cell(c, f"column {column!r}, row {i}") for i, c in enumerate(frame[column])]
        width = max((c.shape[1] for c in cells if len(c)), default=1)
        cells = [c if len(c) else np.zeros((0, width), dtype=np.float32) for c in cells]
        uneven = next((i for i, c in enumerate(cells) if c.shape[1] != width), None)
        if uneven is not None:
            raise DataError(
                "All steps of a column have the same channels",
                received=say(
                    "row {uneven} of {column!r} with {shape} instead of {width}",
                    uneven=uneven,
                    column=column,
                    shape=cells[uneven].shape[1],
                    width=width,
                ),
                fix="write as many values for each step",
            )
        parts.append(cells)
        names += [column] if width == 1 else [f"{column}[{j}]" for j in range(width)]
    lengths = np.array([[len(c) for c in cells] for cells in parts])
    differs = np.flatnonzero((lengths != lengths[0]).any(axis=0))
    if len(differs):
        i = int(differs[0])
        told = ", ".join(f"{n} in {c!r}" for c, n in zip(arrays, lengths[:, i], strict=True))
        raise DataError(
            "Arrays of one row are channels of one sequence and have one length",
            received=say("row {i} with {told}", i=i, told=told),
            fix="name the one column to read with --sequence, and leave out the others with --drop",
        )
    rows = [np.concatenate(cells, axis=1) for cells in zip(*parts, strict=True)]
    rest = frame.drop(columns=[c for c in (*arrays, target) if c in frame.columns])
    static = layout.channels[len(names) :] if layout is not None else tuple(_static(rest, keep))
    if static:
        values = _static_values(rest, static, name)
        rows = [
            np.concatenate([r, np.tile(v, (len(r), 1))], axis=1) for r, v in zip(rows, values, strict=True)
        ]
    labels = frame[target].reset_index(drop=True) if target in frame.columns else None
    return SequenceSource(
        name,
        stacked(rows),
        layout or Layout("columns", (*names, *static), tuple(arrays)),
        target,
        labels,
        rest[[c for c in rest.columns if c not in static]].reset_index(drop=True),
    )


def _static(rest: pd.DataFrame, keep: Sequence[str]) -> list[str]:
    """Return the columns with one number per sequence, which become constant channels."""
    candidates = rest[[c for c in rest.columns if c not in keep]]
    if not len(candidates.columns):
        return []
    columns, _ = infer_columns(candidates)
    return [c.name for c in columns if c.used and c.kind in ("numeric", "boolean")]


def _static_values(rest: pd.DataFrame, static: Sequence[str], name: str) -> NDArray[np.float32]:
    missing = [c for c in static if c not in rest.columns]
    if missing:
        raise DataError(
            "New data have the columns that the model reads",
            received=say("{name} without {list}", name=name, list=", ".join(map(repr, missing))),
            fix=did_you_mean(missing[0], [str(c) for c in rest.columns]),
        )
    columns, _ = infer_columns(rest[list(static)])
    read = as_kinds(
        rest[list(static)], [replace(c, kind="numeric" if c.kind != "boolean" else c.kind) for c in columns]
    )
    return read.to_numpy(dtype=np.float32)
