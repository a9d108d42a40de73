"""One row: the raw features of a single row of plain values, without pandas.

The fast twin of ``soundfit.data.encoder.raw_features`` for one row (tested equal to it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.encoder import raw_features
from soundfit.data.layout import Block, Layout
from soundfit.data.values import FALSE_WORDS, FILLERS, TRUE_WORDS, number_of, text_of
from soundfit.errors import DataError, did_you_mean

__all__ = ["RowReader"]


class RowReader:
    """Reads rows of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.places: list[tuple[Block, int, dict[str, int]]] = []
        start = 0
        for block in layout.blocks:
            self.places.append((block, start, {level: j for j, level in enumerate(block.levels)}))
            start += len(block.names)
        self.n_features = start

    def raw(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the raw features, shape (1, F).

        Args:
            row: for each column a text, a number, a boolean or None (missing).

        Raises:
            DataError: a column is missing, or holds what cannot be read; its text names the column.
        """
        raw = np.zeros((1, self.n_features))
        out = raw[0]
        for block, start, levels in self.places:
            if block.column not in row:
                raise DataError(
                    "Prediction needs every column that the model was trained on",
                    received=f"a row without {block.column!r}",
                    fix=f"send it, null where the value is unknown; {did_you_mean(block.column, row)}",
                )
            value = row[block.column]
            if block.kind == "numeric":
                missing = self._number(out, start, block, value)
            elif block.kind == "categorical":
                missing = self._level(out, start, block, levels, value)
            elif block.kind == "boolean":
                missing = self._boolean(out, start, block, value)
            else:
                frame = pd.DataFrame({block.column: pd.Series([value], dtype=object)})
                out[start : start + len(block.names)] = raw_features(Layout((block,)), frame)[0]
                continue
            if block.missing:
                out[start + len(block.names) - 1] = float(missing)
        return raw

    def _number(self, out: NDArray[np.float64], start: int, block: Block, value: Any) -> bool:
        number = math.nan if value is None else number_of(value)
        if number is None:
            raise _unreadable(block.column, "numbers", value)
        out[start] = number if math.isfinite(number) else math.nan
        return not math.isfinite(number)

    def _level(
        self, out: NDArray[np.float64], start: int, block: Block, levels: dict[str, int], value: Any
    ) -> bool:
        text = None if value is None else text_of(value)
        if not isinstance(text, str):
            return True
        place = levels.get(text, -1)
        if block.paired:
            out[start] = 0.0 if place < 0 else (-1.0, 1.0)[place]
        elif place >= 0:
            out[start + place] = 1.0
        elif block.pooled:
            out[start + len(levels)] = 1.0
        return False

    def _boolean(self, out: NDArray[np.float64], start: int, block: Block, value: Any) -> bool:
        text = None if value is None else text_of(value)
        word = text.casefold() if isinstance(text, str) else ""
        if word in TRUE_WORDS or word in FALSE_WORDS:
            out[start] = 1.0 if word in TRUE_WORDS else -1.0
            return False
        if word and word not in FILLERS:
            raise _unreadable(block.column, "yes or no", value)
        out[start] = math.nan
        return True


def _unreadable(column: str, held: str, value: Any) -> DataError:
    shown = repr(value)
    return DataError(
        f"Column {column!r} held {held} when the model was trained",
        received=shown if len(shown) <= 80 else shown[:79] + "…",
        fix=f"write {held} in it, or leave cells empty where the value is unknown",
    )
