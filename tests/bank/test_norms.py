"""Batch normalisation written out is torch's own, on its own and in a bank."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from soundfit.bank import train_members
from soundfit.bank.norms import PlainNorms, batch_norm
from soundfit.bank.program import Program
from soundfit.records import Config


@pytest.mark.parametrize("shape", [(6, 3), (5, 3, 4), (4, 3, 5, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_values_gradients_and_running_statistics(
    shape: tuple[int, ...], training: bool, affine: bool
) -> None:
    torch.manual_seed(0)
    results = []
    for function in (nn.functional.batch_norm, batch_norm):
        torch.manual_seed(1)
        x = torch.randn(shape).mul_(3.0).add_(2.0).requires_grad_()
        mean, variance = torch.randn(3), torch.rand(3) + 0.5
        weight, bias = (torch.randn(3, requires_grad=True) for _ in range(2))
        inside = [weight, bias] if affine else [None, None]
        y = function(x, mean, variance, *inside, training, 0.1, 1e-5)
        (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum().backward()
        gradients = [x.grad, *([weight.grad, bias.grad] if affine else [])]
        results.append([y.detach(), mean, variance, *gradients])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_mode_swaps_it_in_modules_and_leaves_nothing_behind() -> None:
    layer, x = nn.BatchNorm2d(3).train(), torch.randn(4, 3, 2, 2)
    with PlainNorms():
        first = layer(x)
    mean = layer.running_mean.clone()
    layer.reset_running_stats()
    torch.testing.assert_close(layer(x), first)
    torch.testing.assert_close(layer.running_mean, mean)


def test_members_with_it_match_torch_optim(problem: Any, alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "plain_norms", True)

    def make(config: Config) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 1)
        )

    base = Config(
        epochs=20, batch_size=24, schedule="constant", warmup=0.0, optimizer="sgd", learning_rate=5e-3
    )
    p = problem(shape=(1, 5, 5))
    configs, rows = [base.with_(learning_rate=r) for r in (2e-3, 8e-3)], [p.rows(i) for i in range(2)]
    outcomes = train_members(make, configs, rows, p.data, seeds=[11, 12], workers=1)
    for config, member_rows, seed, outcome in zip(configs, rows, (11, 12), outcomes, strict=True):
        twin = alone(make, config, member_rows, p.data, seed=seed)
        assert outcome.best_epoch == twin.best_epoch
        for name, value in twin.best_state.items():
            torch.testing.assert_close(
                outcome.module.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
            )
