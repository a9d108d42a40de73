"""What a repair changes while a script runs: which models, norms of their own, statistics, joined graphs,
draws that change nothing, ReLU in chains by hand; each with what stays as it was."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from soundfit.doctor.changes import Changes

F = nn.functional


@contextmanager
def changed(
    wanted: dict[str, Any], model: str = "Sequential", shape: list[int] | None = None
) -> Iterator[Changes]:
    """Apply changes for a while."""
    changes = Changes(wanted, {"model": model, **({"row_shape": shape} if shape else {})})
    changes.attach()
    try:
        yield changes
    finally:
        changes.detach()


def test_a_later_phases_model_gets_its_parameters_into_the_optimiser() -> None:
    body = nn.Linear(4, 8)
    first, second = nn.Sequential(body, nn.Linear(8, 2)), nn.Sequential(body, nn.Linear(8, 3))
    with changed({"include": True}, shape=[4]):
        early = torch.optim.SGD(first.parameters(), lr=0.1)
        for _ in range(2):
            first(torch.randn(5, 4)).sum().backward()
            early.step()
        late = torch.optim.SGD(second[1].parameters(), lr=0.1)
        before = body.weight.clone()
        for _ in range(2):
            second(torch.randn(5, 4)).sum().backward()
            late.step()
    assert not torch.equal(body.weight, before)
    held = {id(p) for g in late.param_groups for p in g["params"]}
    assert held >= {id(p) for p in second.parameters()}
    assert not held & {id(p) for p in first[1].parameters()}


def test_copies_are_never_drawn_anew_and_stay_their_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    x = torch.randn(6, 4)
    with changed({"fresh": True, "activation": "relu", "residual": True}, shape=[4]):
        model(x)
        with torch.no_grad():
            copied = copy.deepcopy(model)
            copied[0].weight.zero_()
            copied[0].bias.zero_()
            copied[1].weight.zero_()
            kept = copied[1].bias.clone()
            out = copied(x)
    # A layer of zeros in residual form gives its input: the copy's own weights count, not the model's.
    assert torch.allclose(out, x + kept)


class Shared(nn.Module):
    """One norm at two places of very different spread."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(100 * self.norm(x) + 50)


@pytest.mark.parametrize("unshare", [False, True])
def test_places_that_share_a_norm_get_norms_of_their_own(unshare: bool) -> None:
    torch.manual_seed(0)
    model, x = Shared(), torch.randn(400, 3)
    with changed({"unshare": True, "include": True} if unshare else {}, "Shared", [3]):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(60):
            model(x).pow(2).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            trained = model.train()(x)
            evaluated = model.eval()(x)
    far = float((trained - evaluated).abs().mean())
    assert far < 0.1 if unshare else far > 0.4
    if unshare:
        held = {id(p) for g in optimizer.param_groups for p in g["params"]}
        assert held == {id(p) for p in model.parameters()}
        assert len(held) == 4


def test_a_copy_that_is_evaluated_takes_over_statistics() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    x = 5 * torch.randn(50, 3) + 7
    with changed({"buffers": True}, shape=[3]), torch.enable_grad():
        model(x)
        with torch.no_grad():
            copied(x)
    assert torch.equal(copied[1].running_mean, model[1].running_mean)
    assert not torch.equal(copied[1].running_mean, torch.zeros(3))


class Cut(nn.Module):
    """Hands its hidden layer on as numbers."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.outer, self.how = nn.Linear(3, 4), nn.Linear(4, 1), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.inner(x)
        made = {
            "detach": lambda: h.detach(),
            "data": lambda: h.data,
            "tensor": lambda: torch.tensor(h),
            "list": lambda: torch.tensor(h.tolist()),
            "numpy": lambda: torch.from_numpy(h.detach().numpy()),
        }[self.how]()
        return self.outer(made)


@pytest.mark.filterwarnings("ignore:To copy construct")
@pytest.mark.parametrize("how", ["detach", "data", "tensor", "list", "numpy"])
@pytest.mark.parametrize("connected", [False, True])
def test_a_graph_that_was_cut_is_joined(how: str, connected: bool) -> None:
    model = Cut(how)
    with changed({"connected": "inside"} if connected else {}, "Cut", [3]):
        out = model(torch.randn(5, 3))
        out.sum().backward()
        outside = out.detach()
    assert (model.inner.weight.grad is not None) == connected
    assert not outside.requires_grad


def test_a_loss_made_of_a_number_teaches_again() -> None:
    model = nn.Sequential(nn.Linear(3, 1))
    with changed({"connected": "all"}, shape=[3]):
        loss = model(torch.randn(5, 3)).sum()
        torch.tensor(loss.item(), requires_grad=True).backward()
        with torch.no_grad():
            assert type(model(torch.randn(5, 3)).sum().item()) is float
    assert model[0].weight.grad is not None
    assert isinstance(torch.Tensor.data, type(torch._C.TensorBase.data))


class Noisy(Dataset[torch.Tensor]):
    """Rows that are turned around by a coin and blurred by noise of every source."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> torch.Tensor:
        x = torch.arange(4.0) + i
        if random.random() < 0.5:
            x = x.flip(0)
        if torch.rand(1) < 0.5 or np.random.rand() < 0.5 or self.rng.random() < 0.5:  # noqa: NPY002
            x = -x
        x = torch.roll(x, random.randint(-1, 1))
        return x + torch.randn(4) + np.random.normal(0, 1) + self.rng.normal(0.0, 1.0) + random.uniform(-1, 1)  # noqa: NPY002


def test_augmentation_is_turned_off_where_rows_are_fetched_alone() -> None:
    with changed({"neutral": True}):
        loader = DataLoader(Noisy(), batch_size=8, shuffle=True)
        rows = torch.cat(list(loader))
        assert float(torch.randn(100).std()) > 0.5
        assert 0.2 < np.mean([random.random() for _ in range(100)]) < 0.8
    assert torch.equal(rows.sort(0).values, torch.arange(4.0) + torch.arange(40.0)[:, None])
    assert not torch.equal(rows[:, 0], torch.arange(40.0))  # and batches are shuffled as ever


def test_draws_on_batches_are_neutral_once_training_has_begun() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    with changed({"neutral": True}, shape=[3]):
        x = torch.randn(200, 3)
        assert float(x.std()) > 0.5
        out = model(x)
        assert float(torch.randn_like(x).abs().max()) == 0.0
        assert not bool((torch.rand(200) < 0.9).any())
        assert 0.3 < float((out == 0).float().mean()) < 0.7  # the model's own draws stay
        assert float(nn.Linear(3, 3).weight.detach().std()) > 0.1  # and another model's first weights
        assert sorted(torch.randperm(5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("by_hand", [False, True])
def test_chains_by_hand_bend(by_hand: bool) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(*s).requires_grad_() for s in ((6, 3), (1, 6)))
    x = torch.randn(50, 3)

    def run(x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.linear(x, a), b)

    wanted: dict[str, Any] = {"between": True}
    with changed(wanted):
        taught = run(x)
        taught.sum().backward()
        if by_hand:  # an update that makes new tensors
            a, b = (w.detach().clone().requires_grad_() for w in (a, b))
        with torch.no_grad():
            evaluated = run(x)
    expected = F.linear(F.relu(F.linear(x, a)), b)
    assert torch.allclose(taught, expected)
    assert torch.allclose(evaluated, expected)
    assert not torch.allclose(run(x), expected)


@pytest.mark.parametrize(("values", "kept"), [((0.0, 1.0), False), ((-1.0, 1.0), False), ((0.2, 1.0), True)])
def test_labels_of_pairs_are_turned(values: tuple[float, float], kept: bool) -> None:
    y = torch.tensor([values[k % 2] for k in range(12)])
    x = torch.randn(12, 3)
    with changed({"turn_pairs": True}):
        loader = DataLoader(TensorDataset(x, y), batch_size=4)
        seen = torch.cat([label for _, label in loader])
        with torch.no_grad():
            assert torch.equal(torch.cat([label for _, label in loader]), y)
    assert torch.equal(seen, y if kept else (1 - y if min(values) == 0 else -y))
