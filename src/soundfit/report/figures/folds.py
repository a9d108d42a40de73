"""The spread of the folds, against the baselines."""

from __future__ import annotations

import statistics

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["folds_figure"]


def folds_figure(
    view: RunView, metric: MetricWords, baselines: list[tuple[str, float]], _: Words
) -> Figure | None:
    """Return the picture: one dot per fold, their mean, and the nearest baseline."""
    per_fold = [finite(value) for value in view.get("cv", "per_fold", default=[])]
    values = [value for value in per_fold if value is not None]
    if len(values) < 2:
        return None
    mean = finite(view.get("cv", "value"))
    mean = statistics.fmean(values) if mean is None else mean
    se = finite(view.get("cv", "se"))
    nearest = min(baselines, key=lambda b: abs(b[1] - mean), default=None)
    return Figure(
        id="folds",
        kind="folds",
        title=_("Spread over the folds"),
        sentence=_sentence(values, mean, se, nearest, metric, _),
        data={
            "points": [{"fold": f + 1, "y": value} for f, value in enumerate(per_fold) if value is not None],
            "mean": mean,
            "se": se,
            "baseline": {"y": nearest[1], "text": nearest[0]} if nearest else None,
            "x": {"label": _("fold")},
            "y": {"label": metric.label, "fraction": metric.name == "accuracy"},
        },
        keys=(
            Key(_("one fold"), "dot", "validation"),
            Key(_("mean ± standard error"), "band", "validation"),
            *([Key(nearest[0], "dash", "baseline")] if nearest else []),
        ),
        columns=(_("fold"), metric.label),
        rows=[[str(f + 1), metric.show(value, se)] for f, value in enumerate(per_fold)],
    )


def _sentence(
    values: list[float],
    mean: float,
    se: float | None,
    nearest: tuple[str, float] | None,
    metric: MetricWords,
    _: Words,
) -> str:
    said = [
        _("{n} folds lie between {low} and {high}").format(
            n=len(values), low=metric.show(min(values), se), high=metric.show(max(values), se)
        )
    ]
    if mean:
        spread = statistics.stdev(values) / abs(mean)
        said[0] += " " + _("(standard deviation {share} of the mean)").format(share=percent(spread))
    said[0] += "."
    if nearest:
        wins = sum(metric.is_better(value, nearest[1]) for value in values)
        said.append(
            _("{wins} of {n} folds are better than “{name}” over all folds ({value}).").format(
                wins=wins, n=len(values), name=nearest[0], value=metric.show(nearest[1], se)
            )
        )
    worst = max(values, key=metric.error)
    if len(values) >= 4:
        rest = sorted(values, key=metric.error)[:-1]
        usual = statistics.stdev(rest)
        if usual > 0 and abs(worst - statistics.fmean(rest)) > 4 * usual:
            said.append(
                _("Fold {fold} stands out: look at what its rows have in common.").format(
                    fold=values.index(worst) + 1
                )
            )
    return " ".join(said)
