"""Modules that vmap cannot follow train one after the other, to the same result as a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from soundfit.bank import train_members
from soundfit.bank.loss import resolve_loss
from soundfit.bank.probe import _differing, why_loop
from soundfit.bank.program import LoopProgram
from soundfit.bank.stack import stack_modules
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
    with pytest.warns(RuntimeWarning, match="one after the other, not as one program: "):
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
    with pytest.warns(RuntimeWarning, match="global generator"):
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


def test_gradients_are_held_against_each_other_by_size_not_by_element() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    stack = stack_modules([net, net], sample=torch.randn(6, 5), device=torch.device("cpu"))
    expected = torch.randn(2, stack.params_MP.shape[1])
    noise = 1e-3 * torch.randn_like(expected)
    assert _differing(stack, expected + noise, expected) == ""
    # A whole parameter off, be it small beside the others.
    weight = stack.slots[0]
    wrong = expected.clone()
    wrong[1, weight.start : weight.start + weight.size] *= 1.1
    assert _differing(stack, wrong, expected) == weight.name
    broken = expected.clone()
    broken[0, 0] = float("nan")
    assert _differing(stack, broken, expected) != ""


def test_rows_are_judged_one_by_one_where_a_loss_reads_them_itself() -> None:
    class Reading:
        """Reads its numbers on the host, which no transform can follow."""

        def __call__(self, output: Tensor, y: Tensor, smoothing: Tensor | None) -> Tensor:
            scale = 2.0 if float(y.detach().abs().sum()) >= 0 else 1.0
            return scale * (output - y).square().mean()

    torch.manual_seed(0)
    net, x, y = nn.Linear(5, 1), torch.randn(6, 5), torch.randn(6, 1)
    stack = stack_modules([net, net], sample=x, device=torch.device("cpu"))
    state = tuple(stack.views().values()), tuple(stack.buffers.values())
    weights = torch.full((2, 1, 6), 1 / 6)
    program = LoopProgram(stack, Reading())
    found = program.exam(*state, x, y, weights, own=(False, False))
    torch.testing.assert_close(found[:, 0], (2.0 * (net(x) - y).square().mean()).detach().expand(2))


def test_a_module_that_fails_alone_raises_its_own_error(problem: Any) -> None:
    p = problem()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train_members(lambda c: nn.Linear(4, 1), [BASE], [p.rows(0)], p.data, seeds=[0])
