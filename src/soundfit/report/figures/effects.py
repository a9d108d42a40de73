"""How the prediction moves with each of the most important columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import count, finite, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["effect_figures"]

_FLAT = 0.02
_TURN = 0.05


def effect_figures(view: RunView, _: Words) -> list[Figure]:
    """Return a picture for each effect that a run holds: a curve, or a dot for each category."""
    figures = []
    for number, effect in enumerate(view.points("importance", "effects")):
        points = [p for p in effect.get("points", []) if finite(p.get("value")) is not None]
        if len(points) >= 2:
            is_curve = effect.get("kind") in ("numeric", "date")
            make = _curve if is_curve else _categories
            figures.append(make(view, effect, points, f"effect-{number}", _))
    return figures


def _outcome(view: RunView, effect: Mapping[str, Any], _: Words) -> str:
    """Return what is predicted, for axes and sentences."""
    if effect.get("class") is None:
        return _("predicted {target}").format(target=view.get("data", "target", default=_("value")))
    return _("probability of {label}").format(label=effect["class"])


def _show(value: Any, effect: Mapping[str, Any]) -> str:
    return significant(value, 3) if effect.get("class") is None else percent(value, 3)


def _at(value: Any, effect: Mapping[str, Any], _: Words) -> str:
    if effect.get("kind") == "boolean":
        return {"yes": _("yes"), "no": _("no")}.get(str(value), str(value))
    if _are_years(effect):
        return f"{value:.0f}"
    return significant(value, 4) if isinstance(value, (int, float)) else str(value)


def _are_years(effect: Mapping[str, Any]) -> bool:
    """Return whether all points are whole numbers that read as years: 2,009 is no year."""
    found = [p.get("at") for p in effect.get("points", [])]
    return all(isinstance(v, (int, float)) and v == round(v) and 1000 <= v < 2200 for v in found)


def _curve(
    view: RunView, effect: Mapping[str, Any], points: Sequence[Mapping[str, Any]], id: str, _: Words
) -> Figure:
    column = str(effect.get("column", ""))
    outcome = _outcome(view, effect, _)
    even = _crowded(points)
    return Figure(
        id=id,
        kind="effect",
        title=column,
        sentence=_curve_sentence(column, outcome, effect, points, _),
        data={
            "points": [
                {"x": p["at"], "y": p["value"], "rows": p.get("rows", 0), "name": _at(p["at"], effect, _)}
                for p in points
            ],
            "mean": finite(effect.get("mean")),
            "date": effect.get("kind") == "date",
            "even": even,
            "years": _are_years(effect),
            "x": {"label": _("{column}, steps evenly spaced").format(column=column) if even else column},
            "y": {"label": outcome, "fraction": effect.get("class") is not None},
            "words": {"rows": _("rows")},
        },
        keys=(Key(outcome, "line", "validation"), Key(_("mean"), "dash", "baseline")),
        columns=(column, outcome, _("rows up to here")),
        rows=[[_at(p["at"], effect, _), _show(p["value"], effect), count(p.get("rows"))] for p in points],
    )


def _crowded(points: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether true distances would squeeze most of the points into a corner."""
    if not all(isinstance(p["at"], (int, float)) for p in points) or len(points) < 5:
        return False
    at = [float(p["at"]) for p in points]
    steps = [b - a for a, b in pairwise(at)]
    return max(steps) > 0.4 * (at[-1] - at[0])


def _curve_sentence(
    column: str,
    outcome: str,
    effect: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    _: Words,
) -> str:
    values = [float(p["value"]) for p in points]
    low, high = min(values), max(values)
    mean = abs(float(finite(effect.get("mean")) or 0.0))
    if high - low <= _FLAT * max(mean, abs(high), abs(low), 1e-12):
        return _("{outcome} hardly moves with {column}, all else as it is: {low} to {high}.").format(
            outcome=_opening(outcome, _),
            column=column,
            low=_show(low, effect),
            high=_show(high, effect),
        )
    ends = {
        "outcome": _opening(outcome, _),
        "column": column,
        "first": _at(points[0]["at"], effect, _),
        "last": _at(points[-1]["at"], effect, _),
        "start": _show(values[0], effect),
        "end": _show(values[-1], effect),
    }
    slack = _TURN * (high - low)
    at_top, at_bottom = values.index(high), values.index(low)
    steps = [after - before for before, after in pairwise(values)]
    if min(steps) >= -slack and values[-1] >= high - slack:
        return _(
            "{outcome} rises with {column}: from {start} at {first} to {end} at {last}, all else as it is."
        ).format(**ends)
    if max(steps) <= slack and values[-1] <= low + slack:
        return _(
            "{outcome} falls with {column}: from {start} at {first} to {end} at {last}, all else as it is."
        ).format(**ends)
    return _(
        "{outcome} is lowest at {column} {bottom} ({low}) and highest at {top} ({high}), all else as it is."
    ).format(
        outcome=_opening(outcome, _),
        column=column,
        bottom=_at(points[at_bottom]["at"], effect, _),
        low=_show(low, effect),
        top=_at(points[at_top]["at"], effect, _),
        high=_show(high, effect),
    )


def _categories(
    view: RunView, effect: Mapping[str, Any], points: Sequence[Mapping[str, Any]], id: str, _: Words
) -> Figure:
    column = str(effect.get("column", ""))
    outcome = _outcome(view, effect, _)
    has_observed = any(finite(p.get("observed")) is not None for p in points)
    return Figure(
        id=id,
        kind="levels",
        title=column,
        sentence=_category_sentence(column, outcome, effect, points, _),
        data={
            "points": [
                {
                    "name": _at(p["at"], effect, _),
                    "x": p["value"],
                    "observed": finite(p.get("observed")),
                    "rows": p.get("rows", 0),
                }
                for p in points
            ],
            "mean": finite(effect.get("mean")),
            "x": {"label": outcome},
            "y": {"label": column, "fraction": effect.get("class") is not None},
            "words": {"rows": _("rows"), "observed": _("its rows as they are")},
        },
        keys=(
            Key(_("if every row were of it"), "dot", "validation"),
            *([Key(_("its rows as they are"), "ring", "baseline")] if has_observed else []),
            Key(_("mean"), "dash", "baseline"),
        ),
        columns=(column, _("if every row were of it"), _("its rows as they are"), _("rows")),
        rows=[
            [
                _at(p["at"], effect, _),
                _show(p["value"], effect),
                _show(p.get("observed"), effect) if finite(p.get("observed")) is not None else "–",
                count(p.get("rows")),
            ]
            for p in points
        ],
    )


def _category_sentence(
    column: str,
    outcome: str,
    effect: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    _: Words,
) -> str:
    best, worst = points[0], points[-1]
    said = [
        _(
            "{outcome} would be {high} on average if every row had {column} “{top}”, "
            "and {low} with “{bottom}”."
        ).format(
            outcome=_opening(outcome, _),
            column=column,
            top=_at(best["at"], effect, _),
            bottom=_at(worst["at"], effect, _),
            high=_show(best["value"], effect),
            low=_show(worst["value"], effect),
        )
    ]
    spread = float(best["value"]) - float(worst["value"])
    strays = [p for p in points if finite(p.get("observed")) is not None and p.get("rows", 0) > 0]
    far = max(strays, key=lambda p: abs(float(p["observed"]) - float(p["value"])), default=None)
    if far is not None and abs(float(far["observed"]) - float(far["value"])) > max(spread, 1e-12):
        said.append(
            _(
                "Rows with “{name}” are predicted {observed} as they are: most of that comes with their "
                "other columns."
            ).format(name=_at(far["at"], effect, _), observed=_show(far["observed"], effect))
        )
    n_more = int(finite(effect.get("more_levels")) or 0)
    if n_more:
        said.append(_.many("{n} rarer category is left out.", "{n} rarer categories are left out.", n_more))
    return " ".join(said)


def _opening(text: str, _: Words) -> str:
    """Return a text as a sentence begins with it; in Chinese nothing changes."""
    return text[:1].upper() + text[1:] if _.is_source else text
