"""The spread of the folds, beside the linear model on the same folds."""

from __future__ import annotations

import math
import statistics

import pandas as pd

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["folds_figure"]


def folds_figure(view: RunView, table: pd.DataFrame, metric: MetricWords, _: Words) -> Figure | None:
    """Return the picture: one dot per fold, their mean, and the best linear configuration's dots.

    ``table`` holds the configurations, best first.
    """
    per_fold = [finite(value) for value in view.items("cv", "per_fold")]
    values = [value for value in per_fold if value is not None]
    if len(values) < 2:
        return None
    mean = finite(view.get("cv", "value"))
    mean = statistics.fmean(values) if mean is None else mean
    se = finite(view.get("cv", "se"))
    linear = _linear(view, table, len(per_fold))
    points = [
        {"fold": number + 1, "y": value, "other": linear[number] if linear else None}
        for number, value in enumerate(per_fold)
        if value is not None
    ]
    return Figure(
        id="folds",
        kind="folds",
        title=_("Spread over the folds"),
        sentence=" ".join([_spread(values, mean, se, metric, _), *_against(per_fold, linear, metric, _)]),
        data={
            "points": points,
            "mean": mean,
            "se": se,
            "other": _("linear model"),
            "x": {"label": _("fold")},
            "y": {"label": metric.label, "fraction": metric.name == "accuracy"},
        },
        keys=(
            Key(_("one fold"), "dot", "validation"),
            Key(_("mean ± SE"), "band", "validation"),
            *([Key(_("linear model"), "ring", "baseline")] if linear else []),
        ),
        columns=(_("fold"), _("chosen"), *([_("linear model")] if linear else [])),
        rows=[
            [str(f + 1), metric.show(value, se), *([metric.show(linear[f], se)] if linear else [])]
            for f, value in enumerate(per_fold)
        ],
    )


def _linear(view: RunView, table: pd.DataFrame, n_folds: int) -> list[float] | None:
    """Return the best linear configuration's score on each fold, unless it is the chosen one."""
    if "model" not in table or view.get("chosen", "model") == "linear":
        return None
    lines = table[(table["model"] == "linear") & table["whole"]]
    if "backbone" in lines:  # linear on features is no linear model of the pictures
        lines = lines[~lines["backbone"].astype(bool)]
    if lines.empty:
        return None
    of_it = view.members[view.members["configuration"] == lines.iloc[0]["configuration"]]
    by_fold = of_it.groupby("fold")["validation_score"].mean()
    scores = [finite(by_fold.get(fold)) for fold in range(n_folds)]
    known = [score for score in scores if score is not None]
    return known if len(known) == n_folds else None


def _spread(values: list[float], mean: float, se: float | None, metric: MetricWords, _: Words) -> str:
    said = _("{n} folds lie between {low} and {high}").format(
        n=len(values), low=metric.show(min(values), se), high=metric.show(max(values), se)
    )
    if mean:
        share = percent(statistics.stdev(values) / abs(mean))
        said += " " + _("(standard deviation {share} of the mean)").format(share=share)
    said += "."
    worst = max(values, key=metric.error)
    rest = sorted(values, key=metric.error)[:-1]
    if len(rest) >= 3:
        usual = statistics.stdev(rest)
        if usual > 0 and abs(worst - statistics.fmean(rest)) > 4 * usual:
            said += " " + _("Fold {fold} stands out: look at what its rows have in common.").format(
                fold=values.index(worst) + 1
            )
    return said


def _against(
    per_fold: list[float | None], linear: list[float] | None, metric: MetricWords, _: Words
) -> list[str]:
    """Return how the model stands against the linear one on the same folds, a paired comparison."""
    if not linear:
        return []
    pairs = [(ours, theirs) for ours, theirs in zip(per_fold, linear, strict=True) if ours is not None]
    gains = [metric.error(theirs) - metric.error(ours) for ours, theirs in pairs]
    wins = sum(gain > 0 for gain in gains)
    mean, se = statistics.fmean(gains), statistics.stdev(gains) / math.sqrt(len(gains))
    said = _("It beats the linear model in {wins} of {n} folds, by {gain} on average.").format(
        wins=wins, n=len(gains), gain=metric.show_difference(mean, se)
    )
    if abs(mean) < 2 * se:
        said += " " + _("That is no clear difference.")
    return [said]
