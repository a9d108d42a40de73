"""Member i of a bank equals the same module trained alone with torch.optim on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from soundfit.bank import train_members
from soundfit.bank.progress import Progress
from soundfit.models.dropout import CounterDropout
from soundfit.models.net import build
from soundfit.records import Config

# 96 rows at batch 24: 4 steps an epoch, 200 in all.
BASE = Config(epochs=50, batch_size=24, width=8, schedule="constant", warmup=0.0, learning_rate=5e-3)


def check(
    problem: Any, make: Any, configs: list[Config], alone: Any, *, loss: str = "mse", **kw: Any
) -> None:
    rows = [problem.rows(i) for i in range(len(configs))]
    seeds = [11 + i for i in range(len(configs))]
    outcomes = train_members(make, configs, rows, problem.data, seeds=seeds, loss=loss, workers=1, **kw)
    for config, member_rows, seed, outcome in zip(configs, rows, seeds, outcomes, strict=True):
        twin = alone(make, config, member_rows, problem.data, seed=seed, loss=loss)
        mine = outcome.trace.series["validation_loss"]
        torch.testing.assert_close(
            torch.tensor(mine[-1]),
            torch.tensor(twin.validation[-1], dtype=torch.float64),
            rtol=1e-4,
            atol=1e-6,
        )
        assert outcome.best_epoch == twin.best_epoch
        assert outcome.epochs == twin.epochs
        state = outcome.module.state_dict()
        assert state.keys() == twin.best_state.keys()
        for name, value in twin.best_state.items():
            scale = float(value.double().abs().max()) if value.numel() else 1.0
            difference = float((state[name].double() - value.double()).abs().max()) if value.numel() else 0.0
            assert difference <= 1e-4 * max(scale, 1e-2), name


OPTIONS: dict[str, list[Config]] = {
    "adamw rates and decays": [
        BASE.with_(learning_rate=r, weight_decay=d) for r, d in ((1e-3, 0.0), (1e-2, 0.3))
    ],
    "beta2": [BASE.with_(beta2=0.95, learning_rate=r) for r in (1e-3, 4e-3)],
    "sgd, momentum and decay": [
        BASE.with_(optimizer="sgd", momentum=m, weight_decay=d, learning_rate=0.02)
        for m, d in ((0.0, 0.0), (0.9, 0.1), (0.5, 0.0))
    ],
    "schedules": [
        BASE.with_(schedule=s, warmup=w)
        for s, w in (("constant", 0.1), ("cosine", 0.05), ("one-cycle", 0.0), ("coslog4", 0.0))
    ],
    "clip": [BASE.with_(gradient_clip=c) for c in (0.0, 0.05, 0.5)],
    "l1": [BASE.with_(l1=v, optimizer="sgd", learning_rate=0.02) for v in (0.0, 1e-3)],
    "input noise": [BASE.with_(input_noise=v) for v in (0.0, 0.1, 0.5)],
    "everything": [
        BASE.with_(
            input_noise=0.1, gradient_clip=0.5, weight_decay=0.1, schedule="cosine", warmup=0.1, patience=12
        ),
        BASE.with_(learning_rate=2e-2),
    ],
    "stopped before the horizon, last state kept": [
        BASE.with_(schedule=s, warmup=0.1, epochs=e, horizon=50, learning_rate=0.05, **kept)
        for s, e, kept in (
            ("cosine", 12, {"keep": "last"}),
            ("coslog4", 31, {"keep": "last", "patience": 2}),
            ("cosine", 31, {}),
        )
    ],
    "epochs differ": [BASE.with_(epochs=e, schedule="cosine") for e in (50, 20, 35, 50)],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_match_torch_optim(name: str, problem: Any, mlp: Any, alone: Any) -> None:
    check(problem(), mlp, OPTIONS[name], alone)


@pytest.mark.parametrize("name", ["schedules", "input noise"])
def test_members_on_shared_rows_match(name: str, problem: Any, mlp: Any, alone: Any) -> None:
    check(problem(n_folds=1), mlp, OPTIONS[name], alone)


def test_the_last_state_is_kept_although_it_is_not_the_best(problem: Any, mlp: Any) -> None:
    data, config = problem(), BASE.with_(learning_rate=0.2, width=32, schedule="constant", epochs=40)
    configs = [config, config.with_(keep="last"), config.with_(keep="last", horizon=80)]
    rows = [data.rows(0)] * 3
    best, last, longer = train_members(mlp, configs, rows, data.data, seeds=[5] * 3, workers=1)
    assert best.best_epoch < 40
    assert (last.best_epoch, last.epochs, last.status) == (40, 40, "done")
    assert last.validation_loss == last.trace.series["validation_loss"][-1]
    assert last.validation_loss > best.validation_loss
    for name, value in last.tensors.items():
        assert torch.equal(value, longer.tensors[name]), "a constant rate knows no horizon"


def test_a_last_state_that_is_not_finite_gives_way_to_the_last_sound_one() -> None:
    progress = Progress.empty(2)
    members, due, latest = np.arange(2), np.array([True, True]), np.array([True, False])
    for epoch, losses in enumerate(([3.0, 3.0], [4.0, 4.0], [np.nan, np.nan]), start=1):
        kept = progress.record(epoch, members, np.zeros(2), np.array(losses), due, latest=latest)
        assert kept.tolist() == [epoch < 3, epoch == 1]
    assert progress.best_epoch.tolist() == [2, 1]
    assert progress.best_loss.tolist() == [4.0, 3.0]


@pytest.mark.parametrize("options", [{"horizon": 49}, {"keep": "first"}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], problem: Any, mlp: Any) -> None:
    data = problem()
    with pytest.raises(ValueError, match=r"however: "):
        train_members(mlp, [BASE.with_(**options)], [data.rows(0)], data.data, seeds=[0], workers=1)


def test_label_smoothing_matches_cross_entropy(problem: Any, mlp: Any, alone: Any) -> None:
    configs = [BASE.with_(label_smoothing=s, outputs=3) for s in (0.0, 0.1, 0.3)]
    check(problem(kind="classification"), mlp, configs, alone, loss="cross_entropy")


class LstmCell(nn.Module):
    """An LSTM over (B, T, F), written by hand."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.gates = nn.Linear(n_inputs + width, 4 * width)
        self.output = nn.Linear(width, 1)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], self.width)
        c = h
        for t in range(x.shape[1]):
            i, f, g, o = self.gates(torch.cat([x[:, t], h], dim=1)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.output(h)


class TiedAndFrozen(nn.Module):
    """Two layers share a weight; another is frozen at a value of each member's own."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(5, 8)
        self.frozen.requires_grad_(False)
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.output = nn.Linear(8, 1)
        self.output.weight = nn.Parameter(torch.randn(8, 1).t())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(torch.tanh(self.frozen(x))))
        return self.output(torch.tanh(self.second(x)))


class SharedBuffer(nn.Module):
    """Two names of one buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(5, 1)
        self.register_buffer("shift", torch.randn(5))
        self.register_buffer("same", self.shift)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x + self.shift * self.same)


class Table(nn.Module):
    """An embedding of integer codes (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.output = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.embedding(x).flatten(1))


MODULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)),
        {},
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1)),
        {},
    ),
    "counter dropout": (
        lambda: nn.Sequential(
            nn.Linear(5, 15), nn.Tanh(), CounterDropout(0.2), nn.Linear(15, 1), CounterDropout(0.1)
        ),
        {},
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 1)),
        {"shape": (1, 6, 6)},
    ),
    "convolution and batch norm": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(3, 1),
        ),
        {"shape": (1, 5, 5)},
    ),
    "embedding": (Table, {"shape": (3,), "integers": 6}),
    "lstm cell": (lambda: LstmCell(2, 4), {"shape": (4, 2)}),
    "layer norm and gelu": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1)),
        {},
    ),
    "tied and frozen": (TiedAndFrozen, {}),
    "shared buffer": (SharedBuffer, {}),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_match_torch_optim(name: str, problem: Any, alone: Any) -> None:
    make, shape = MODULES[name]
    # Momentum, not AdamW: where a gradient is all but zero AdamW blows rounding up to full-sized steps.
    configs = [BASE.with_(learning_rate=r, optimizer="sgd") for r in (2e-3, 5e-3, 8e-3)]
    check(problem(**shape), lambda config: make(), configs, alone)


@pytest.mark.parametrize("model", ["linear", "mlp", "resmlp"])
def test_table_nets_match_with_their_own_rates(model: str, problem: Any, alone: Any) -> None:
    base = BASE.with_(model=model, dropout=0.2, activation="silu", epochs=30, learning_rate=0.02)
    if model == "resmlp":
        # Its branches start at zero gradient, where AdamW blows rounding up to full-sized steps.
        base = base.with_(optimizer="sgd")
    configs = [base.with_(weight_decay=w) for w in (0.0, 0.2)]
    check(problem(), lambda config: build(config, 5, 1), configs, alone)
