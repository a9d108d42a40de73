"""Tests of significance where scores leave a doubt: do labels carry anything, is a rate too high?

Knows rows, tasks and replays; knows no rule and no watch.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from soundfit.doctor.reference import signal_z
from soundfit.doctor.replay import Recipe, replay
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, permutation_z, predicted_labels

__all__ = ["agreement_z", "outputs_z", "rate_gains", "signal"]

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
    """Return what a tenth and a hundredth of the rate gain on held-out rows.

    Args:
        deadline: in processor seconds; fewer seeds are run where it is near.

    Returns:
        per factor ``gain`` (score) and ``z``: the mean over seeds of each held-out row's difference, over
        the larger of its standard errors over rows and over seeds; None where nothing could be replayed.
    """
    out: dict[str, Any] = {}
    same: dict[int, Tensor] = {}
    for seed in seeds:
        if time.process_time() > deadline:
            break
        made = replay(recipe, task, rows, {}, seconds=3.0, seed=seed)
        if made is None or made.parts is None or made.cut:
            return None
        same[seed] = made.parts
    for factor in (0.1, 0.01):
        differences = []
        for seed, base in same.items():
            if time.process_time() > deadline:
                break
            made = replay(recipe, task, rows, {"rate": factor}, seconds=3.0, seed=seed)
            if made is not None and made.parts is not None and not made.cut:
                differences.append((made.parts - base).clamp(-2.0, 2.0))
        if len(differences) >= 3:
            each = torch.stack(differences)
            by_row, by_seed = each.mean(0), each.mean(1)
            error = max(
                float(by_row.std()) / len(by_row) ** 0.5, float(by_seed.std()) / len(by_seed) ** 0.5, 1e-9
            )
            out[str(factor)] = {"gain": float(by_seed.mean()), "z": float(by_seed.mean()) / error}
    return out or None
