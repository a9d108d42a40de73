"""Columns: raw table columns as ONNX inputs, up to the features before scaling.

The counterpart of ``soundfit.data.encoder`` before its statistics: numbers are double tensors with NaN for
missing, all else is text, with "" (and "NA", "nan" …) for missing.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfit.artifact.onnx.dates import add_date
from soundfit.artifact.onnx.graph import DOUBLE, FLOAT, INT64, STRING, Graph
from soundfit.data.layout import Block, Layout
from soundfit.data.values import FALSE_WORDS, MISSING, TRUE_WORDS

__all__ = ["Columns", "RawFeatures"]

_CYCLES = {"month": 12, "weekday": 7, "hour": 24}
_FALSE, _TRUE, _NEITHER = 0, 1, 2


@dataclass(frozen=True)
class RawFeatures:
    """Features before scaling: continuous ones (rows, n) double with NaN, indicators (rows, m) float.

    Either is "" where there are none.
    """

    continuous: str
    indicators: str


class Columns:
    """Adds each column once, however many members read it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._blocks: dict[Block, tuple[list[str], list[str]]] = {}
        self._layouts: dict[Layout, RawFeatures] = {}

    def features(self, layout: Layout) -> RawFeatures:
        """Return the raw features of a layout."""
        if layout not in self._layouts:
            continuous, indicators = [], []
            for block in layout.blocks:
                values, flags = self._block(block)
                continuous += values
                indicators += flags
            beside = self.graph.beside
            self._layouts[layout] = RawFeatures(
                beside(continuous) if continuous else "", beside(indicators) if indicators else ""
            )
        return self._layouts[layout]

    def _block(self, block: Block) -> tuple[list[str], list[str]]:
        if block not in self._blocks:
            self._blocks[block] = self._add(block)
        return self._blocks[block]

    def _add(self, block: Block) -> tuple[list[str], list[str]]:
        graph = self.graph
        if block.kind == "numeric":
            value = graph.column(graph.input(block.column, DOUBLE))
            nan = graph.constant(math.nan, np.float64)
            value = graph.op("Where", graph.op("IsInf", value), nan, value)
            return [value], self._missing(block, graph.op("IsNaN", value))
        text = graph.input(block.column, STRING)
        if block.kind == "date":
            return self._date(block, text)
        codes, table = (_boolean if block.kind == "boolean" else _levels)(graph, block, text)
        return [], [graph.op("Gather", graph.constant(table, np.float32), codes)]

    def _missing(self, block: Block, flag: str) -> list[str]:
        return [self.graph.cast(flag, FLOAT)] if block.missing else []

    def _date(self, block: Block, text: str) -> tuple[list[str], list[str]]:
        graph = self.graph
        date = add_date(graph, text, block.format)
        known = graph.column(date.known)
        nan = graph.constant(math.nan, np.float64)
        parts: list[str] = []
        for part in block.parts:
            if part in _CYCLES:
                angle = np.arange(_CYCLES[part] + 1) * (2 * np.pi / _CYCLES[part])
                code = graph.column(graph.cast(getattr(date, part), INT64))
                parts += [graph.op("Gather", graph.constant(f(angle)), code) for f in (np.sin, np.cos)]
            else:
                parts.append(graph.column(getattr(date, part)))
        absent = graph.op("Not", known)
        return [graph.op("Where", known, part, nan) for part in parts], self._missing(block, absent)


def _levels(graph: Graph, block: Block, text: str) -> tuple[str, NDArray[np.float32]]:
    """Return the codes and, for each code, its indicators: levels, then none of them, then missing."""
    n = len(block.levels)
    keys = {level: i for i, level in enumerate(block.levels)}
    # A whole number that a program wrote as a float: "3.0" for "3".
    for i, level in enumerate(block.levels):
        if level.lstrip("-").isdigit():
            keys.setdefault(f"{level}.0", i)
    keys |= dict.fromkeys(MISSING, n + 1)
    codes = _lookup(graph, text, keys, n)
    table = np.zeros((n + 2, len(block.names)), dtype=np.float32)
    if block.paired:
        table[:2, 0] = [-1.0, 1.0]
        return codes, table
    table[:n, :n] = np.eye(n)
    if block.pooled:
        table[n, n] = 1.0
    if block.missing:
        table[n + 1, -1] = 1.0
    return codes, table


def _boolean(graph: Graph, block: Block, text: str) -> tuple[str, NDArray[np.float32]]:
    keys = {f"{value}.0": value for value in (_FALSE, _TRUE)}
    for words, value in ((FALSE_WORDS, _FALSE), (TRUE_WORDS, _TRUE)):
        for word in words:
            cases = itertools.product(*({letter.lower(), letter.upper()} for letter in word))
            keys |= {"".join(letters): value for letters in cases}
    codes = _lookup(graph, text, keys, _NEITHER)
    table = np.zeros((3, len(block.names)), dtype=np.float32)
    table[:2, 0] = [-1.0, 1.0]
    if block.missing:
        table[_NEITHER, -1] = 1.0
    return codes, table


def _lookup(graph: Graph, text: str, keys: dict[str, int], default: int) -> str:
    # ONNX can't strip text; a blank on either side is what ", " between cells and padding leave.
    padded = {f"{a}{key}{b}": code for key, code in keys.items() for a in ("", " ") for b in ("", " ")}
    return graph.lookup(text, list(padded), list(padded.values()), default)
