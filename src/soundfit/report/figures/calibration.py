"""Whether predictions mean what they say: probabilities against frequencies, predictions against means."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.figures.predicted import numeric_predictions, on_log_scale
from soundfit.report.numbers import count, percent, significant
from soundfit.report.run_view import RunView, labels
from soundfit.report.words import Words

__all__ = ["calibration_figure"]

N_BINS = 10
FEWEST = 8


def calibration_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture for the task at hand; None where predictions do not allow it."""
    return _of_classes(view, _) if view.is_classification else _of_values(view, _)


def _of_classes(view: RunView, _: Words) -> Figure | None:
    """Two classes: probability of the second; more: probability of the predicted class."""
    names = view.class_names
    columns = [f"probability_{name}" for name in names]
    if len(names) < 2 or not view.has("predictions", "target", *columns):
        return None
    probability = view.predictions[columns].to_numpy(dtype=float)
    truth = labels(view.predictions["target"]).to_numpy()
    known = np.isfinite(probability).all(axis=1)
    probability, truth = probability[known], truth[known]
    if len(names) == 2:
        said, happened = probability[:, 1], truth == names[1]
        event = _("being {name}").format(name=f"“{names[1]}”")
    else:
        said, happened = probability.max(axis=1), truth == np.array(names)[probability.argmax(axis=1)]
        event = _("the predicted class")
    if len(said) < 2 * FEWEST:
        return None
    edges = np.linspace(0, 1, N_BINS + 1)
    place = np.clip(np.digitize(said, edges[1:-1]), 0, N_BINS - 1)
    points = []
    off = 0.0
    for b in range(N_BINS):
        inside = place == b
        n = int(inside.sum())
        if not n:
            continue
        hits = int(happened[inside].sum())
        off += n * abs(float(said[inside].mean()) - hits / n)
        if n >= FEWEST:
            between = stats.binomtest(hits, n).proportion_ci(method="wilson")
            points.append(
                {
                    "x": float(said[inside].mean()),
                    "y": hits / n,
                    "low": between.low,
                    "high": between.high,
                    "n": n,
                }
            )
    return Figure(
        id="calibration",
        kind="reliability",
        title=_("Calibration, out of fold"),
        sentence=_sentence(points, off / len(said), event, _),
        data={
            "points": points,
            "unit": True,
            "x": {"label": _("predicted probability of {event}").format(event=event)},
            "y": {"label": _("how often it was true")},
            "words": {"rows": _("rows")},
        },
        keys=(Key(_("rows of similar probability (95 % interval)"), "dot", "validation"), _perfect(_)),
        columns=(_("predicted"), _("true"), _("95 % interval"), _("rows")),
        rows=[
            [percent(p["x"]), percent(p["y"]), f"{percent(p['low'])} – {percent(p['high'])}", count(p["n"])]
            for p in points
        ],
    )


def _sentence(points: list[dict[str, float]], off: float, event: str, _: Words) -> str:
    said = _("Probabilities of {event} are off by {off} on average.").format(
        event=event, off=_("{n} percentage points").format(n=significant(100 * off, 2))
    )
    wrong = [p for p in points if not p["low"] <= p["x"] <= p["high"]]
    if not wrong:
        return said + " " + _("No group differs from what was predicted by more than chance.")
    worst = max(wrong, key=lambda p: abs(p["x"] - p["y"]) * p["n"] ** 0.5)
    return (
        said
        + " "
        + _("Where {predicted} was predicted, {true} was true ({n} rows): more than chance explains.").format(
            predicted=percent(worst["x"]), true=percent(worst["y"]), n=count(worst["n"])
        )
    )


def _of_values(view: RunView, _: Words) -> Figure | None:
    frame = numeric_predictions(view)
    if len(frame) < N_BINS * FEWEST or frame["prediction"].nunique() < 3:
        return None
    log = on_log_scale(view, frame)
    group = pd.qcut(frame["prediction"].rank(method="first"), N_BINS, labels=False)
    points = []
    for _number, part in frame.groupby(group):
        values = part[["prediction", "target"]].to_numpy()
        values = np.log(values) if log else values
        middle, true = values.mean(axis=0)
        reach = 1.96 * values[:, 1].std(ddof=1) / np.sqrt(len(values))
        ends = np.array([middle, true, true - reach, true + reach])
        x, y, low, high = (np.exp(ends) if log else ends).tolist()
        points.append({"x": x, "y": y, "low": low, "high": high, "n": len(part)})
    wrong = [p for p in points if not p["low"] <= p["x"] <= p["high"]]
    if wrong:
        worst = max(wrong, key=lambda p: abs(p["y"] - p["x"]) / (p["high"] - p["low"] or 1))
        sentence = _(
            "In {wrong} of {n} groups of like predictions the mean is off by more than chance explains, most "
            "where about {predicted} was predicted and {true} was true."
        ).format(
            wrong=len(wrong), n=len(points), predicted=significant(worst["x"]), true=significant(worst["y"])
        )
    else:
        sentence = _(
            "In all {n} groups of like predictions the mean of the true values agrees with the prediction."
        ).format(n=len(points))
    return Figure(
        id="calibration",
        kind="reliability",
        title=_("Calibration, out of fold"),
        sentence=sentence,
        data={
            "points": points,
            "unit": False,
            "log": log,
            "x": {"label": _("mean prediction")},
            "y": {"label": _("mean of the true values")},
            "words": {"rows": _("rows")},
        },
        keys=(Key(_("a tenth of the rows (95 % interval)"), "dot", "validation"), _perfect(_)),
        columns=(_("predicted"), _("true"), _("95 % interval"), _("rows")),
        rows=[
            [
                significant(p["x"]),
                significant(p["y"]),
                f"{significant(p['low'])} – {significant(p['high'])}",
                count(p["n"]),
            ]
            for p in points
        ],
    )


def _perfect(_: Words) -> Key:
    return Key(_("perfect"), "dash", "baseline")
