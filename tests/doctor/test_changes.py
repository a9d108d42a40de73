"""Changes to a running script: more steps on batches seen, Adam for the script's optimiser; all undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from soundfit.doctor.changes import Changes
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
