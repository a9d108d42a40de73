"""What moves the prediction most: permutation importance of the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.metric_words import MetricWords, metric_words
from soundfit.report.numbers import count, finite, percent, signed_percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["importance_figure", "importance_line", "important_columns"]

MOST_SHOWN = 12
MOST_NAMED = 3
_MOST_SHARE = 3.0


def important_columns(view: RunView) -> list[Mapping[str, Any]]:
    """Return the columns whose importance is known, largest first."""
    found = [c for c in view.points("importance", "columns") if finite(c.get("value")) is not None]
    return sorted(found, key=lambda c: -float(c["value"]))


def importance_line(view: RunView, _: Words) -> str:
    """Return one line that names the most important columns; nothing where none is known to matter."""
    known = [c for c in important_columns(view) if _matters(c)][:MOST_NAMED]
    if not known:
        return ""
    base = _without_change(view)
    named = [str(c.get("column", "")) + _rise(c, base) for c in known]
    return _("What moves the prediction most: {list}.").format(list=_(", ").join(named))


def importance_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture: a bar with its interval for each of the most important columns."""
    columns = important_columns(view)
    if not columns:
        return None
    metric = metric_words(str(view.get("importance", "metric", default="score")), _)
    shown = columns[:MOST_SHOWN]
    return Figure(
        id="importance",
        kind="bars",
        title=_("Importance of columns"),
        sentence=_.sentences(_sentences(view, columns, metric, _)),
        data={
            "bars": [
                {
                    "name": str(c.get("column", "")),
                    "x": float(c["value"]),
                    "low": finite(c.get("low")),
                    "high": finite(c.get("high")),
                }
                for c in shown
            ],
            "x": {"label": _("rise of the {metric}").format(metric=metric.label)},
            "words": {"interval": "95 %"},
        },
        keys=(
            Key(_("rise when its values are shuffled"), "band", "validation"),
            Key(_("95 % interval"), "line", "chosen"),
        ),
        columns=(
            _("column"),
            _("rise of the {metric}").format(metric=metric.label),
            _("95 % interval"),
            _("rows"),
            _("tells much the same as"),
        ),
        rows=[_row(c, metric, _) for c in columns],
    )


def _row(c: Mapping[str, Any], metric: MetricWords, _: Words) -> list[str]:
    shown, between = metric.show_interval(c["value"], c.get("low"), c.get("high"))
    alike = ", ".join(str(name) for name in c.get("alike") or [])
    return [str(c.get("column", "")), shown, between, count(c.get("rows")), alike or "–"]


def _matters(c: Mapping[str, Any]) -> bool:
    """Return whether the interval lies above zero."""
    low = finite(c.get("low"))
    return low is not None and low > 0


def _without_change(view: RunView) -> float | None:
    """Return the error of the final model out of fold, that rises are compared with."""
    own = ("final", "value") if view.get("importance", "model") == "final" else ("cv", "value")
    return finite(view.get(*own))


def _rise(c: Mapping[str, Any], base: float | None) -> str:
    if not base or base <= 0:
        return ""
    share = float(c["value"]) / base
    # Of an error near 0 a share in per cent is a number that nobody reads.
    return f" ({signed_percent(share)})" if share <= _MOST_SHARE else f" (×{significant(1 + share, 2)})"


def _sentences(
    view: RunView, columns: Sequence[Mapping[str, Any]], metric: MetricWords, _: Words
) -> list[str]:
    whose = (
        _("the final model")
        if view.get("importance", "model") == "final"
        else _("the members of the chosen configuration")
    )
    mattering = [c for c in columns if _matters(c)]
    if not mattering:
        return [
            _(
                "Shuffling any one column among the validation rows changes the {metric} of {whose} by no "
                "more than chance does."
            ).format(metric=metric.label, whose=whose)
        ]
    base = _without_change(view)
    first = mattering[0]
    said = [
        _(
            "With the values of {column} shuffled among the validation rows, the {metric} of {whose} rises "
            "by {rise}."
        ).format(
            column=first.get("column", ""),
            metric=metric.label,
            whose=whose,
            rise=percent(float(first["value"]) / base)
            if base and base > 0 and float(first["value"]) / base <= _MOST_SHARE
            else metric.show(first["value"], _reach(first)),
        )
    ]
    rest = mattering[1:MOST_NAMED]
    if rest:
        said.append(
            _("Next: {list}.").format(
                list=_(", ").join(str(c.get("column", "")) + _rise(c, base) for c in rest)
            )
        )
    n_idle = len(columns) - len(mattering)
    if n_idle:
        said.append(
            _.many(
                "{n} column makes no difference that could be told from chance.",
                "{n} columns make no difference that could be told from chance.",
                n_idle,
            )
        )
    return said + _shared(columns[:MOST_SHOWN], _)


def _reach(c: Mapping[str, Any]) -> float | None:
    low, high = finite(c.get("low")), finite(c.get("high"))
    return None if low is None or high is None else (high - low) / 2


def _shared(columns: Sequence[Mapping[str, Any]], _: Words) -> list[str]:
    """Say which columns share their importance, if any: the first such pair by name."""
    sharing = [c for c in columns if c.get("alike")]
    if not sharing:
        return []
    one = sharing[0]
    return [
        _(
            "Columns that tell much the same share their importance: where one is shuffled, the others still "
            "tell. {column} shares with {others}; together they matter more than each alone seems to."
        ).format(
            column=one.get("column", ""),
            others=", ".join(str(name) for name in list(one["alike"])[:MOST_NAMED]),
        )
    ]
