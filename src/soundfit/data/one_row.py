"""One row: the features of a single row of plain values, without pandas.

Knows the encoder whose twin it is, and no models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.encoder import CLIP, SMOOTH, Encoder, raw_features
from soundfit.data.layout import Block, Layout
from soundfit.data.values import FALSE_WORDS, FILLERS, TRUE_WORDS, number_of, text_of
from soundfit.errors import DataError, did_you_mean
from soundfit.records.said import say

__all__ = ["RowEncoder", "RowReader"]

_MOST_DATES, _LONGEST_KEPT = 4096, 64


class RowEncoder:
    """Encodes single rows for several encoders at once: the fast twin of ``Encoder.transform``."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        places: dict[Layout, list[int]] = {}
        for i, encoder in enumerate(encoders):
            places.setdefault(encoder.layout, []).append(i)
        self.n_encoders = len(encoders)
        self.parts = [
            (RowReader(layout), _Scaling(layout, [encoders[i] for i in mine]), mine)
            for layout, mine in places.items()
        ]

    def encode(self, row: Mapping[str, Any]) -> tuple[NDArray[np.float32], ...]:
        """Return the row as each encoder reads it, (1, F) each.

        Raises:
            DataError: a column is missing, or holds what cannot be read; its text names the column.
        """
        found: list[Any] = [None] * self.n_encoders
        for reader, scaling, mine in self.parts:
            for i, encoded in zip(mine, scaling(reader.raw(row)), strict=True):
                found[i] = encoded
        return tuple(found)


class _Scaling:
    """``Encoder.scaled`` for one row and E encoders of one layout."""

    def __init__(self, layout: Layout, encoders: Sequence[Encoder]) -> None:
        self.continuous = np.flatnonzero(layout.numeric)
        self.median = np.stack([e.median[self.continuous] for e in encoders])
        self.scale = np.stack([e.scale[self.continuous] for e in encoders])
        self.inactive = ~np.stack([e.active for e in encoders])

    def __call__(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (E, 1, F) of one row (F,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = (raw[self.continuous] - self.median) / self.scale
        np.clip(z, -CLIP, CLIP, out=z)
        z /= np.sqrt(1.0 + np.square(z / SMOOTH))
        scaled = np.empty(self.inactive.shape)
        scaled[:] = raw
        scaled[:, self.continuous] = z
        scaled[np.isnan(scaled) | self.inactive] = 0.0
        return scaled.astype(np.float32)[:, None]


class RowReader:
    """Reads rows of one layout: the fast twin of ``raw_features``."""

    def __init__(self, layout: Layout) -> None:
        self.readers: list[tuple[str, Callable[[NDArray[np.float64], Any], None]]] = []
        start = 0
        for block in layout.blocks:
            read = {"numeric": _number, "categorical": _level, "boolean": _boolean, "date": _date}[block.kind]
            self.readers.append((block.column, read(block, start)))
            start += len(block.names)
        self.n_features = start

    def raw(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the raw features, shape (F,).

        Args:
            row: for each column a text, a number, a boolean or None (missing).

        Raises:
            DataError: a column is missing, or holds what cannot be read; its text names the column.
        """
        out = np.zeros(self.n_features)
        for column, read in self.readers:
            if column not in row:
                raise DataError(
                    "Prediction needs every column that the model was trained on",
                    received=say("a row without {column!r}", column=column),
                    fix=say(
                        "send it, null where the value is unknown; {did_you_mean}",
                        did_you_mean=did_you_mean(column, row),
                    ),
                )
            read(out, row[column])
        return out


# One function per kind of block: each returns a function that writes a value's features from ``start`` on.


def _number(block: Block, start: int) -> Callable[[NDArray[np.float64], Any], None]:
    last = start + 1 if block.missing else None

    def read(out: NDArray[np.float64], value: Any) -> None:
        number = math.nan if value is None else number_of(value)
        if number is None:
            raise _unreadable(block.column, "numbers", value)
        known = math.isfinite(number)
        out[start] = number if known else math.nan
        if last is not None and not known:
            out[last] = 1.0

    return read


def _level(block: Block, start: int) -> Callable[[NDArray[np.float64], Any], None]:
    end = start + len(block.names)
    place = {level: j for j, level in enumerate(block.levels)}
    # A known level in its very words is most of what comes; not so a level that reads as missing.
    at_once = {level: j for level, j in place.items() if text_of(level) == level}
    other = len(place) if block.pooled else -1
    paired = block.paired

    def read(out: NDArray[np.float64], value: Any) -> None:
        j = at_once.get(value) if isinstance(value, str) else None
        if j is None:
            text = None if value is None else text_of(value)
            if not isinstance(text, str):
                if block.missing:
                    out[end - 1] = 1.0
                return
            j = place.get(text, other)
        if paired:
            out[start] = 0.0 if j < 0 else (-1.0, 1.0)[j]
        elif j >= 0:
            out[start + j] = 1.0

    return read


def _boolean(block: Block, start: int) -> Callable[[NDArray[np.float64], Any], None]:
    last = start + 1 if block.missing else None

    def read(out: NDArray[np.float64], value: Any) -> None:
        text = None if value is None else text_of(value)
        word = text.casefold() if isinstance(text, str) else ""
        if word in TRUE_WORDS or word in FALSE_WORDS:
            out[start] = 1.0 if word in TRUE_WORDS else -1.0
            return
        if word and word not in FILLERS:
            raise _unreadable(block.column, "yes or no", value)
        out[start] = math.nan
        if last is not None:
            out[last] = 1.0

    return read


def _date(block: Block, start: int) -> Callable[[NDArray[np.float64], Any], None]:
    end = start + len(block.names)
    layout = Layout((block,))

    # Reading one date takes pandas a millisecond; the same days come again and again.
    @lru_cache(_MOST_DATES)
    def features(value: Any, kind: str) -> NDArray[np.float64]:
        frame = pd.DataFrame({block.column: pd.Series([value], dtype=object)})
        return raw_features(layout, frame)[0]

    def read(out: NDArray[np.float64], value: Any) -> None:
        short = not isinstance(value, str) or len(value) <= _LONGEST_KEPT
        out[start:end] = (features if short else features.__wrapped__)(value, type(value).__name__)

    return read


def _unreadable(column: str, held: str, value: Any) -> DataError:
    shown = repr(value)
    return DataError(
        say("Column {column!r} held {held} when the model was trained", column=column, held=held),
        received=shown if len(shown) <= 80 else shown[:79] + "…",
        fix=say("write {held} in it, or leave cells empty where the value is unknown", held=held),
    )
