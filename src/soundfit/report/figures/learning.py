"""Training and generalisation error over the number of training rows."""

from __future__ import annotations

import math
from typing import Any

from soundfit.report.figures.curve import curve_keys, curve_rows, relative_change
from soundfit.report.figures.figure import Figure
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import count, finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["learning_figure"]


def learning_figure(view: RunView, metric: MetricWords, _: Words) -> Figure | None:
    """Return the picture; None where no learning curve was measured."""
    points: list[dict[str, Any]] = [
        {
            "x": finite(p.get("rows")),
            "training": finite(p.get("training")),
            "validation": finite(p.get("validation")),
            "se": finite(p.get("se")),
        }
        for p in view.points("curves", "learning")
    ]
    points = sorted((p for p in points if p["x"] and p["validation"] is not None), key=lambda p: p["x"])
    if len(points) < 2:
        return None
    return Figure(
        id="learning",
        kind="curve",
        title=_("Error over data size"),
        sentence=_sentence(points, metric, _),
        data={
            "points": points,
            "chosen": None,
            "x": {"label": _("training rows"), "log": points[-1]["x"] / points[0]["x"] > 4},
            "y": {"label": metric.label, "fraction": metric.name == "accuracy"},
            "words": {"training": _("training"), "validation": _("validation"), "chosen": ""},
        },
        keys=curve_keys(_),
        columns=(_("training rows"), _("training"), _("validation")),
        rows=[[count(p["x"]), *curve_rows(p, metric)] for p in points],
    )


def _sentence(points: list[dict[str, Any]], metric: MetricWords, _: Words) -> str:
    first, before, last = points[0], points[-2], points[-1]
    said = [
        _(
            "With {many} instead of {few} training rows, the validation value goes from {start} to {end}."
        ).format(
            few=count(first["x"]),
            many=count(last["x"]),
            start=metric.show(first["validation"], last.get("se")),
            end=metric.show(last["validation"], last.get("se")),
        )
    ]
    step = relative_change(metric, before["validation"], last["validation"])
    if step is None or last["x"] <= before["x"] or step <= -1:
        return said[0]
    doubled = (1 + step) ** (1 / math.log2(last["x"] / before["x"])) - 1
    moved = abs(metric.error(last["validation"]) - metric.error(before["validation"]))
    if doubled < 0 and moved > (last.get("se") or 0.0):
        said.append(
            _(
                "At the last step the error fell by {share} per doubling of the rows: more rows still help."
            ).format(share=percent(-doubled))
        )
    elif doubled < 0:
        said.append(
            _(
                "The last step ({share} less error) is within one standard error: more rows of the same "
                "kind would help little."
            ).format(share=percent(-step))
        )
    else:
        said.append(_("The last step brought nothing: more rows of the same kind would not help."))
    gap = relative_change(metric, last["training"], last["validation"])
    if gap is not None and gap > 0.02:
        said.append(
            _("The error on validation rows is still {share} above that on training rows.").format(
                share=percent(gap)
            )
        )
    return " ".join(said)
