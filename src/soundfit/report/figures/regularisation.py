"""Training and generalisation error over weight decay or dropout."""

from __future__ import annotations

from typing import Any

import pandas as pd

from soundfit.report.configurations import is_cut_short
from soundfit.report.figures.curve import curve_keys, curve_rows, is_better, is_clear, relative_change
from soundfit.report.figures.figure import Figure
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["regularisation_figures"]

REGULARISERS = ("weight_decay", "dropout")


def regularisation_figures(view: RunView, table: pd.DataFrame, metric: MetricWords, _: Words) -> list[Figure]:
    """Return one picture per regulariser that was varied; ``table`` holds the configurations."""
    names = {"weight_decay": _("weight decay"), "dropout": _("dropout")}
    found = [_figure(view, table, name, label, metric, _) for name, label in names.items()]
    return [figure for figure in found if figure]


def _figure(
    view: RunView, table: pd.DataFrame, name: str, label: str, metric: MetricWords, _: Words
) -> Figure | None:
    points = _along(view, table, name, metric)
    if len(points) < 2:
        return None
    points.sort(key=lambda p: p["x"])
    for position, point in enumerate(points):
        point["at"] = position
        point["tick"] = significant(point["x"], 2)
    return Figure(
        id=f"path-{name.replace('_', '-')}",
        kind="path",
        title=_("Error over {name}").format(name=label),
        sentence=_sentence(points, label, metric, _),
        data={
            "points": points,
            "x": {"label": label},
            "y": {"label": metric.label, "fraction": metric.name == "accuracy"},
            "words": {"training": _("training"), "validation": _("validation"), "chosen": ""},
        },
        keys=curve_keys(_),
        columns=(label, _("training"), _("validation")),
        rows=[[p["tick"], *curve_rows(p, metric)] for p in points],
    )


def _along(view: RunView, table: pd.DataFrame, name: str, metric: MetricWords) -> list[dict[str, Any]]:
    """Return one point per value of a regulariser; where others vary too, they stay at the chosen values.

    Where that leaves no path, each value stands with the best of its points.
    """
    shape = {key: view.get("chosen", key) for key in ("model", "width", "depth")}
    measured = [
        p
        for p in view.points("curves", "regularization")
        if finite(p.get(name)) is not None
        and not is_cut_short(table, {**shape, **{key: p.get(key) for key in REGULARISERS}})
    ]
    others = {other: finite(view.get("chosen", other)) for other in REGULARISERS if other != name}
    held = [p for p in measured if all(finite(p.get(o)) in (None, value) for o, value in others.items())]
    if len({finite(p[name]) for p in held}) < 2:
        held = measured
    best: dict[float, dict[str, Any]] = {}
    for p in held:
        at = finite(p[name])
        point = {"x": at, **{key: finite(p.get(key)) for key in ("training", "validation", "se")}}
        if at is None or point["validation"] is None:
            continue
        if at not in best or is_better(metric, point["validation"], best[at]["validation"]):
            best[at] = point
    return list(best.values())


def _sentence(points: list[dict[str, Any]], label: str, metric: MetricWords, _: Words) -> str:
    best = points[0]
    for point in points[1:]:
        if is_better(metric, point["validation"], best["validation"]):
            best = point
    said = [
        _("Validation is best with a {name} of {value} ({score}).").format(
            name=label, value=best["tick"], score=metric.show_spread(best["validation"], best["se"])
        )
    ]
    none, most = points[0], points[-1]
    gain = relative_change(metric, none["validation"], best["validation"])
    if not any(is_clear(metric, best, point) for point in points):
        said.append(_("No other value differs from it by more than a standard error."))
        return " ".join(said)
    if best is none:
        said.append(_("The least regularised net wins here: holding it back buys nothing."))
    elif gain is not None and is_clear(metric, none, best):
        said.append(
            _("Against {least} it saves {share} of the error.").format(
                least=none["tick"], share=percent(-gain)
            )
        )
    cost = relative_change(metric, best["validation"], most["validation"])
    if most is not best and cost is not None and is_clear(metric, best, most):
        said.append(
            _("At {most} the net is held back too much: {share} more error.").format(
                most=most["tick"], share=percent(cost)
            )
        )
    return " ".join(said)
