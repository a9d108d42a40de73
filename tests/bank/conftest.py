"""The slow twin: one module trained alone with torch.optim, and small problems to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.bank.order import epoch_order, steps_per_epoch
from soundfit.bank.schedule import multiplier
from soundfit.models.counter import key_of, normal_like, stir
from soundfit.models.dropout import replace_dropout
from soundfit.records import Config

CPU = torch.device("cpu")
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(autouse=True, params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where members train unless a test says so: on each kind of device that there is."""
    device = torch.device(request.param)
    monkeypatch.setitem(train_members.__kwdefaults__, "device", device)
    return device


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Alone:
    """What a plain loop leaves: the best checkpoint and the losses of each epoch."""

    module: nn.Module
    best_state: dict[str, Tensor]
    best_epoch: int = 0
    epochs: int = 0
    validation: list[float] = field(default_factory=list)


def train_alone(
    make_module: Callable[[Config], nn.Module],
    config: Config,
    rows: MemberRows,
    data: BankData,
    *,
    seed: int,
    loss: str = "mse",
) -> Alone:
    """Train one module as anybody would: autograd, torch.optim, a loop over batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make_module(config)
        replace_dropout(module, seed=seed)
    x_N, y_N = data.inputs_VN[rows.view], data.targets_VN[rows.view]
    train, validation = torch.from_numpy(rows.train), torch.from_numpy(rows.validation)
    n_steps = steps_per_epoch(len(train), config.batch_size)
    horizon = config.get("horizon", config.epochs)
    rates = config.learning_rate * multiplier(config.schedule, horizon * n_steps, config.warmup)
    factors = getattr(module, "parameter_scales", {})
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    groups = [{"params": [p], "factor": factors.get(n, (1.0, 1.0))} for n, p in named]
    optimizer: Any
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, betas=(0.9, config.get("beta2", 0.999)))
    else:
        optimizer = torch.optim.SGD(groups, momentum=config.momentum)
    result = Alone(module, {})
    best = float("inf")

    def loss_of(output: Tensor, target: Tensor, smoothing: float) -> Tensor:
        if loss == "cross_entropy":
            return nn.functional.cross_entropy(output, target, label_smoothing=smoothing)
        return nn.functional.mse_loss(output, target)

    for epoch in range(1, config.epochs + 1):
        module.train()
        order = epoch_order(len(train), config.batch_size, seed=rows.order_seed, epoch=epoch, device=CPU)
        for s, batch in enumerate(order):
            step = (epoch - 1) * n_steps + s
            x, y = x_N[train[batch]], y_N[train[batch]]
            if config.input_noise:
                key = key_of(
                    torch.tensor(stir(seed), dtype=torch.int32), torch.tensor(step, dtype=torch.int32)
                )
                x = x + config.input_noise * normal_like(key, x)
            value = loss_of(module(x), y, config.label_smoothing)
            if config.l1:
                value = value + config.l1 * sum(p.abs().sum() for _, p in named)
            optimizer.zero_grad()
            value.backward()
            if config.gradient_clip:
                nn.utils.clip_grad_norm_([p for _, p in named], config.gradient_clip)
            for group in optimizer.param_groups:
                rate, decay = group["factor"]
                group["lr"] = float(rates[step]) * rate
                if config.optimizer == "adamw":
                    group["weight_decay"] = config.weight_decay * decay
                else:
                    with torch.no_grad():
                        group["params"][0].mul_(1 - group["lr"] * config.weight_decay * decay)
            optimizer.step()
        result.epochs = epoch
        # train_members evaluates about every eight steps.
        if epoch % max(1, round(8 / n_steps)) and epoch < config.epochs:
            continue
        module.eval()
        with torch.no_grad():
            judged = float(loss_of(module(x_N[validation]), y_N[validation], 0.0))
        result.validation.append(judged)
        if judged < best or config.get("keep") == "last":
            best, result.best_epoch = judged, epoch
            result.best_state = {k: v.clone() for k, v in module.state_dict().items()}
        if 0 < config.patience <= epoch - result.best_epoch:
            break
    return result


@pytest.fixture
def alone() -> Callable[..., Alone]:
    return train_alone


@dataclass
class Problem:
    """Data in ``n_views`` views, and rows of ``n_folds`` folds with 96 training rows each."""

    data: BankData
    folds: list[MemberRows]

    def rows(self, member: int) -> MemberRows:
        return self.folds[member % len(self.folds)]


def make_problem(
    *,
    shape: tuple[int, ...] = (5,),
    kind: str = "regression",
    n_folds: int = 3,
    n: int = 128,
    n_train: int = 96,
    shared_view: bool = False,
    integers: int = 0,
) -> Problem:
    rng = np.random.default_rng(7)
    n_views = 1 if shared_view else n_folds
    x: Any = rng.normal(size=(n_views, n, *shape)).astype(np.float32)
    if integers:
        x = rng.integers(0, integers, size=(n_views, n, *shape))
    signal = x.reshape(n_views, n, -1).sum(-1)
    y: Any = (np.sin(signal) + 0.1 * rng.normal(size=signal.shape))[..., None].astype(np.float32)
    if kind == "classification":
        y = np.digitize(signal, [-1.0, 1.0])
    folds = []
    for k in range(n_folds):
        order = np.random.default_rng(k).permutation(n).astype(np.int64)
        view = 0 if shared_view else k
        folds.append(MemberRows(view, np.sort(order[:n_train]), np.sort(order[n_train:]), k))
    return Problem(BankData.of(x, y), folds)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    return make_problem


@pytest.fixture
def mlp() -> Callable[[Config], nn.Module]:
    def make(config: Config) -> nn.Module:
        return nn.Sequential(
            nn.Linear(5, config.width), nn.Tanh(), nn.Linear(config.width, config.get("outputs", 1))
        )

    return make
