"""Tests of significance: rare alarms on noise, sure detection of a signal, paired gains of a smaller rate."""

# ruff: noqa: E501

from __future__ import annotations

import torch
from torch import nn

from soundfit.doctor.call import call_of
from soundfit.doctor.pace import clock
from soundfit.doctor.proof import agreement_z, rate_gains, signal
from soundfit.doctor.replay import Recipe
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, permutation_z, row_scores


def test_permutation_z_has_mean_nought_and_spread_one_over_shuffles() -> None:
    generator = torch.Generator().manual_seed(0)
    p, t = torch.randn(60, 3, generator=generator), torch.rand(60, 3, generator=generator)
    values = torch.tensor([permutation_z(p, t[torch.randperm(60, generator=generator)]) for _ in range(800)])
    assert abs(float(values.mean())) < 0.12
    assert abs(float(values.std()) - 1) < 0.08


def test_signal_is_found_where_it_is_weak_and_not_where_labels_were_shuffled() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(700, 6, generator=generator)
    y = (x[:, 0] + 2 * torch.randn(700, generator=generator) > 0).long()
    task = Task("classes", 2)
    assert signal(task, Rows((x,), y))["z"] > 3
    alarms = 0
    for _ in range(8):
        found = signal(task, Rows((x,), y[torch.randperm(700, generator=generator)]))
        alarms += found["z"] > 2.33
        assert found["rows"] == 700
    assert alarms <= 2


def test_a_ring_is_a_signal_for_the_smooth_fit() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(600, 2, generator=generator)
    y = (x**2).sum(1, keepdim=True)
    assert signal(Task("regression"), Rows((x,), y))["z"] > 10


def test_agreement_of_outputs_with_labels() -> None:
    y = torch.arange(90) % 3
    logits = nn.functional.one_hot(y, 3).float()
    assert agreement_z(Task("classes", 3), logits, y) > 8
    assert abs(agreement_z(Task("classes", 3), logits, y[torch.randperm(90)])) < 4


def test_row_scores_average_to_the_score() -> None:
    y = torch.tensor([0, 1, 1, 0])
    parts = row_scores(Task("classes", 2), torch.eye(2)[torch.tensor([0, 1, 0, 0])], y)
    assert parts is not None
    assert parts.tolist() == [1.0, 1.0, 0.0, 1.0]


def recipe(lr: float) -> tuple[Recipe, Rows]:
    torch.manual_seed(0)
    x = torch.randn(700, 10)
    y = (x @ torch.randn(10, 3) + 0.3 * torch.randn(700, 3)).argmax(1)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
    initial = {k: v.clone() for k, v in model.state_dict().items()}
    form = call_of((x,), {}, y)
    assert form is not None
    made = Recipe(
        model, form[0], initial, True, "cross_entropy", "mean", {}, None, torch.optim.Adam, {"lr": lr}, None, 32, 200,
    )  # fmt: skip
    return made, Rows((x,), y)


def test_a_smaller_rate_is_proven_better_where_it_is_and_not_elsewhere() -> None:
    task = Task("classes", 3)
    high, rows = recipe(1.0)
    found = rate_gains(high, task, rows, deadline=clock() + 60)
    assert found is not None
    best = max(found.values(), key=lambda one: one["gain"])
    assert best["gain"] > 0.04
    assert best["z"] > 3
    good, rows = recipe(0.01)
    found = rate_gains(good, task, rows, deadline=clock() + 60)
    assert found is not None
    assert max(one["gain"] for one in found.values()) < 0.04
