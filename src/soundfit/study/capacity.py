"""Capacity: error over size, from a linear model to wide and deep nets, without any restraint.

Weight decay, dropout and early stopping are off in the ``final`` scores, so that size alone speaks;
``validation`` is at each member's best checkpoint. Sizes are trained from small to large while time
lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.models.complexity import capacity_measures
from soundfit.records import Config, StudyResult
from soundfit.records.said import joined, say
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.curve import Curve, final_scores, score_point
from soundfit.study.grid import base_configuration
from soundfit.study.views import TableViews

__all__ = ["DEPTHS", "WIDTHS", "capacity_configurations", "capacity_study", "double_descent"]

WIDTHS = tuple(2**i for i in range(11))
DEPTHS = (0, 1, 2, 3, 4)
# Depth is studied at this width, width at depth 1: the whole product would mostly repeat itself.
_WIDTH_FOR_DEPTH = 64


def capacity_configurations(
    n_train: int, *, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS
) -> tuple[Config, ...]:
    """Return the sizes to try: a linear model, every width at depth 1, every depth at one middling width.

    Raises:
        ValueError: no widths or depths, or some below what exists.
    """
    if not widths or not depths or min(widths) < 1 or min(depths) < 0:
        raise ValueError(f"widths are 1 or more and depths 0 or more, however: {widths=}, {depths=}")
    base = base_configuration(n_train, width=_WIDTH_FOR_DEPTH, depth=1)
    configurations = []
    if 0 in depths:
        configurations.append(
            base_configuration(n_train, width=0, depth=0).with_(warmup=0.0, learning_rate=0.05)
        )
    hidden = sorted(d for d in depths if d > 0)
    if hidden:
        configurations += [base.with_(width=w, depth=hidden[0]) for w in sorted(widths)]
        middling = min(widths, key=lambda w: abs(np.log(w / _WIDTH_FOR_DEPTH)))
        configurations += [base.with_(width=middling, depth=d) for d in hidden[1:]]
    return tuple(configurations)


def capacity_study(
    views: TableViews,
    *,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS,
    seeds: Sequence[int] = (0, 1),
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Curve:
    """Measure training and validation error over size.

    Args:
        views: of the table.
        widths, depths: sizes to try.
        seeds: initialisations per fold; scores are means over them.
        device: where to train.
        hooks: with ``seconds_left`` the largest sizes are left out when time is short.
    """
    n_train = int(np.median([len(f.train) for f in views.folds]))
    wanted = capacity_configurations(n_train, widths=widths, depths=depths)
    result = cross_validate_views(views, wanted, seeds=seeds, device=device, hooks=hooks).result
    points = []
    for c, (config, parameters) in enumerate(zip(result.configurations, result.parameters, strict=True)):
        if not np.isfinite(result.scores_CK[c]).all():
            continue
        final_training, final_validation = final_scores(result, c)
        points.append(
            {
                "model": config.model,
                "width": config.width,
                "depth": config.depth,
                **score_point(result.training_scores_CK[c], result.scores_CK[c]),
                "final_training": _mean(final_training),
                "final_validation": _mean(final_validation),
                "chosen": c == result.chosen,
                **capacity_measures(config, views.n_inputs, views.n_outputs, parameters),
            }
        )
    points.sort(key=lambda p: (p["parameters"], p["depth"]))
    peak = double_descent(
        np.array([p["final_validation"] for p in points if p["depth"] == 1]),
        np.array([p["parameters"] for p in points if p["depth"] == 1]),
        greater_is_better=result.greater_is_better,
    )
    left_out = len(wanted) - len(result.configurations)
    return Curve(
        "capacity",
        result.metric,
        result.greater_is_better,
        tuple(points),
        _sentence(points, result, peak, left_out),
        {"double_descent_at": peak, "left_out": left_out, "training_rows": n_train, "rule": result.rule},
        result,
    )


def double_descent(
    validation: NDArray[np.float64],
    parameters: NDArray[np.int64],
    *,
    greater_is_better: bool,
    rise: float = 0.05,
) -> int | None:
    """Return the size at a peak of the error between two valleys, None where there is none.

    Source: Belkin et al. 2019; Nakkiran et al. 2020. A peak stands ``rise`` above the lowest error on
    either side.

    >>> double_descent(np.array([3.0, 1.0, 2.0, 0.9]), np.array([1, 2, 4, 8]), greater_is_better=False)
    4
    """
    error = -validation if greater_is_better else validation
    found, height = None, 0.0
    for i in range(1, len(error) - 1):
        before, after = float(np.nanmin(error[:i])), float(np.nanmin(error[i + 1 :]))
        # Against both valleys; the slope down from a useless model of one unit is no peak.
        above = float(error[i]) - max(before, after)
        if above > rise * abs(max(before, after)) and above > height:
            found, height = int(parameters[i]), above
    return found


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _sentence(points: Sequence[dict[str, Any]], result: StudyResult, peak: int | None, left_out: int) -> str:
    chosen = next(p for p in points if p["chosen"])
    best = (max if result.greater_is_better else min)(points, key=lambda p: p["validation"])
    largest = points[-1]
    said = [
        say(
            "{name} ({parameters:,} parameters) is the smallest that validates within one standard error of "
            "the best ({metric} {value:.4g}; best {best:.4g} with {size:,}).",
            name=_name(chosen),
            parameters=chosen["parameters"],
            metric=result.metric,
            value=chosen["validation"],
            best=best["validation"],
            size=best["parameters"],
        )
    ]
    end, good = largest["final_validation"], best["validation"]
    if isinstance(end, float) and isinstance(good, float) and largest is not best:
        worse = (good - end if result.greater_is_better else end - good) / abs(good) if good else 0.0
        said.append(
            say(
                "Trained to the end without restraint, the largest ({size:,}) is {share:.0f} % worse than "
                "the best: it overfits.",
                size=largest["parameters"],
                share=100 * worse,
            )
            if worse > 0.05
            else say(
                "Trained to the end without restraint, the largest ({size:,}) is no worse than 5 % off.",
                size=largest["parameters"],
            )
        )
    elif largest is best:
        said.append(say("It is still falling at the largest size: larger ones may do better."))
    if peak is not None:
        said.append(
            say("The error peaks at {peak:,} parameters and falls again beyond (double descent).", peak=peak)
        )
    if left_out:
        said.append(say("{n} larger sizes did not fit the budget.", n=left_out))
    return joined(" ", said)


def _name(point: dict[str, Any]) -> str:
    if not point["depth"]:
        return say("A linear model")
    return say("A net of {depth} × {width} units", depth=point["depth"], width=point["width"])
