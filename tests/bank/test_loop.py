"""Modules that vmap cannot follow train one after the other, to the same result as a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from soundfit.bank import train_members
from soundfit.bank.loss import resolve_loss
from soundfit.bank.probe import why_loop
from soundfit.records import Config

BASE = Config(epochs=8, batch_size=24, learning_rate=0.02, optimizer="sgd", schedule="constant")


class Branching(nn.Module):
    """Control flow on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.map(x)
        return y * 2 if float(x.mean()) > 0 else y


class Recurrent(nn.Module):
    """torch's own LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)
        self.output = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.lstm(x)[0][:, -1])


class Drawing(nn.Module):
    """Dropout from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(nn.functional.dropout(x, 0.3, self.training))


@pytest.mark.parametrize("make", [Branching, Recurrent])
def test_equals_a_plain_loop(make: Any, problem: Any, alone: Any) -> None:
    p = problem(shape=(5,) if make is Branching else (4, 2))
    configs = [BASE.with_(learning_rate=r) for r in (0.01, 0.03)]
    rows = [p.rows(i) for i in range(2)]
    outcomes = train_members(lambda c: make(), configs, rows, p.data, seeds=[0, 1], workers=1)
    for i, outcome in enumerate(outcomes):
        twin = alone(lambda c: make(), configs[i], rows[i], p.data, seed=i)
        series = outcome.trace.series["validation_loss"]
        torch.testing.assert_close(
            torch.tensor(series), torch.tensor(twin.validation).double(), rtol=1e-4, atol=1e-6
        )
    if make is Branching:
        assert "vmap cannot follow it" in outcomes[0].loop_reason


def test_random_draws_do_not_depend_on_the_bank_or_the_threads(problem: Any) -> None:
    p = problem()
    rows = [p.rows(i) for i in range(4)]
    together, chunked, alone_ = (
        train_members(lambda c: Drawing(), [BASE] * n, rows[:n], p.data, seeds=list(range(n)), **kw)
        for n, kw in ((4, {"workers": 1}), (4, {"workers": 2, "at_once": 2}), (1, {}))
    )
    assert "global generator" in together[0].loop_reason
    for a, b in zip(together, chunked, strict=True):
        torch.testing.assert_close(a.validation_outputs, b.validation_outputs)
    torch.testing.assert_close(together[0].validation_outputs, alone_[0].validation_outputs)


def test_healthy_modules_need_no_loop() -> None:
    x, y, loss = torch.randn(6, 5), torch.randn(6, 1), resolve_loss("mse")
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    assert why_loop(net, x, y, loss) == ""


def test_a_module_that_fails_alone_raises_its_own_error(problem: Any) -> None:
    p = problem()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train_members(lambda c: nn.Linear(4, 1), [BASE], [p.rows(0)], p.data, seeds=[0])
