"""Changes to a running script: more steps on batches seen, Adam for the script's optimiser; all undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from soundfit.doctor.changes import Changes, held_back
from soundfit.doctor.scores import Task


def train(wanted: dict[str, Any], *, squeeze: bool = False, steps: int = 20) -> tuple[float, int]:
    """Fit a line by hand-written steps; return the last loss and how often the model ran with gradients."""
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = x.sum(1, keepdim=True)
    model = nn.Linear(3, 1)
    facts = {"task": Task("regression"), "model": "Linear", "row_shape": [3]}
    calls = []
    model.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    changes = Changes(wanted, facts)
    changes.attach()
    try:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for i in range(steps):
            part = slice(16 * (i % 4), 16 * (i % 4) + 16)
            out, target = model(x[part]), y[part]
            out, target = (out.squeeze(1), target.squeeze(1)) if squeeze else (out, target)
            loss = nn.functional.mse_loss(out, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        changes.detach()
    return loss.item(), sum(calls)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_loop_written_by_hand_becomes_longer(squeeze: bool) -> None:
    short, few = train({}, squeeze=squeeze)
    long, many = train({"longer": 4}, squeeze=squeeze)
    assert (few, many) == (20, 80)
    assert long < 0.5 * short


def test_adam_steps_in_place_of_the_scripts_optimiser() -> None:
    slow, _ = train({}, steps=40)
    fast, calls = train({"adam": 0.1}, steps=40)
    assert fast < 0.2 * slow
    assert calls == 40


def test_nothing_is_left_behind() -> None:
    before = (
        nn.Module.__dict__["__call__"],
        nn.functional.mse_loss,
        torch.optim.Optimizer.__dict__["__init__"],
    )
    train({"longer": 2, "adam": 0.01}, steps=3)
    after = nn.Module.__dict__["__call__"], nn.functional.mse_loss, torch.optim.Optimizer.__dict__["__init__"]
    assert after == before


def run(model: nn.Module, facts: dict[str, Any], wanted: dict[str, Any], loop: Any, **more: Any) -> Changes:
    """Run a loop under changes; return them."""
    facts = {"task": Task("regression"), "model": type(model).__name__, "row_shape": [3], **facts}
    changes = Changes(wanted, facts, **more)
    changes.attach()
    try:
        loop(model)
    finally:
        changes.detach()
    return changes


def test_rows_held_back_teach_a_hand_written_loss_nothing() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(400, 3), torch.randn(400, 1)
    held = held_back(x, 0.25)
    assert 60 < int(held.sum()) < 140

    def gradient(targets: torch.Tensor, share: float) -> torch.Tensor:
        model = nn.Linear(3, 1)
        nn.init.constant_(model.weight, 0.1)
        nn.init.zeros_(model.bias)
        run(
            model,
            {"custom_loss": True},
            {},
            lambda m: ((m(x) - targets) ** 2).mean().backward(),
            hold_back=share,
        )
        assert model.weight.grad is not None
        return model.weight.grad

    damaged = torch.where(held[:, None], y + 1e6, y)
    assert torch.equal(gradient(y, 0.25), gradient(damaged, 0.25))
    assert not torch.equal(gradient(y, 0.0), gradient(damaged, 0.0))


class Squashed(nn.Module):
    """A line with a sigmoid on it, reshaped and clamped after it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.line(x)).squeeze(1).clamp(0.0, 1.0)[:]


@pytest.mark.parametrize("drop", [False, True])
def test_an_output_activation_is_dropped_through_reshaping(drop: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    losses: list[float] = []

    def loop(model: nn.Module) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), 5 * x.sum(1))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    run(Squashed(), {}, {"output": "drop"} if drop else {}, loop)
    assert (losses[-1] < 0.05 * losses[0]) is drop


@pytest.mark.parametrize(("power", "make"), [(2, torch.square), (1, torch.abs)])
def test_targets_are_scaled_for_a_hand_written_loss(power: int, make: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = 1e5 + 5e4 * x.sum(1, keepdim=True)
    found: list[float] = []

    def loop(model: nn.Module) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            loss = make(model(x) - y).mean()
            loss.backward()
            optimizer.step()
            found.append(loss.item())

    facts = {
        "custom_loss": True,
        "loss_power": power,
        "target_mean": float(y.mean()),
        "target_std": float(y.std()),
    }
    run(nn.Linear(3, 1), facts, {"scale_targets": True}, loop)
    assert found[-1] < 0.1 * found[0]


def test_nothing_is_computed_in_half_precision_and_backward_runs_once() -> None:
    x = torch.ones(8, 3)
    types: list[torch.dtype] = []
    passes: list[int] = []

    def loop(model: nn.Module) -> None:
        model = model.half().to(torch.float16)
        with torch.autocast("cpu", torch.float16):
            out = model(x.half())
        types.append(out.dtype)
        loss = out.sum()
        out.register_hook(lambda _: passes.append(1))
        loss.backward(retain_graph=True)
        loss.backward()

    run(nn.Linear(3, 1), {}, {"float": True, "once": True}, loop)
    assert types == [torch.float32]
    assert passes == [1]
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    assert nn.Linear(3, 1).half().weight.dtype is torch.float16
