"""Predicted against true values, out of fold, for regression."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import count, finite, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["numeric_predictions", "on_log_scale", "predicted_figure"]

MOST_POINTS = 1500


def numeric_predictions(view: RunView) -> pd.DataFrame:
    """Return ``row``, ``target``, ``prediction`` as finite numbers; empty where there are none."""
    if view.is_classification or not view.has("predictions", "row", "target", "prediction"):
        return pd.DataFrame()
    frame = pd.DataFrame(
        {
            name: pd.to_numeric(view.predictions[name], errors="coerce")
            for name in ("row", "target", "prediction")
        }
    ).astype(float)
    return frame.loc[np.isfinite(frame.to_numpy()).all(axis=1)]


def on_log_scale(view: RunView, frame: pd.DataFrame) -> bool:
    """Return whether errors are relative: the score is on the log scale and all values allow it."""
    positive = bool((frame[["target", "prediction"]] > 0).all(axis=None))
    return positive and view.get("cv", "metric") in ("rmse_log", "mape")


def predicted_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture: a dot per row (a sample of them where there are many) and the diagonal."""
    frame = numeric_predictions(view)
    if len(frame) < 2:
        return None
    log = on_log_scale(view, frame)
    shown = frame.sample(MOST_POINTS, random_state=0) if len(frame) > MOST_POINTS else frame
    n_digits = 4
    return Figure(
        id="predicted",
        kind="scatter",
        title=_("Predicted against true, out of fold"),
        sentence=_sentence(frame, log, len(shown), _),
        data={
            "points": [
                [int(row), float(f"{true:.{n_digits}g}"), float(f"{predicted:.{n_digits}g}")]
                for row, true, predicted in shown.itertuples(index=False)
            ],
            "log": log,
            "x": {"label": _("true")},
            "y": {"label": _("predicted")},
            "words": {"row": _("row"), "true": _("true"), "predicted": _("predicted")},
        },
        keys=(Key(_("one row"), "dot", "validation"), Key(_("perfect"), "dash", "baseline")),
        columns=(_("share of the rows"), _("error at most")),
        rows=[
            [percent(q), _size(float(_errors(frame, log).quantile(q)), log)]
            for q in (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
        ],
    )


def _errors(frame: pd.DataFrame, log: bool) -> pd.Series:
    error = (frame["prediction"] - frame["target"]).abs()
    return error / frame["target"].abs() if log else error


def _size(error: float, log: bool) -> str:
    return percent(error) if log else significant(error)


def _sentence(frame: pd.DataFrame, log: bool, n_shown: int, _: Words) -> str:
    error = _errors(frame, log)
    said = [
        _(
            "Half of the {n} predictions are off by at most {half}, nineteen in twenty by at most {most}."
        ).format(
            n=count(len(frame)),
            half=_size(float(error.median()), log),
            most=_size(float(error.quantile(0.95)), log),
        )
    ]
    pull = _slope(frame, log)
    if pull is not None and pull < 0.97:
        said.append(
            _(
                "Per unit of true difference the prediction moves {slope}: extremes are drawn to the middle."
            ).format(slope=significant(pull, 2))
        )
    above = float((frame["prediction"] > frame["target"]).mean())
    if abs(above - 0.5) > 2.6 * 0.5 / np.sqrt(len(frame)):
        said.append(_("{share} of them are too high.").format(share=percent(above)))
    if n_shown < len(frame):
        said.append(_("The picture shows a random {n} of them.").format(n=count(n_shown)))
    return " ".join(said)


def _slope(frame: pd.DataFrame, log: bool) -> float | None:
    """Return the slope of prediction on truth."""
    values = frame[["target", "prediction"]].to_numpy()
    moments = np.cov(np.log(values) if log else values, rowvar=False)
    return finite(moments[0, 1] / moments[0, 0]) if moments[0, 0] > 0 else None
