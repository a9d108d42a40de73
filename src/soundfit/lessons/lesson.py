"""Lesson: what one experiment measured, in sentences, figures and numbers. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soundfit.records.said import Said
from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import finite, significant

__all__ = ["Lesson", "Line", "chart", "lines_of"]

_COLOURS = ("training", "validation", "test", "baseline", "chosen")


@dataclass(frozen=True)
class Lesson:
    """What one lesson measured.

    Attributes:
        name: as in the catalogue.
        sentences: three, made from the numbers measured.
        method: how they were measured.
        figures: one or two.
        numbers: what the sentences rest on, by name.
    """

    name: str
    sentences: tuple[Said, Said, Said]
    method: Said
    figures: tuple[Figure, ...]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart: ``points`` are (x, y), or (x, y, half the height of its error bar).

    ``mark`` is ``line``, ``dash`` or ``dot``.
    """

    name: Said
    points: Sequence[tuple[float, ...]]
    mark: str = "line"


def lines_of(names: Mapping[str, Said], values: Mapping[str, Mapping[Any, float]]) -> list[Line]:
    """Return a line per kind, in the order of ``names``: its values over what they are known at."""
    return [Line(name, list(values[kind].items())) for kind, name in names.items()]


def chart(
    id: str,
    title: Said,
    sentence: Said,
    lines: Sequence[Line],
    *,
    x: Said,
    y: Said,
    log_x: bool = False,
    log_y: bool = False,
    ticks: Mapping[float, str] | None = None,
    fraction: bool = False,
) -> Figure:
    """Return a figure of at most five lines, with its numbers as a table.

    Args:
        id: unique on its page.
        title, sentence: above it, and what it shows.
        lines: in the order of the legend.
        x, y: labels of the axes.
        log_x, log_y: logarithmic axes; points at or below 0 are left out of the picture.
        ticks: texts at positions of the x axis, instead of numbers.
        fraction: the y values are shares of 1.

    Raises:
        ValueError: more lines than colours.
    """
    if len(lines) > len(_COLOURS):
        raise ValueError(f"a chart has at most {len(_COLOURS)} lines, however: {len(lines)}")
    series: list[dict[str, Any]] = []
    cells: dict[float, list[str]] = {}
    for number, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
        points = []
        for at, value, *spread in line.points:
            known, reach = finite(value), finite(spread[0]) if spread else None
            row = cells.setdefault(float(at), ["–"] * len(lines))
            row[number] = significant(value) + (f" ± {significant(reach, 2)}" if reach else "")
            is_drawn = known is not None and not (log_y and known <= 0) and not (log_x and at <= 0)
            if is_drawn:
                points.append({"x": float(at), "y": known, "se": reach})
        series.append({"name": line.name, "colour": colour, "mark": line.mark, "points": points})
    return Figure(
        id=id,
        kind="lines",
        title=title,
        sentence=sentence,
        data={
            "series": series,
            "x": {"label": x, "log": log_x, "ticks": [[at, text] for at, text in (ticks or {}).items()]},
            "y": {"label": y, "log": log_y, "fraction": fraction},
        },
        keys=tuple(Key(line.name, line.mark, c) for line, c in zip(lines, _COLOURS, strict=False)),
        columns=(x, *(line.name for line in lines)),
        rows=[[(ticks or {}).get(at) or significant(at), *cells[at]] for at in sorted(cells)],
    )
