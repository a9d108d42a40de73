"""Encoder: a frame into a float32 matrix, by statistics of one member's training rows alone.

Knows no target, no splits and no models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.layout import Block, Layout, plan_features
from soundfit.data.saved import finite_floats, unreadable
from soundfit.data.values import text_codes, to_booleans, to_dates, to_numbers
from soundfit.errors import DataError, did_you_mean
from soundfit.records.said import say

__all__ = ["CLIP", "SMOOTH", "Encoder", "Layout", "fit_encoder", "plan_features", "raw_features"]

_CHUNK_ROWS = 65_536
_CYCLES = {"month": 12, "weekday": 7, "hour": 24}
CLIP = 1e6  # before smooth clipping, which takes anything beyond ±30 to ±3
SMOOTH = 3.0  # what smooth clipping tends to
_DAY_MICROSECONDS = 86_400_000_000


@dataclass(frozen=True)
class Encoder:
    """Turns frames into matrices of F features.

    Continuous features are centred by their median, divided by their quartile range and clipped
    smoothly to ±3 (Holzmüller, Grinsztajn and Steinwart 2024, "Better by default", section 3);
    missing values become 0, the median. Indicators are 0 and 1, pairs −1 and 1. A feature that is
    constant in the training rows is 0 everywhere: no weight that training never moved can speak.

    Attributes:
        layout: which features there are.
        median: shape (F,), of continuous features in the training rows; 0 for indicators.
        scale: shape (F,), what the centred value is divided by; 1 for indicators.
        active: shape (F,), false for features that are constant in the training rows.
    """

    layout: Layout
    median: NDArray[np.float64]
    scale: NDArray[np.float64]
    active: NDArray[np.bool_]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, length F."""
        return self.layout.feature_names

    @property
    def source_columns(self) -> tuple[str, ...]:
        """For each feature, the table column it comes from, length F."""
        return self.layout.source_columns

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """Shape (F,), true where the feature is a continuous value and no indicator."""
        return self.layout.numeric

    def transform(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Return the feature matrix, shape (N, F), always finite.

        Infinities and single values that cannot be read count as missing, unknown categories as
        none of the known; columns that the encoder does not read are ignored.

        Raises:
            DataError: a column is missing, or holds nothing that can be read as what it held in
                training.
        """
        frame = _readable(self.layout, frame)
        x_NF = np.empty((len(frame), len(self.active)), dtype=np.float32)
        for start in range(0, len(frame), _CHUNK_ROWS):
            part = frame.iloc[start : start + _CHUNK_ROWS]
            raw = _raw_matrix(self.layout, part)
            x_NF[start : start + len(part)] = self.scaled(raw)
        return x_NF

    def scaled(self, raw_NF: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale raw features (N, F) in place, and return them; see :func:`raw_features`."""
        continuous = self.numeric
        with np.errstate(over="ignore", invalid="ignore"):
            z_NF = (raw_NF[:, continuous] - self.median[continuous]) / self.scale[continuous]
        np.clip(z_NF, -CLIP, CLIP, out=z_NF)
        z_NF /= np.sqrt(1.0 + np.square(z_NF / SMOOTH))
        raw_NF[:, continuous] = z_NF
        raw_NF[np.isnan(raw_NF)] = 0.0
        raw_NF[:, ~self.active] = 0.0
        return raw_NF

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; :meth:`from_dict` gives back the same encoder to the last bit."""
        return {
            "blocks": [block.to_dict() for block in self.layout.blocks],
            "median": self.median.tolist(),
            "scale": self.scale.tolist(),
            "active": self.active.tolist(),
        }

    @classmethod
    def from_dict(cls, given: Any) -> Encoder:
        """Return the encoder of this JSON form; ``DataError`` where it is none."""
        if not isinstance(given, Mapping) or not isinstance(given.get("blocks"), list):
            raise unreadable("it is an object with a list of blocks", given)
        layout = Layout(tuple(Block.from_dict(block) for block in given["blocks"]))
        if len({block.column for block in layout.blocks}) != len(layout.blocks):
            raise unreadable("each column has one block", [block.column for block in layout.blocks])
        n_features = len(layout.feature_names)
        median = finite_floats(given, "median", n_features)
        scale = finite_floats(given, "scale", n_features)
        if (scale <= 0).any():
            raise unreadable("'scale' is positive", given["scale"])
        active = given.get("active")
        if not isinstance(active, list) or not all(isinstance(flag, bool) for flag in active):
            raise unreadable("'active' is a list of true and false", active)
        if len(active) != n_features:
            raise unreadable(f"'active' has one entry for each of {n_features} features", active)
        return cls(layout, median, scale, np.array(active, dtype=bool))


def fit_encoder(layout: Layout, frame: pd.DataFrame, rows: NDArray[np.int64]) -> Encoder:
    """Fit an encoder's statistics on these rows and no other.

    Args:
        layout: the study's features.
        frame: the table's frame.
        rows: positions of the training rows, at least one.
    """
    n_features = len(layout.feature_names)
    median, scale = np.zeros(n_features), np.ones(n_features)
    active = np.zeros(n_features, dtype=bool)
    j = 0
    # Block by block: the matrix of all training rows may not fit into memory.
    for block in layout.blocks:
        raw_NB = np.empty((len(rows), len(block.names)), order="F")
        _fill(raw_NB, block, frame[block.column].iloc[rows])
        for raw, continuous in zip(raw_NB.T, block.continuous, strict=True):
            present = raw[~np.isnan(raw)] if continuous else raw[np.isfinite(raw)]
            low, high = (present.min(), present.max()) if present.size else (0.0, 0.0)
            active[j] = low < high
            if continuous and active[j]:
                median[j], scale[j] = _median_and_scale(present, float(low), float(high))
            j += 1
    return Encoder(layout, median, scale, active)


def raw_features(layout: Layout, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features of raw columns before any statistics, shape (N, F): what is missing is NaN.

    Raises:
        DataError: as :meth:`Encoder.transform`.
    """
    return _raw_matrix(layout, _readable(layout, frame))


def _median_and_scale(present: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """Return the median and the quartile range, or half the range where the quartiles coincide."""
    with np.errstate(over="ignore", invalid="ignore"):
        first, median, third = np.quantile(present, (0.25, 0.5, 0.75))
        spread = third - first
        if not spread > 0:
            spread = high / 2 - low / 2
    limits = np.finfo(np.float64)
    return float(np.nan_to_num(median)), float(np.clip(np.nan_to_num(spread), limits.tiny, limits.max))


def _raw_matrix(layout: Layout, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features before scaling, shape (N, F): NaN where a continuous value is missing."""
    raw_NF = np.empty((len(frame), len(layout.feature_names)), dtype=np.float64, order="F")
    end = 0
    for block in layout.blocks:
        start, end = end, end + len(block.names)
        _fill(raw_NF[:, start:end], block, frame[block.column])
    return raw_NF


def _fill(out_NB: NDArray[np.float64], block: Block, series: pd.Series) -> None:
    """Write the block's features into the columns of ``out_NB``."""
    if block.kind == "categorical":
        missing = _fill_levels(out_NB, block, series)
    elif block.kind == "date":
        dates = to_dates(series, block.format)[0]
        missing = dates.isna().to_numpy()
        for j, values in enumerate(_date_parts(dates, block)):
            out_NB[:, j] = np.where(missing, np.nan, values)
    elif block.kind == "boolean":
        values = to_booleans(series)[0]
        missing = np.isnan(values)
        out_NB[:, 0] = 2.0 * values - 1.0
    else:
        values = to_numbers(series)[0]
        missing = ~np.isfinite(values)
        out_NB[:, 0] = np.where(missing, np.nan, values)
    if block.missing:
        out_NB[:, -1] = missing


def _fill_levels(out_NB: NDArray[np.float64], block: Block, series: pd.Series) -> NDArray[np.bool_]:
    """Write the block's indicators; return where the category is missing."""
    codes, texts = text_codes(series)
    known = {level: j for j, level in enumerate(block.levels)}
    other = len(known) if block.pooled else -1
    # One more entry than texts, for code -1.
    place = np.array([known.get(text, other) if isinstance(text, str) else -2 for text in texts] + [-2])[
        codes
    ]
    if block.paired:
        out_NB[:, 0] = np.array([-1.0, 1.0, 0.0, 0.0])[place]
    else:
        out_NB[:] = 0.0
        hit = np.flatnonzero(place >= 0)
        out_NB[hit, place[hit]] = 1.0
    return place == -2


def _date_parts(dates: pd.Series, block: Block) -> list[NDArray[np.float64]]:
    """Return one array for each continuous feature of the block; arbitrary where the date is missing."""
    parts: list[NDArray[np.float64]] = []
    for part in block.parts:
        if part == "days":
            parts.append(dates.to_numpy().astype(np.int64) / _DAY_MICROSECONDS)
        elif part == "year":
            parts.append(dates.dt.year.to_numpy(dtype=np.float64))
        else:
            name = "day_of_week" if part == "weekday" else part
            angle = getattr(dates.dt, name).to_numpy(dtype=np.float64) * (2 * np.pi / _CYCLES[part])
            parts += [np.sin(angle), np.cos(angle)]
    return parts


def _readable(layout: Layout, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the layout's columns, with text in numeric, boolean and date columns read."""
    # The first of columns with one name counts, as in soundfit.data.source.
    names = {str(name).strip(): place for place, name in reversed(list(enumerate(frame.columns)))}
    absent = [block.column for block in layout.blocks if block.column not in names]
    if absent:
        hints = "; ".join(f"for {name!r} {did_you_mean(name, names)}" for name in absent[:3])
        shown = ", ".join(repr(name) for name in absent[:10]) + (", …" if len(absent) > 10 else "")
        raise DataError(
            "Prediction needs every column that the model was trained on",
            received=say("a table without {shown}", shown=shown),
            fix=say(
                "add {value}, empty cells are allowed; {hints}",
                value=say("it") if len(absent) == 1 else say("them"),
                hints=hints,
            ),
        )
    return pd.DataFrame(
        {block.column: _read_column(block, frame.iloc[:, names[block.column]]) for block in layout.blocks},
        index=pd.RangeIndex(len(frame)),
        copy=False,
    )


def _read_column(block: Block, series: pd.Series) -> pd.Series:
    series = series.reset_index(drop=True)
    if block.kind == "categorical" or (block.kind == "numeric" and series.dtype.kind in "fiu"):
        return series
    if block.kind == "date":
        read, bad = to_dates(series, block.format)
    else:
        values, bad = (to_booleans if block.kind == "boolean" else to_numbers)(series)
        read = pd.Series(values)
    if bad.any() and read.isna().all():
        held = {"numeric": say("numbers"), "boolean": say("yes or no"), "date": say("dates")}[block.kind]
        raise DataError(
            say("Column {column!r} held {held} when the model was trained", column=block.column, held=held),
            received=f"{series[bad].iloc[0]!r}"
            + (say(" and {value:,} more", value=int(bad.sum()) - 1) if bad.sum() > 1 else ""),
            fix=say("write {held} in it, or leave cells empty where the value is unknown", held=held),
        )
    return read
