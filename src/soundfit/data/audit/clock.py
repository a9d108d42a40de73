"""Clock: in which order the rows were observed, read from dates, calendar columns or the file itself.

Knows columns and their order, no target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soundfit.data.audit.names import clock_unit, names_birth, says_clock
from soundfit.data.audit.view import Feature, View

__all__ = ["Clock", "find_clocks", "sorted_by_column"]

Kind = Literal["date", "calendar", "rising", "file"]
_MONTHS = {
    name: i
    for i, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}


#: Different times that a column needs to serve as the order of a file that is sorted already.
FINE = 20


@dataclass(frozen=True)
class Clock:
    """An order of the rows.

    Attributes:
        kind: ``date`` (a date column), ``calendar`` (year, month, … columns), ``rising`` (a column named
            as a time that rises along the file), ``file`` (nothing but the file's order).
        columns: what it was read from; empty for ``file``.
        time: what to give to ``--time``: a column, or ``row``.
        order: positions from earliest to latest, shape (N,).
        ties: shape (N,), equal for rows of equal time.
        in_file_order: whether the file is sorted by it.
    """

    kind: Kind
    columns: tuple[str, ...]
    time: str
    order: NDArray[np.int64]
    ties: NDArray[np.int64]
    in_file_order: bool


def find_clocks(view: View) -> list[Clock]:
    """Return the clocks of a table, the most telling first; the file's order last, if no other is in it."""
    clocks = [_by_date(view, f) for f in view.features if f.kind == "date" and not names_birth(f.name)]
    calendar = _calendar(view)
    if calendar is not None:
        clocks.append(calendar)
    clocks += [c for f in view.features if (c := _rising(view, f)) is not None]
    clocks.sort(key=lambda c: (not c.in_file_order, c.kind != "date"))
    if not any(c.in_file_order for c in clocks):
        rows = np.arange(view.n)
        clocks.append(Clock("file", (), "row", rows, rows, True))
    return clocks


def sorted_by_column(view: View) -> str | None:
    """Return a column, neither clock nor identifier, that the file is sorted by; None if there is none."""
    for feature in view.content:
        if feature.kind == "date" or says_clock(feature.name) or feature.n_distinct < 3:
            continue
        if feature.numbers is not None:
            values = feature.numbers[np.isfinite(feature.numbers)]
            rising = _rises(values) or _rises(-values)
        else:
            rising = False
        runs = int(np.count_nonzero(np.diff(feature.codes))) + 1
        if rising or (feature.n_distinct <= 0.2 * view.n and runs <= 1.1 * feature.n_distinct):
            return feature.name
    return None


def _rises(values: NDArray[np.float64]) -> bool:
    return len(values) > 2 and bool(np.mean(np.diff(values) >= 0) >= 0.995) and values[-1] > values[0]


def _clock(view: View, kind: Kind, columns: tuple[str, ...], keys: NDArray[np.float64], time: str) -> Clock:
    ties = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    steps = np.diff(ties.astype(np.float64))
    rising, falling = _rises(ties.astype(np.float64)), _rises(-ties.astype(np.float64))
    in_order = bool(len(steps)) and (rising or falling)
    return Clock(kind, columns, time, np.argsort(ties, kind="stable"), ties, in_order)


def _by_date(view: View, feature: Feature) -> Clock:
    assert feature.numbers is not None
    return _clock(view, "date", (feature.name,), _filled(feature.numbers), feature.name)


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    present = np.isfinite(values)
    return np.where(present, values, np.nanmin(values) if present.any() else 0.0)


def _rising(view: View, feature: Feature) -> Clock | None:
    """Return the clock of a column named as a time that rises (or falls) along the file."""
    values = feature.numbers
    if values is None or feature.kind == "date" or not says_clock(feature.name) or feature.n_distinct < 4:
        return None
    if feature.missing.any():
        return None
    clock = _clock(view, "rising", (feature.name,), values, feature.name)
    return clock if clock.in_file_order else None


def _calendar(view: View) -> Clock | None:
    """Return the clock of columns such as year, month, day and hour, where at least two make an order."""
    by_unit: dict[int, Feature] = {}
    for feature in view.features:
        unit = clock_unit(feature.name)
        if unit is not None and unit not in by_unit and _numbers(feature, unit) is not None:
            by_unit[unit] = feature
    if 0 not in by_unit and len(by_unit) < 2:
        return None
    units = sorted(by_unit)
    if 0 in by_unit:
        years = by_unit[0].numbers
        if years is None or not (np.nanmin(years) >= 0 and np.nanmax(years) <= 2200):
            return None
    keys = np.stack([_filled(_numbers(by_unit[u], u)) for u in units])  # type: ignore[arg-type]
    _, key = np.unique(keys, axis=1, return_inverse=True)
    names = tuple(by_unit[u].name for u in units)
    clock = _clock(view, "calendar", names, key.ravel().astype(np.float64), "row")
    if not clock.in_file_order:
        # A lone year, or month and day without the file's consent, may as well belong to the thing itself.
        complete = 0 in by_unit and (2 in by_unit or 3 in by_unit or 4 in by_unit)
        if not complete or len(names) < 3:
            return None
        return Clock("calendar", names, by_unit[0].name, clock.order, clock.ties, False)
    if len(np.unique(clock.ties)) < 4:
        return None
    forward = _rises(clock.ties.astype(np.float64))
    return Clock("calendar", names, _time_option(by_unit, units, forward), clock.order, clock.ties, True)


def _time_option(by_unit: dict[int, Feature], units: list[int], forward: bool) -> str:
    """Return the column that says the order by itself, else ``row``, else (file reversed) the coarsest."""
    sign = 1.0 if forward else -1.0
    alone = [by_unit[u] for u in units if by_unit[u].numbers is not None]
    strict = [f for f in alone if np.all(np.diff(sign * _filled(f.along(np.arange(len(f.codes))))) >= 0)]
    finest = max(strict, key=lambda f: f.n_distinct, default=None)
    if finest is not None and (finest.n_distinct >= FINE or not forward):
        return finest.name
    return "row" if forward or not alone else alone[0].name


def _numbers(feature: Feature, unit: int) -> NDArray[np.float64] | None:
    if feature.kind == "date":
        return None
    if feature.numbers is not None:
        return feature.numbers if feature.whole else None
    if unit != 2:
        return None
    short = feature.series.astype(object).map(
        lambda v: _MONTHS.get(str(v).strip().casefold()[:3]), na_action="ignore"
    )
    values = short.to_numpy(np.float64, na_value=np.nan)
    return values if np.isfinite(values).mean() > 0.9 else None
