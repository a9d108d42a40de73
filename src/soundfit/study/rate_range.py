"""Learning-rate range: a rate that grows at every step, until training breaks (Smith 2017, section 3.3).

Where the loss on training rows turns up for good lies the stable limit, per batch size: larger batches
have less noise and stand larger steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import nn

from soundfit.bank import MemberRows, Outcome, train_members
from soundfit.bank.schedule import multiplier
from soundfit.models.net import build
from soundfit.records import Config, Trace
from soundfit.records.said import say
from soundfit.study.cross_validation import Hooks
from soundfit.study.curve import Curve
from soundfit.study.grid import sized_to_rows
from soundfit.study.views import TableViews

__all__ = ["rate_range_study", "stable_limit"]

Array = NDArray[np.float64]

HIGHEST = 10.0
_EVALUATIONS = 60
_MOST_FOLDS = 3


def rate_range_study(
    views: TableViews,
    *,
    width: int = 64,
    depth: int = 2,
    batch_sizes: Sequence[int] | None = None,
    seeds: Sequence[int] = (0, 1),
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Curve:
    """Find the largest learning rate at which training stays stable, for several batch sizes.

    Args:
        views: of the table.
        width, depth: the size; depth 0 is the linear model.
        batch_sizes: to try; a quarter, once and four times the default if None.
        seeds: initialisations per fold.
        device: where to train.
        hooks: progress and interruption.
    """
    hooks = hooks or Hooks()
    n_train = int(np.median([len(f.train) for f in views.folds]))
    default, _ = sized_to_rows(n_train)
    wanted = batch_sizes or (default // 4, default, default * 4)
    batches = sorted({int(np.clip(b, 4, n_train)) for b in wanted})
    base = Config(
        model="mlp" if depth else "linear",
        width=width if depth else 0,
        depth=depth,
        learning_rate=HIGHEST,
        schedule="range",
        warmup=0.0,
        options={"beta2": 0.95},
    )
    folds = views.folds[:_MOST_FOLDS]
    jobs = [(b, s, k) for b in batches for s in seeds for k in range(len(folds))]
    steps = {b: max(n_train // b, 1) for b in batches}
    configs = [
        base.with_(batch_size=b, epochs=_EVALUATIONS * max(1, round(8 / steps[b]))) for b, _, _ in jobs
    ]
    hooks.on_total(sum(c.epochs for c in configs))

    def make_module(config: Config) -> nn.Module:
        return build(config, views.n_inputs, views.n_outputs)

    outcomes: list[Outcome] = train_members(
        make_module,
        configs,
        [MemberRows(k, folds[k].train, folds[k].validation, s * 1_000 + k) for _, s, k in jobs],
        views.data,
        seeds=[s * 1_000 + k for _, s, k in jobs],
        loss=views.loss,
        device=device,
        on_epoch=hooks.on_epoch,
        should_stop=hooks.should_stop,
    )
    points = []
    for batch in batches:
        limits, lowest = [], []
        for (b, _, k), config, outcome in zip(jobs, configs, outcomes, strict=True):
            if b == batch and outcome.status != "interrupted":
                limit, best = stable_limit(outcome.trace, config, len(folds[k].train) // min(batch, n_train))
                limits.append(limit)
                lowest.append(best)
        if limits:
            points.append({"batch_size": batch, **_spread(np.array(limits)), "lowest_at": _middle(lowest)})
    slope = _slope(points)
    return Curve(
        "lr",
        "training_loss",
        False,
        tuple(points),
        _sentence(points, slope),
        {
            "exponent": slope,
            "width": base.width,
            "depth": depth,
            "highest": HIGHEST,
            "training_rows": n_train,
        },
    )


def stable_limit(trace: Trace, config: Config, n_steps: int) -> tuple[float, float]:
    """Return the last rate before the training loss turns up for good, and the rate at its lowest.

    Turning up: above the lowest loss so far by half of it and by a twentieth of the first one; or a
    rollback.

    Args:
        trace: of a member under the ``range`` schedule.
        config: that member's.
        n_steps: steps an epoch.
    """
    epochs = trace.at.astype(np.int64)
    loss = np.asarray(trace.series["training_loss"], dtype=np.float64)
    curve = config.learning_rate * multiplier("range", config.epochs * max(n_steps, 1), 0.0)
    rates = curve[np.minimum(epochs * max(n_steps, 1), len(curve)) - 1]
    broken = min((e.step for e in trace.events if e.kind == "rollback"), default=int(1e9))
    lowest, limit, lowest_at = np.inf, float(rates[0]), float(rates[0])
    for at, rate, value in zip(epochs, rates, loss, strict=True):
        bad = not np.isfinite(value) or value > max(1.5 * lowest, lowest + 0.05 * loss[0])
        if at >= broken or (np.isfinite(lowest) and bad):
            break
        limit = float(rate)
        if value < lowest:
            lowest, lowest_at = float(value), float(rate)
    return limit, lowest_at


def _middle(rates: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(rates))))


def _spread(limits: Array) -> dict[str, float | None]:
    logs = np.log(limits)
    k = len(logs)
    reach = float(student.ppf(0.975, k - 1) * logs.std(ddof=1) / np.sqrt(k)) if k > 1 else None
    mean = float(logs.mean())
    return {
        "limit": float(np.exp(mean)),
        "low": float(np.exp(mean - reach)) if reach is not None else None,
        "high": float(np.exp(mean + reach)) if reach is not None else None,
        "suggested": float(np.exp(mean)) / 3.0,
    }


def _slope(points: Sequence[dict[str, float | None]]) -> float | None:
    if len(points) < 2:
        return None
    x = np.log([float(p["batch_size"] or 1) for p in points])
    y = np.log([float(p["limit"] or 1) for p in points])
    return float(np.polyfit(x, y, 1)[0])


def _sentence(points: Sequence[dict[str, float | None]], slope: float | None) -> str:
    if not points:
        return say("Training was ended before a limit was found.")
    middle = points[len(points) // 2]
    said = say(
        "At batches of {batch} training is stable up to a learning rate of about {limit:.2g}; start with "
        "{start:.2g}, a third of it.",
        batch=middle["batch_size"],
        limit=middle["limit"],
        start=middle["suggested"],
    )
    if slope is None:
        return said
    if slope < 0.1:
        return said + say(" The limit hardly depends on the batch size here.")
    return said + say(" The limit grows like batch size to the power of {slope:.1f}.", slope=slope)
