"""Training and generalisation error over weight decay or dropout."""

from __future__ import annotations

from typing import Any

from soundfit.report.figures.curve import curve_keys, curve_rows, is_better, relative_change
from soundfit.report.figures.figure import Figure
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["regularisation_figures"]


def regularisation_figures(view: RunView, metric: MetricWords, _: Words) -> list[Figure]:
    """Return one picture per regulariser that was varied."""
    names = {"weight_decay": _("weight decay"), "dropout": _("dropout")}
    found = [_figure(view, name, label, metric, _) for name, label in names.items()]
    return [figure for figure in found if figure]


def _figure(view: RunView, name: str, label: str, metric: MetricWords, _: Words) -> Figure | None:
    points: list[dict[str, Any]] = [
        {
            "x": finite(p.get(name)),
            "training": finite(p.get("training")),
            "validation": finite(p.get("validation")),
            "se": finite(p.get("se")),
        }
        for p in view.points("curves", "regularization")
        if name in p
    ]
    points = [p for p in points if p["x"] is not None and p["validation"] is not None]
    if len({p["x"] for p in points}) < 2:
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
    if best is none:
        said.append(_("The least regularised net wins here: holding it back buys nothing."))
    elif gain is not None:
        said.append(
            _("Against {least} it saves {share} of the error.").format(
                least=none["tick"], share=percent(-gain)
            )
        )
    cost = relative_change(metric, best["validation"], most["validation"])
    if most is not best and cost is not None and cost > 0.005:
        said.append(
            _("At {most} the net is held back too much: {share} more error.").format(
                most=most["tick"], share=percent(cost)
            )
        )
    return " ".join(said)
