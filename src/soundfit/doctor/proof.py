"""Tests of significance where scores leave a doubt: do labels carry anything, does one change gain?

Knows rows, tasks and replays; knows no rule and no watch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from soundfit.doctor.pace import clock
from soundfit.doctor.reference import parted, signal_z
from soundfit.doctor.replay import Recipe, Replayed, replay
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, permutation_z, predicted_labels

__all__ = ["agreement_z", "folds", "outputs_z", "paired_gains", "rate_gains", "signal"]

Tensor = torch.Tensor


def agreement_z(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return how surely outputs go with the targets, against shuffled targets (see permutation_z)."""
    n = len(targets)
    if task.kind in ("classes", "binary", "one-hot"):
        found, labels = predicted_labels(task, predictions), task.labels(targets)
        k = int(max(found.max(), labels.max())) + 1
        if found.shape != labels.shape or int(labels.min()) < 0:
            return float("nan")
        one_hot = torch.nn.functional.one_hot
        return permutation_z(one_hot(found, k).float(), one_hot(labels, k).float())
    p, y = torch.nan_to_num(predictions.float()).reshape(n, -1), targets.float().reshape(n, -1)
    return permutation_z(p, y) if p.shape == y.shape else float("nan")


def outputs_z(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return how surely raw outputs go with the targets, be a class ever named or not."""
    n = len(targets)
    p = torch.nan_to_num(predictions.float(), posinf=0.0, neginf=0.0).reshape(n, -1)
    if task.kind in ("classes", "one-hot"):
        labels = task.labels(targets)
        if labels.dim() != 1 or int(labels.min()) < 0 or int(labels.max()) >= p.shape[1]:
            return float("nan")
        y = torch.nn.functional.one_hot(labels, p.shape[1]).float()
    else:
        y = targets.float().reshape(n, -1)
        if task.kind == "binary" and p.shape[1] == 2:
            p = p[:, 1:] - p[:, :1]
    return permutation_z(p, y) if p.shape == y.shape else float("nan")


def signal(task: Task, rows: Rows) -> dict[str, float]:
    """Return how surely inputs tell anything of labels, and up to which correlation that was ruled out.

    The bound is the upper end of a one-sided 99 % interval of the correlation between out-of-fold predictions
    of linear and smooth fits and the labels.
    """
    z, n = signal_z(task, rows)
    return {"z": z, "rows": n, "correlation_below": (max(z, 0.0) + 2.33) / max(n, 1) ** 0.5}


def rate_gains(
    recipe: Recipe, task: Task, rows: Rows, *, deadline: float, seeds: tuple[int, ...] = (3, 4, 5, 6, 7, 8)
) -> dict[str, Any] | None:
    """Return what a tenth and a hundredth of the rate gain on held-out rows (see paired_gains)."""
    changes = {str(factor): {"rate": factor} for factor in (0.1, 0.01)}
    return paired_gains(recipe, task, rows, changes, deadline=deadline, runs=[(seed, None) for seed in seeds])


def paired_gains(
    recipe: Recipe,
    task: Task,
    rows: Rows,
    changes: Mapping[str, dict[str, Any]],
    *,
    deadline: float,
    runs: Sequence[tuple[int, tuple[Tensor, Tensor] | None]],
    known: dict[int, Replayed | None] | None = None,
) -> dict[str, Any] | None:
    """Return what each change gains over the same training without it, on rows that neither was fitted to.

    Args:
        changes: as replays take them, by name.
        deadline: in processor seconds; fewer runs are made where it is near.
        runs: seeds with the rows to fit on and to judge on (see folds), None for a fixed share.
        known: trainings without a change, by seed, of earlier calls with the same runs; is added to.

    Returns:
        per change ``gain`` (score) and ``z``: the mean over runs of each held-out row's difference, over
        the larger of its standard errors over rows and over runs; None where nothing could be replayed.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in changes}
    known = {} if known is None else known
    started = clock()
    for k, (seed, split) in enumerate(runs):
        now = clock()
        if now > deadline or (k == 1 and now + 2 * (now - started) > deadline):  # three runs say something
            break
        if seed not in known:
            known[seed] = replay(recipe, task, rows, {}, seconds=3.0, seed=seed, split=split)
        same = known[seed]
        if same is None or same.parts is None or same.cut:
            return None
        held = (split or parted(rows))[1]
        for name, change in changes.items():
            made = replay(recipe, task, rows, change, seconds=3.0, seed=seed, split=split)
            if made is not None and made.parts is not None and not made.cut:
                found[name].append((held, (made.parts - same.parts).double().clamp(-2.0, 2.0)))
    return {name: _mean_difference(one, len(rows)) for name, one in found.items() if len(one) >= 3} or None


def _mean_difference(found: list[tuple[Tensor, Tensor]], n: int) -> dict[str, float]:
    total, count = torch.zeros(n, dtype=torch.float64), torch.zeros(n)
    for held, difference in found:
        total[held] += difference
        count[held] += 1
    by_row, by_run = (total / count)[count > 0], torch.stack([d.mean() for _, d in found])
    errors = (float(x.std()) / len(x) ** 0.5 for x in (by_row, by_run))
    return {"gain": float(by_row.mean()), "z": float(by_row.mean()) / max(*errors, 1e-9)}


def folds(n: int, parts: int = 10) -> list[tuple[int, tuple[Tensor, Tensor]]]:
    """Return runs for paired_gains in which each row is held out once: all of few rows judge, not a third."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(20_011))
    held = [order[k::parts] for k in range(parts)]
    return [(3 + k, (torch.cat(held[:k] + held[k + 1 :]), held[k])) for k in range(parts)]
