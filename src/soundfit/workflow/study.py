"""Study: questions about capacity, rows, restraint and rates, asked of a table. Test rows stay sealed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from soundfit.data.split import split
from soundfit.data.table import Table
from soundfit.errors import StopError, UsageError
from soundfit.executors.threads import one_thread
from soundfit.records import Config, Plan
from soundfit.records.said import say
from soundfit.study.capacity import DEPTHS, WIDTHS, capacity_study
from soundfit.study.cross_validation import Hooks
from soundfit.study.curve import Curve, score_point
from soundfit.study.grid import base_configuration
from soundfit.study.learning import LearningCurve, learning_curve_of
from soundfit.study.memorising import memorising
from soundfit.study.rate_range import rate_range_study
from soundfit.study.regularization import DECAYS, DROPOUTS, regularization_study
from soundfit.study.repeated import repeated_study
from soundfit.study.views import TableViews, table_views
from soundfit.workflow.inquiry import stopping_in_words
from soundfit.workflow.options import Options, parse_budget, pick_device
from soundfit.workflow.prepare import prepare, stop_on_errors

__all__ = [
    "capacity_curve",
    "learning_curve",
    "learning_rate_range",
    "regularization_path",
    "repeated_cv",
    "run_study",
    "write_study",
]

Data = str | Path | pd.DataFrame | Table
_MOST_FOLDS = 5
_ROWS_TO_MEMORISE = 256
_LEARNING_PARTS = (0.05, 0.1, 0.2, 0.4, 0.7)


def capacity_curve(
    data: Data,
    *,
    target: str | None = None,
    plan: Plan | None = None,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS,
    seeds: int = 2,
    budget: str | float | None = None,
    device: str = "auto",
    hooks: Hooks | None = None,
    **options: Any,
) -> Curve:
    """Measure error over size: a linear model, widths at depth 1, depths at one width; nothing restrained.

    Args:
        data: a table file, a DataFrame (with ``target``), or a :class:`Table`.
        target: the column to predict, unless ``data`` is a Table.
        plan: folds and sealed rows for a Table; drawn if None.
        widths, depths: sizes to try.
        seeds: initialisations per fold.
        budget: seconds or a text such as ``"5m"``; the largest sizes are left out when it ends.
        device: ``auto``, ``cpu`` or ``cuda``.
        hooks: progress and interruption.
        options: as for :func:`soundfit.train`: ``folds``, ``test``, ``group``, ``time``, ``drop`` …

    Returns:
        The curve: ``points``, ``sentence``, ``facts``; ``to_dict()`` is its JSON form.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    started = time.perf_counter()
    views = _views(data, target, plan, options)
    where = pick_device(device)
    limited = _limited(hooks, budget, started)
    with one_thread(), stopping_in_words(limited.should_stop):
        curve = capacity_study(
            views, widths=widths, depths=depths, seeds=range(seeds), device=where, hooks=limited
        )
        if limited.over():
            return curve
        return _with_memorising(views, curve, where)


def learning_curve(
    data: Data,
    *,
    target: str | None = None,
    plan: Plan | None = None,
    width: int = 64,
    depth: int = 2,
    parts: Sequence[float] = _LEARNING_PARTS,
    seeds: int = 2,
    budget: str | float | None = None,
    device: str = "auto",
    hooks: Hooks | None = None,
    **options: Any,
) -> Curve:
    """Measure error over the number of training rows, and what twice the rows would bring.

    Args:
        width, depth: the size of the net; depth 0 is the linear model.
        parts: shares of each fold's training rows, besides all of them.
        data, target, plan, seeds, budget, device, hooks, options: as for :func:`capacity_curve`.

    Raises:
        UsageError: data or options cannot be used as given.
        StopError: the budget ended before the curve was measured.
    """
    started = time.perf_counter()
    views = _views(data, target, plan, options)
    limited = _limited(hooks, budget, started)
    n_train = int(np.median([len(f.train) for f in views.folds]))
    config = base_configuration(n_train, width=width, depth=depth).with_(weight_decay=0.1)
    usable = [p for p in parts if 0 < p < 1 and p * n_train >= 8]
    limited.on_total(round(sum(config.epochs * p**-0.5 for p in (*usable, 1.0)) * seeds * len(views.folds)))
    with one_thread():
        found = learning_curve_of(
            views,
            config,
            fractions=usable,
            seeds=range(seeds),
            device=pick_device(device),
            on_epoch=limited.on_epoch,
            should_stop=limited.over,
        )
    if found is None:
        raise StopError(
            "A learning curve needs all of its sizes trained",
            received="training ended before that",
            fix="give it a longer --budget, or fewer seeds",
        )
    return _as_curve(views, config, found)


def regularization_path(
    data: Data,
    *,
    target: str | None = None,
    plan: Plan | None = None,
    width: int = 128,
    depth: int = 2,
    decays: Sequence[float] = DECAYS,
    dropouts: Sequence[float] = DROPOUTS,
    seeds: int = 2,
    budget: str | float | None = None,
    device: str = "auto",
    hooks: Hooks | None = None,
    **options: Any,
) -> Curve:
    """Measure error along weight decay and over dropout at one size.

    Args:
        width, depth: the size of the net; depth 0 is the linear model.
        decays, dropouts: what to try.
        data, target, plan, seeds, budget, device, hooks, options: as for :func:`capacity_curve`.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    started = time.perf_counter()
    views = _views(data, target, plan, options)
    limited = _limited(hooks, budget, started)
    with one_thread(), stopping_in_words(limited.should_stop):
        return regularization_study(
            views,
            width=width,
            depth=depth,
            decays=decays,
            dropouts=dropouts,
            seeds=range(seeds),
            device=pick_device(device),
            hooks=limited,
        )


def learning_rate_range(
    data: Data,
    *,
    target: str | None = None,
    plan: Plan | None = None,
    width: int = 64,
    depth: int = 2,
    batch_sizes: Sequence[int] | None = None,
    seeds: int = 2,
    budget: str | float | None = None,
    device: str = "auto",
    hooks: Hooks | None = None,
    **options: Any,
) -> Curve:
    """Find the largest stable learning rate at several batch sizes, by a rate that grows at every step.

    Args:
        width, depth: the size of the net; depth 0 is the linear model.
        batch_sizes: to try; a quarter, once and four times the default if None.
        data, target, plan, seeds, budget, device, hooks, options: as for :func:`capacity_curve`.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    started = time.perf_counter()
    views = _views(data, target, plan, options)
    limited = _limited(hooks, budget, started)
    with one_thread():
        return rate_range_study(
            views,
            width=width,
            depth=depth,
            batch_sizes=batch_sizes,
            seeds=range(seeds),
            device=pick_device(device),
            hooks=replace(limited, should_stop=limited.over),
        )


def repeated_cv(
    data: Data,
    *,
    target: str | None = None,
    plan: Plan | None = None,
    seeds: int = 3,
    budget: str | float | None = None,
    device: str = "auto",
    hooks: Hooks | None = None,
    **options: Any,
) -> Curve:
    """Cross-validate a few sizes on folds that are drawn ``seeds`` times.

    Args:
        data, target, plan, seeds, budget, device, hooks, options: as for :func:`capacity_curve`.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    started = time.perf_counter()
    table, the_plan = _table(data, target, plan, options)
    limited = _limited(hooks, budget, started)
    with one_thread(), stopping_in_words(limited.should_stop):
        return repeated_study(
            table,
            the_plan,
            repeats=seeds,
            device=pick_device(device),
            hooks=limited,
        )


_STUDIES: dict[str, Callable[..., Curve]] = {
    "capacity": capacity_curve,
    "learning": learning_curve,
    "regularization": regularization_path,
    "lr": learning_rate_range,
    "cv": repeated_cv,
}


def run_study(question: str, source: str | Path, options: Options, *, seeds: int, hooks: Hooks) -> Curve:
    """Answer a question of the command line.

    Raises:
        UsageError: data or options cannot be used as given.
        StopError: a finding says that the score would be a lie.
    """
    if seeds < 1:
        raise UsageError("--seeds is 1 or more", received=str(seeds), fix="write for example --seeds 3")
    prepared = prepare(source, options)
    stop_on_errors(prepared.findings, options.accept)
    return _STUDIES[question](
        prepared.table,
        plan=prepared.plan,
        seeds=seeds,
        budget=options.budget,
        device=options.device,
        hooks=hooks,
    )


def write_study(curve: Curve, folder: Path) -> Path:
    """Write ``study-<question>.json`` into a folder (made if missing) and return its path.

    Raises:
        UsageError: it cannot be written.
    """
    path = folder / f"study-{curve.question}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(curve.to_dict(), ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            "--out names a folder that can be written", received=f"{folder}: {error}", fix="name another one"
        ) from error
    return path


def _table(data: Data, target: str | None, plan: Plan | None, options: dict[str, Any]) -> tuple[Table, Plan]:
    if isinstance(data, Table):
        return data, plan or split(data, **options)
    if target is None:
        raise UsageError("A study needs a target column", received="target=None", fix='pass target="COLUMN"')
    several = ("group", "drop", "accept")
    known: dict[str, Any] = {k: _tuple(v) if k in several else v for k, v in options.items()}
    for name in ("folds", "test", "gap"):
        if name in known:
            known[name] = str(known[name])
    try:
        prepared = prepare(data, Options(target=target, **known))
    except TypeError as error:
        raise UsageError(
            "Options of a study are those of soundfit.train",
            received=str(error),
            fix="see help(soundfit.train)",
        ) from error
    stop_on_errors(prepared.findings, known.get("accept", ()))
    return prepared.table, plan or prepared.plan


def _tuple(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _views(data: Data, target: str | None, plan: Plan | None, options: dict[str, Any]) -> TableViews:
    table, the_plan = _table(data, target, plan, options)
    # A picture needs no ten folds; seeds add what folds leave out.
    return table_views(table, replace(the_plan, folds=the_plan.folds[:_MOST_FOLDS]))


def _limited(hooks: Hooks | None, budget: str | float | None, started: float) -> Hooks:
    hooks = hooks or Hooks()
    seconds = parse_budget(None if budget is None else str(budget))
    if seconds is None:
        return hooks

    def left() -> float:
        return 0.95 * seconds - (time.perf_counter() - started)

    asked = hooks.should_stop
    return replace(hooks, seconds_left=left, should_stop=lambda: asked() or left() <= 0)


def _with_memorising(views: TableViews, curve: Curve, device: torch.device) -> Curve:
    """Add to the points of depth 0 and 1 what each size fits of random targets on a few of the rows."""
    assert curve.result is not None
    rows = views.folds[0].train[:_ROWS_TO_MEMORISE]
    inputs = views.data.inputs_VN[0].numpy()[rows]
    some = [p for p in curve.points if p["depth"] <= 1 and p["width"] in (0, 1, 4, 16, 64, 256)]
    configs = [base_configuration(len(rows), width=p["width"], depth=p["depth"]) for p in some]
    if not configs:
        return curve
    found = {
        (c.width, c.depth): m
        for c, m in zip(configs, memorising(inputs, configs, device=device), strict=True)
    }
    points = []
    for point in curve.points:
        m = found.get((point["width"], point["depth"]))
        extra = {} if m is None else {"random_fit": m.fitted, "degrees_of_freedom": m.degrees_of_freedom}
        points.append({**point, **extra})
    return replace(curve, points=tuple(points), facts={**curve.facts, "memorising_rows": len(rows)})


def _as_curve(views: TableViews, config: Config, found: LearningCurve) -> Curve:
    points = tuple(
        {"rows": round(float(rows)), **score_point(training, validation)}
        for rows, training, validation in zip(
            found.rows_S, found.training_SK, found.validation_SK, strict=True
        )
    )
    root = views.metric.name in ("rmse", "rmse_log")
    loss = float(np.mean(found.validation_SK[-1] ** 2 if root else found.validation_SK[-1]))
    gain, se = found.gain / loss, found.se / loss
    low, high = max(gain - 2 * se, 0.0), max(gain + 2 * se, 0.0)
    what = say("squared error") if root else say("log-loss")
    sentence = say(
        "Twice the training rows would take about {gain:.1f} % of the {what} (interval {low:.1f} to "
        "{high:.1f} %){outlook}",
        gain=100 * gain,
        what=what,
        low=100 * low,
        high=100 * high,
        outlook=say(": more rows help.")
        if low > 0.02
        else say(": more rows of this kind would hardly help.")
        if high < 0.1
        else ".",
    )
    return Curve(
        "learning",
        views.metric.name,
        views.metric.greater_is_better,
        points,
        sentence,
        {
            "width": config.width,
            "depth": config.depth,
            "gain": gain,
            "gain_se": se,
            "gain_of": what,
        },
    )
