"""Dates: text read as a date inside the graph, by splitting at what stands between its parts.

ISO 8601 (``2021-03-05``, ``2021-03-05T10:20``, ``2021-03-05 10:20:30.5Z``) is always read; before it, the
format that the column had in training. Anything else, and a day that no month has, counts as missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from soundfit.artifact.onnx.graph import DOUBLE, INT64, Graph

__all__ = ["Date", "add_date"]

_MONTHS = tuple(
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
#: For each directive, what it matches and a value of it.
_DIRECTIVES = {
    "Y": (r"\d{4}", "2000"),
    "y": (r"\d{2}", "00"),
    "m": (r"(?:0?[1-9]|1[0-2])", "1"),
    "d": (r"(?:0?[1-9]|[12]\d|3[01])", "1"),
    "H": (r"(?:[01]?\d|2[0-3])", "0"),
    "I": (r"(?:0?[1-9]|1[0-2])", "12"),
    "M": (r"[0-5]?\d", "0"),
    "S": (r"[0-5]?\d", "0"),
    "b": ("(?:" + "|".join(m[:3] for m in _MONTHS) + ")", "jan"),
    "B": ("(?:" + "|".join(_MONTHS) + ")", "january"),
    "p": ("(?:am|pm)", "am"),
}
_ISO = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_ISO += r"(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|\+00:00)?)?"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Date:
    """Values (rows,), double but for ``known``; arbitrary where ``known`` is false.

    ``days`` since 1970-01-01 with the fraction of the day, ``weekday`` from Monday, 0.
    """

    known: str
    days: str
    year: str
    month: str
    weekday: str
    hour: str


def add_date(graph: Graph, text: str, pattern: str) -> Date:
    """Read the text (rows,) as dates."""
    graph.opset = 20  # text operators are that new
    matches, parts = _iso(graph, text)
    if pattern not in ("", "ISO8601"):
        matched, own = _by_pattern(graph, text, pattern)
        parts = [graph.op("Where", matched, a, b) for a, b in zip(own, parts, strict=True)]
        matches = graph.op("Or", matched, matches)
    year, month, day, hour, minute, second = parts
    known = graph.op("And", matches, _exists(graph, year, month, day))
    number = _days(graph, year, month, day)
    seconds = _sum(graph, (hour, 3600.0), (minute, 60.0), (second, 1.0))
    fraction = graph.op("Div", seconds, _double(graph, _SECONDS_A_DAY))
    # 1970-01-01 was a Thursday.
    weekday = graph.op("Mod", graph.op("Add", graph.cast(number, INT64), _whole(graph, 3)), _whole(graph, 7))
    return Date(known, graph.op("Add", number, fraction), year, month, graph.cast(weekday, DOUBLE), hour)


def _iso(graph: Graph, text: str) -> tuple[str, list[str]]:
    matched = graph.op("RegexFullMatch", text, pattern=_ISO)
    text = graph.op("Where", matched, text, graph.constant("2000-01-01"))
    # What may be absent is added at the end, so that there is a place to cut at.
    day, after_blank = _cut(graph, _and(graph, text, " "), " ")
    day, after_t = _cut(graph, _and(graph, day, "T"), "T")
    # A leading zero changes no hour.
    time = graph.op("StringConcat", graph.constant("0"), graph.op("StringConcat", after_blank, after_t))
    for end in (" ", "T", "Z", "+"):
        time, _ = _cut(graph, _and(graph, time, end), end)
    hour, time = _cut(graph, _and(graph, time, ":0:0:"), ":")
    minute, time = _cut(graph, time, ":")
    second, _ = _cut(graph, time, ":")
    year, day = _cut(graph, day, "-")
    month, day = _cut(graph, day, "-")
    return matched, [graph.cast(part, DOUBLE) for part in (year, month, day, hour, minute, second)]


def _and(graph: Graph, text: str, end: str) -> str:
    return graph.op("StringConcat", text, graph.constant(end))


def _by_pattern(graph: Graph, text: str, pattern: str) -> tuple[str, list[str]]:
    pieces = re.split(r"%(.)", pattern)  # text, directive, text, directive, … text
    literals, directives = pieces[0::2], pieces[1::2]
    regex = re.escape(literals[0])
    sample = literals[0]
    for directive, literal in zip(directives, literals[1:], strict=True):
        matching, example = _DIRECTIVES[directive]
        regex += matching + re.escape(literal)
        sample += example + literal
    matched = graph.op("RegexFullMatch", text, pattern=f"(?i){regex}")
    rest = graph.op("Where", matched, text, graph.constant(sample))
    found: dict[str, str] = {}
    for directive, literal in zip(directives, literals[1:], strict=True):
        value = rest
        if literal:
            value, rest = _cut(graph, rest, literal)
        found[directive] = _value(graph, directive, value)
    return matched, _parts(graph, found)


def _value(graph: Graph, directive: str, text: str) -> str:
    if directive in "bB":
        names = {name[:3] if directive == "b" else name: i + 1 for i, name in enumerate(_MONTHS)}
        spelt = {way(name): i for name, i in names.items() for way in (str.lower, str.title, str.upper)}
        return graph.cast(graph.lookup(text, list(spelt), list(spelt.values()), 1), DOUBLE)
    if directive == "p":
        return graph.cast(graph.lookup(text, ["pm", "PM", "Pm", "pM"], [12] * 4, 0), DOUBLE)
    return graph.cast(text, DOUBLE)


def _parts(graph: Graph, found: dict[str, str]) -> list[str]:
    zero = _double(graph, 0.0)
    if "y" in found:
        # As strptime: 69 to 99 are of the last century.
        late = graph.op("Less", found["y"], _double(graph, 69.0))
        century = graph.op("Where", late, _double(graph, 2000.0), _double(graph, 1900.0))
        found["Y"] = graph.op("Add", found["y"], century)
    if "I" in found:
        hour = graph.op("Mod", found["I"], _double(graph, 12.0), fmod=1)
        found["H"] = graph.op("Add", hour, found.get("p", zero))
    month = found.get("m") or found.get("b") or found["B"]
    times = [graph.op("Add", found["d"], zero)]
    times += [found.get(key) or graph.op("Mul", found["d"], zero) for key in "HMS"]
    return [found["Y"], month, *times]


def _cut(graph: Graph, text: str, at: str) -> tuple[str, str]:
    """Split each text at the first ``at``, which is in it: before it, and after it."""
    parts = graph.ops("StringSplit", text, n_outputs=2, delimiter=at, maxsplit=1)[0]
    return graph.part(parts, 0), graph.part(parts, 1)


def _exists(graph: Graph, year: str, month: str, day: str) -> str:
    """Whether the month has that day."""
    lengths = graph.constant(np.array([31, *_DAYS], dtype=np.float64))
    length = graph.op("Gather", lengths, graph.cast(month, INT64))
    leap = graph.op("And", _divides(graph, year, 4), graph.op("Not", _divides(graph, year, 100)))
    leap = graph.op("Or", leap, _divides(graph, year, 400))
    long = graph.op("And", leap, graph.op("Equal", month, _double(graph, 2.0)))
    length = graph.op("Add", length, graph.cast(long, DOUBLE))
    return graph.op("LessOrEqual", day, length)


def _divides(graph: Graph, value: str, by: int) -> str:
    rest = graph.op("Mod", value, _double(graph, float(by)), fmod=1)
    return graph.op("Equal", rest, _double(graph, 0.0))


def _days(graph: Graph, year: str, month: str, day: str) -> str:
    """Days since 1970-01-01 in the Gregorian calendar, whole (H. Hinnant, "chrono-compatible algorithms")."""
    early = graph.cast(graph.op("Less", month, _double(graph, 3.0)), DOUBLE)
    year = graph.op("Sub", year, early)
    # March is month 0, so that the leap day ends the year.
    shifted = graph.op("Sub", month, _double(graph, 3.0))
    shifted = graph.op("Add", shifted, graph.op("Mul", early, _double(graph, 12.0)))
    in_year = _floor(graph, _sum(graph, (shifted, 153.0), constant=2.0), 5.0)
    leaps = graph.op("Sub", _floor(graph, year, 4.0), _floor(graph, year, 100.0))
    leaps = graph.op("Add", leaps, _floor(graph, year, 400.0))
    return _sum(graph, (year, 365.0), (leaps, 1.0), (in_year, 1.0), (day, 1.0), constant=-719_469.0)


def _floor(graph: Graph, value: str, by: float) -> str:
    return graph.op("Floor", graph.op("Div", value, _double(graph, by)))


def _sum(graph: Graph, *terms: tuple[str, float], constant: float = 0.0) -> str:
    total = _double(graph, constant)
    for value, factor in terms:
        total = graph.op("Add", total, graph.op("Mul", value, _double(graph, factor)))
    return total


def _double(graph: Graph, value: float) -> str:
    return graph.constant(value, np.float64)


def _whole(graph: Graph, value: int) -> str:
    return graph.constant(value, np.int64)
