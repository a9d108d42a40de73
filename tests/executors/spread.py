"""Spread: a small study, and what makes two of them equal. Read by tests and by scripts of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from soundfit.bank import BankData, MemberRows, Outcome, train_members
from soundfit.records import Config


def make_net(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, config.width), nn.BatchNorm1d(config.width), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(config.width, 1),
    )  # fmt: skip


def study(
    *, epochs: int = 12, make: Callable[[Config], nn.Module] = make_net, **options: Any
) -> list[Outcome]:
    """Train 8 members in 4 chunks of 2 banks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 240, 6)).astype(np.float32)
    y = (x[..., :1] - x[..., 1:2] ** 2 + 0.1 * rng.normal(size=(2, 240, 1))).astype(np.float32)
    rows = [
        MemberRows(0, np.arange(160), np.arange(160, 240), 0),
        MemberRows(1, np.arange(80, 240), np.arange(80), 1),
    ]
    configs = [
        Config(width=w, epochs=epochs, batch_size=32, learning_rate=r)
        for w in (8, 12)
        for r in (3e-3, 1e-2)
        for _ in rows
    ]
    each = [rows[i % 2] for i in range(8)]
    return train_members(make, configs, each, BankData.of(x, y), seeds=range(8), at_once=2, **options)


def assert_equal(a: list[Outcome], b: list[Outcome]) -> None:
    """Compare outcomes bit for bit."""
    for one, other in zip(a, b, strict=True):
        assert torch.equal(one.validation_outputs, other.validation_outputs)
        for name, tensor in one.module.state_dict().items():
            assert torch.equal(tensor, other.module.state_dict()[name])
        fields = ("status", "best_epoch", "epochs", "training_loss", "validation_loss", "rollbacks", "bank")
        assert all(getattr(one, f) == getattr(other, f) for f in fields)
        assert np.array_equal(one.trace.at, other.trace.at)
