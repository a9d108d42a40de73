"""Whether gradients arrive: cleared too early, cut off, clipped away, updates without an optimiser. Each with its control."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from soundfit.doctor.changes import Changes
from soundfit.doctor.graph import loss_structure, softmax_axis
from soundfit.doctor.scores import Task
from soundfit.doctor.watch import Watch

Step = Callable[[nn.Module, torch.optim.Optimizer, torch.Tensor], None]


def watched(step: Step, steps: int = 6) -> Watch:
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = x.sum(1, keepdim=True)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    watch = Watch()
    watch.attach()
    try:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            step(model, optimizer, nn.functional.mse_loss(model(x), y))
    finally:
        watch.detach()
    return watch


def usual(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def cleared(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()


def cut_off(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    torch.tensor(loss.item(), requires_grad=True).backward()
    optimizer.step()


def clipped(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1e-6)
    optimizer.step()


def test_gradients_are_seen_after_backward_and_at_the_step() -> None:
    for step, made, arrived in ((usual, 1.0, 1.0), (cleared, 1.0, 0.0), (cut_off, 0.0, 0.0)):
        sparse = watched(step).recording.sparse
        assert set(sparse["gradients_after_backward"].values()) == {made}, step.__name__
        assert set(sparse["gradients_at_step"].values()) == {arrived}, step.__name__


def test_clipping_is_seen_and_undone() -> None:
    watch = watched(clipped)
    assert min(watch.recording.sparse["clipped"].values()) > 1000
    assert watch.custom["clip_place"].file == __file__
    assert "clipped" not in watched(usual).recording.sparse


def test_updates_by_hand_count_as_steps_and_an_optimiser_is_waited_for() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    model = nn.Linear(3, 1)
    watch = Watch()
    watch.attach()
    try:
        for _ in range(40):
            model.zero_grad()
            nn.functional.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            with torch.no_grad():
                for p in model.parameters():
                    assert p.grad is not None
                    p -= 0.1 * p.grad
    finally:
        watch.detach()
    assert watch.by_hand
    assert watch.step == 39  # the last one has no successor that would tell of it
    assert len(watch.recording.loss) >= 39
    assert watch.recording.loss[30] < watch.recording.loss[0]
    other = watched(usual)
    assert not other.by_hand
    assert other.step == 6


def test_gradients_kept_until_the_step_and_clipping_loosened_teach() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = x.sum(1, keepdim=True)
    for step, wanted in ((cleared, {"keep_gradients": True, "zero_grad": True}), (clipped, {"unclip": True})):
        model = nn.Linear(3, 1)
        changes = Changes(wanted, {"task": Task("regression"), "model": "Linear", "row_shape": [3]})
        changes.attach()
        try:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(60):
                step(model, optimizer, nn.functional.mse_loss(model(x), y))
        finally:
            changes.detach()
        with torch.no_grad():
            assert float(nn.functional.mse_loss(model(x), y)) < 0.05, step.__name__
    assert "soundfit" not in nn.utils.clip_grad_norm_.__module__


def test_the_axis_of_a_softmax_is_read_from_the_graph_and_mended() -> None:
    x = torch.randn(5, 3, requires_grad=True)
    assert softmax_axis(x.log_softmax(0)) == 0
    assert softmax_axis(x.softmax(-1)) == 1
    assert softmax_axis(x.T.softmax(0).T) is None
    assert softmax_axis(x) is None
    changes = Changes({"axis": 1}, {"task": Task("classes", 3), "model": "Linear", "row_shape": [3]})
    changes.attach()
    try:
        made = nn.LogSoftmax(dim=0)(x)
    finally:
        changes.detach()
    assert torch.allclose(made.exp().sum(1), torch.ones(5))


def test_a_penalty_on_weights_is_read_from_the_graph() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    loss = nn.functional.mse_loss(model(torch.randn(8, 3)), torch.randn(8, 1))
    assert loss_structure(loss)["penalised"] == 0
    assert loss_structure(loss + 0.1 * sum(p.abs().sum() for p in model.parameters()))["penalised"] == 4
    assert loss_structure(loss + 0.1 * sum((p**2).sum() for p in model.parameters()))["penalised"] == 4
    assert loss_structure(loss + sum(p.norm() for p in model.parameters()))["penalised"] == 4
