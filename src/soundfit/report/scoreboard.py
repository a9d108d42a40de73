"""Scoreboard: the exam and the cross-validated score beside the baselines. Knows no page.

The same lines feed the first screen of the HTML report and the table in the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass

from soundfit.report.metric_words import PLUS_MINUS, MetricWords, metric_words
from soundfit.report.numbers import count, finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = [
    "ScoreLine",
    "baseline_name",
    "baselines",
    "others",
    "score_lines",
    "score_metric",
    "score_remarks",
]

# From this factor on it is said how far cross-validation flatters by what its rows chose.
_FLATTERED = 1.05


@dataclass(frozen=True)
class ScoreLine:
    """One score: ``kind`` is ``exam``, ``cv``, ``baseline`` or ``sealed`` (no score yet).

    ``low`` and ``high`` bound the interval in the metric's unit, None where there is none.
    """

    kind: str
    name: str
    value: float | None
    shown: str
    interval: str = ""
    note: str = ""
    low: float | None = None
    high: float | None = None


def score_metric(view: RunView, _: Words) -> MetricWords:
    """Return the words for the metric that the run was judged by."""
    name = view.get("cv", "metric") or view.get("exam", "metric") or "score"
    return metric_words(str(name), _, greater_is_better=view.get("cv", "greater_is_better"))


def score_lines(view: RunView, _: Words) -> list[ScoreLine]:
    """Return the exam, the model's cross-validated score and the baselines, in that order."""
    metric = score_metric(view, _)
    lines = [_exam(view, _)]
    n_folds = len(view.items("cv", "per_fold")) or int(finite(view.get("study", "folds")) or 0)
    folds = _.many("{n} fold", "{n} folds", n_folds) if n_folds else ""
    lines += _mean_of_folds(view, ("cv",), _("Model, cross-validated"), folds, _)
    # The whole procedure, selection included: what the plain score is optimistic against.
    lines += _mean_of_folds(view, ("cv", "nested"), _("Nested, selection included"), folds, _)
    se = finite(view.get("cv", "se"))
    lines += [
        ScoreLine("baseline", name, number, metric.show(number, se), note=_("same folds"))
        for name, number in baselines(view, metric, _)
    ]
    return lines


def _mean_of_folds(view: RunView, path: tuple[str, ...], name: str, note: str, _: Words) -> list[ScoreLine]:
    metric = score_metric(view, _)
    value, se = finite(view.get(*path, "value")), finite(view.get(*path, "se"))
    if value is None:
        return []
    interval = ""
    if se is not None:
        interval = _("SE {se}").format(se=metric.show_spread(value, se).partition(PLUS_MINUS)[2])
    low, high = (None, None) if se is None else (value - se, value + se)
    return [ScoreLine("cv", name, value, metric.show(value, se), interval, note, low, high)]


def _exam(view: RunView, _: Words) -> ScoreLine:
    rows = finite(view.get("exam", "rows", default=view.get("split", "test")))
    how_many = _.many("{n} row", "{n} rows", round(rows)) if rows else ""
    if view.is_sealed:
        return ScoreLine("sealed", _("Exam, sealed test rows"), None, _("sealed"), note=how_many)
    metric = metric_words(str(view.get("exam", "metric", default="score")), _)
    value, low, high = (finite(view.get("exam", name)) for name in ("value", "low", "high"))
    shown, between = metric.show_interval(value, low, high)
    level = finite(view.get("exam", "level")) or 0.95
    return ScoreLine(
        kind="exam",
        name=_("Exam, sealed test rows"),
        value=value,
        shown=shown,
        interval=_("{level}: {between}").format(level=percent(level), between=between) if between else "",
        note=how_many,
        low=low,
        high=high,
    )


def baselines(view: RunView, metric: MetricWords, _: Words) -> list[tuple[str, float]]:
    """Return the baselines measured by the same metric as the model, best first: name for readers, value."""
    return [(baseline_name(name, _), value) for name, value in _known(view, metric)]


def _known(view: RunView, metric: MetricWords) -> list[tuple[str, float]]:
    found = []
    for line in view.points("baselines"):
        value = finite(line.get("value"))
        if value is not None and line.get("metric", metric.name) == metric.name:
            found.append((str(line.get("name", "")), value))
    return sorted(found, key=lambda line: metric.error(line[1]))


def baseline_name(name: str, _: Words) -> str:
    """Return what a baseline is called for readers."""
    names = {
        "linear": _("Linear model"),
        "boosted-trees": _("Boosted trees"),
        "mean": _("Always the mean"),
        "majority": _("Always the class frequencies"),
        "last": _("Always the last value"),
    }
    return names.get(name, name)


def _in_text(name: str, _: Words) -> str:
    names = {
        "linear": _("the linear model"),
        "boosted-trees": _("boosted trees"),
        "mean": _("predicting the mean"),
        "majority": _("predicting the class frequencies"),
        "last": _("predicting the last value"),
    }
    return names.get(name, f"“{name}”")


def score_remarks(view: RunView, _: Words) -> list[str]:
    """Return what the scores say when set against each other, a sentence each."""
    metric = score_metric(view, _)
    value, se = finite(view.get("cv", "value")), finite(view.get("cv", "se"))
    # What validation says where it chose neither configuration nor checkpoint.
    fair = finite(view.get("cv", "corrected")) or value
    exam = None if view.is_sealed else finite(view.get("exam", "value"))
    same = view.get("exam", "metric") == metric.name
    is_examined = exam is not None and same
    said = []
    meaning = metric.meaning(exam if is_examined else value)
    against = [metric.compared(fair, theirs, _in_text(name, _), se) for name, theirs in _known(view, metric)]
    against = [part for part in against if part] if fair is not None else []
    if meaning and is_examined:
        said.append(_("In the exam: {meaning}.").format(meaning=meaning))
    elif meaning:
        against = [meaning, *against]
    if against:
        said.append(_("In cross-validation: {list}.").format(list=_(", ").join(against)))
    if value and fair and metric.error(fair) > _FLATTERED * metric.error(value):
        said.append(
            _(
                "That is by {corrected}, where the other folds choose configuration and checkpoint; {value} "
                "comes of choosing by the same rows."
            ).format(corrected=metric.show(fair), value=metric.show(value))
        )
    if exam is not None and same and value is not None and fair is not None:
        said.append(_agreement(view, metric, exam, value, fair, se, _))
    openings = finite(view.get("exam", "openings"))
    if openings and openings > 1:
        said.append(
            _("These test rows have been opened {n} times: the score may flatter the model.").format(
                n=count(openings)
            )
        )
    return said


def _agreement(
    view: RunView, metric: MetricWords, exam: float, value: float, fair: float, se: float | None, _: Words
) -> str:
    low, high = finite(view.get("exam", "low")), finite(view.get("exam", "high"))
    if low is None or high is None:
        return ""
    reach = 2 * (se or 0.0)
    if max(value, fair) + reach >= low and min(value, fair) - reach <= high:
        return _("The exam agrees with cross-validation: the score holds for rows that no choice has seen.")
    if metric.is_better(exam, value):
        return _("The exam came out better than cross-validation: the test rows may be easier than the rest.")
    return _(
        "The exam came out worse than cross-validation: the test rows may differ, or the choices were "
        "fitted to the folds."
    )


def others(view: RunView, _: Words) -> list[tuple[str, str]]:
    """Return the other scores of the exam as (label, value); none while it is sealed."""
    found = view.get("exam", "others", default={})
    if not isinstance(found, dict):
        return []
    shown = []
    for name, value in found.items():
        base = str(name).removesuffix("_low").removesuffix("_high")
        if (base != name and base in found) or finite(value) is None:
            continue
        metric = metric_words(str(name), _)
        low, high = found.get(f"{name}_low"), found.get(f"{name}_high")
        text = metric.show(value)
        if finite(low) is not None and finite(high) is not None:
            text += " " + _("({low} to {high})").format(low=metric.show(low), high=metric.show(high))
        shown.append((metric.label, text))
    return shown
