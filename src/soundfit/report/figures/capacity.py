"""Training and generalisation error over capacity, with the chosen point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from soundfit.report.configurations import by_architecture, is_cut_short
from soundfit.report.figures.curve import curve_keys, curve_rows, is_better, is_clear, relative_change
from soundfit.report.figures.figure import Figure, Key
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import count, finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["capacity_figure"]

Point = dict[str, Any]


def capacity_figure(view: RunView, table: pd.DataFrame, metric: MetricWords, _: Words) -> Figure | None:
    """Return the picture; from the capacity study, else from the architectures of the cross-validation."""
    points = _studied(view) or _searched(table)
    points = [p for p in points if finite(p["x"]) and finite(p["validation"]) is not None]
    n_cut = len(points)
    points = [p for p in points if not is_cut_short(table, {"parameters": p["x"]})]
    n_cut -= len(points)
    if len({p["x"] for p in points}) < 2:
        return None
    points.sort(key=lambda p: p["x"])
    chosen = _chosen(view, table, points)
    return Figure(
        id="capacity",
        kind="curve",
        title=_("Error over capacity"),
        sentence=_sentence(points, chosen, metric, _) + _left_out(n_cut, _),
        data={
            "points": points,
            "chosen": chosen,
            "x": {"label": _("parameters"), "log": True},
            "y": {"label": metric.label, "fraction": metric.name == "accuracy"},
            "words": {"training": _("training"), "validation": _("validation"), "chosen": _("chosen")},
        },
        keys=(*curve_keys(_), Key(_("chosen"), "ring", "chosen")),
        columns=(_("parameters"), _("model"), _("training"), _("validation")),
        rows=[[count(p["x"]), p["name"], *curve_rows(p, metric)] for p in points],
    )


def _studied(view: RunView) -> list[Point]:
    return [
        {
            "x": finite(p.get("parameters")),
            "training": finite(p.get("training")),
            "validation": finite(p.get("validation")),
            "se": finite(p.get("se")),
            "name": _shape(p.get("model"), p.get("width"), p.get("depth")),
        }
        for p in view.points("curves", "capacity")
    ]


def _searched(table: pd.DataFrame) -> list[Point]:
    return [
        {
            "x": finite(line["parameters"]),
            "training": finite(line["training"]),
            "validation": finite(line["validation"]),
            "se": finite(line["se"]),
            "name": _shape(line.get("model"), line.get("width"), line.get("depth")),
        }
        for line in by_architecture(table).to_dict("records")
    ]


def _shape(model: Any, width: Any, depth: Any) -> str:
    """Return a short name such as ``mlp 64 × 2``."""
    name = "" if model is None or model != model else str(model)
    if finite(width) and finite(depth):
        return f"{name} {count(width)} × {count(depth)}".strip()
    return name or "–"


def _chosen(view: RunView, table: pd.DataFrame, points: list[Point]) -> Point | None:
    """Return the chosen configuration as a point; its own scores where the members are known."""
    if "chosen" in table and table["chosen"].any() and "parameters" in table:
        line = table[table["chosen"]].iloc[0]
        return {"x": finite(line["parameters"]), "y": finite(line["validation"])}
    size = finite(view.get("chosen", "parameters"))
    at = next((p for p in points if p["x"] == size), None)
    return {"x": size, "y": at["validation"]} if at else None


def _sentence(points: list[Point], chosen: Point | None, metric: MetricWords, _: Words) -> str:
    best = points[0]
    for point in points[1:]:
        if is_better(metric, point["validation"], best["validation"]):
            best = point
    said = [
        _("Validation is best at {size} parameters ({value}).").format(
            size=count(best["x"]), value=metric.show_spread(best["validation"], best.get("se"))
        )
    ]
    last = points[-1]
    worse = relative_change(metric, best["validation"], last["validation"])
    if not any(is_clear(metric, best, point) for point in points):
        said.append(_("No size differs from it by more than a standard error: capacity hardly matters here."))
    elif last is not best and worse is not None and is_clear(metric, best, last):
        fitted = relative_change(metric, best["training"], last["training"])
        if fitted is not None and fitted < -0.05:
            said.append(
                _(
                    "The largest net ({size}) errs {fit} less on its training rows, yet {share} more on "
                    "validation rows: that capacity only memorises."
                ).format(size=count(last["x"]), fit=percent(-fitted), share=percent(worse))
            )
        else:
            said.append(
                _("The largest net ({size}) errs {share} more on validation rows.").format(
                    size=count(last["x"]), share=percent(worse)
                )
            )
    elif last is best:
        said.append(_("It is the largest net shown: still larger ones may do better."))
    if chosen and chosen["x"] and chosen["x"] < best["x"]:
        said.append(
            _("The chosen net needs {share} of those parameters and is within one standard error.").format(
                share=percent(chosen["x"] / best["x"])
            )
            if _within(best, chosen, metric)
            else _("The chosen net has {size}.").format(size=count(chosen["x"]))
        )
    return " ".join(said)


def _left_out(n: int, _: Words) -> str:
    if not n:
        return ""
    return " " + _.many(
        "{n} size was cut short and is not shown: no score of its own to compare.",
        "{n} sizes were cut short and are not shown: they have no scores to compare.",
        n,
    )


def _within(best: Point, chosen: Point, metric: MetricWords) -> bool:
    if best.get("se") is None or chosen["y"] is None:
        return False
    lag = metric.error(chosen["y"]) - metric.error(best["validation"])
    return bool(lag <= best["se"] * 1.0001)
