"""Changes to a running script: more steps on batches seen, Adam for the script's optimiser; all undone."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from doctor.test_rules import trace
from soundfit.doctor.changes import Changes
from soundfit.doctor.held_back import held_back
from soundfit.doctor.remodel import residual, widen
from soundfit.doctor.repair import _Runner, _sound
from soundfit.doctor.scores import Task
from soundfit.doctor.watch import Watch


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


@pytest.mark.parametrize(
    ("task", "width", "loss"),
    [(Task("classes", 3), 3, nn.functional.cross_entropy), (Task("classes", 3), 3, nn.functional.nll_loss),
     (Task("binary", 2), 1, nn.functional.mse_loss), (Task("regression"), 1, nn.functional.l1_loss)],
)  # fmt: skip
def test_a_sound_loss_takes_the_place_of_the_scripts_own(task: Task, width: int, loss: Any) -> None:
    torch.manual_seed(0)
    x, model = torch.randn(20, 4), nn.Linear(4, width)
    y = torch.randint(0, 3, (20,)) if task.kind == "classes" else torch.randint(0, 2, (20, 1)).float()
    expected = {"classes": nn.functional.cross_entropy, "regression": nn.functional.mse_loss,
                "binary": nn.functional.binary_cross_entropy_with_logits}[task.kind](model(x), y)  # fmt: skip
    changes = Changes({"loss": "sound"}, {"task": task, "model": "Linear", "row_shape": [4]})
    changes.attach()
    try:
        made = getattr(nn.functional, loss.__name__)(model(x), y)
    finally:
        changes.detach()
    assert torch.allclose(made, expected)


def test_class_weights_reach_losses_of_one_and_of_many_units() -> None:
    weights = torch.tensor([0.5, 4.0])
    facts = {"task": Task("binary", 2), "model": "Linear", "row_shape": [4], "class_weights": weights}
    p, y = torch.zeros(3, 1, requires_grad=True), torch.tensor([[0.0], [1.0], [0.0]])
    q = torch.zeros(3, 2, requires_grad=True)
    changes = Changes({"weights": True}, facts)
    changes.attach()
    try:
        one = nn.functional.binary_cross_entropy_with_logits(p, y)
        same = nn.BCEWithLogitsLoss()(p, y)  # hands its own weight over by position
        two = nn.functional.cross_entropy(q, y[:, 0].long())
    finally:
        changes.detach()
    assert one.item() == pytest.approx(math.log(2) * (0.5 + 4 + 0.5) / 3)
    assert same.item() == one.item()
    assert two.item() == pytest.approx(math.log(2))


def test_a_trial_that_breaks_the_script_off_has_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "train.py"
    script.write_text("raise SystemExit(0)")
    runner = _Runner(script, [], {}, "held-out")
    runner.folder = runner.work = tmp_path
    answers = iter([0, 0, 1])

    class Ready:
        """Stands in for the process that forks: each trial scored, the last one broken off."""

        def run(self, path: Path, seconds: float) -> int:
            torch.save({"score": 0.9, "parts": [0.9]}, str(path) + ".result")
            return next(answers)

    runner.forks = Ready()  # type: ignore[assignment]
    out: dict[str, Any] = {"trials": [], "originals": []}
    assert runner.run({}, 0, "as it is", out) is not None
    assert runner.run({"rate": 0.1}, 0, "rate", out) is not None
    assert runner.run({"weights": True}, 0, "weights", out) is None
    assert [one["score"] for one in out["trials"]] == [0.9, None]


def test_division_by_zero_is_guarded() -> None:
    changes = Changes({"guard": "div"}, {"task": Task("regression"), "model": "Linear", "row_shape": [4]})
    changes.attach()
    try:
        made = torch.tensor([1.0, 0.0, 6.0]) / torch.tensor([2.0, 0.0, 3.0])
    finally:
        changes.detach()
    assert made.tolist() == [0.5, 0.0, 2.0]


def test_asking_a_loader_for_its_next_batch_goes_on() -> None:
    rows = torch.utils.data.TensorDataset(torch.arange(8))
    changes = Changes({"go_on": True}, {"task": Task("regression"), "model": "Linear", "row_shape": [4]})
    changes.attach()
    try:
        loader = torch.utils.data.DataLoader(rows, batch_size=2)
        seen = [next(iter(loader))[0][0].item() for _ in range(4)]
        whole = [b[0][0].item() for b in torch.utils.data.DataLoader(rows, batch_size=2)]
    finally:
        changes.detach()
    assert seen == whole == [0, 2, 4, 6]


def test_layers_outside_of_the_model_are_given_to_the_optimiser() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.out = [nn.Linear(4, 4)], nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(torch.tanh(self.layers[0](x)))

    model = Hidden()
    before = model.layers[0].weight.detach().clone()
    facts = {"task": Task("regression"), "model": "Hidden", "row_shape": [4]}
    changes = Changes({"include": True, "foreign": True}, facts)
    changes.attach()
    try:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(torch.ones(3, 4)), torch.ones(3, 1)).backward()
            optimizer.step()
    finally:
        changes.detach()
    assert not torch.equal(before, model.layers[0].weight)


def test_networks_are_widened_and_given_residual_connections() -> None:
    net = nn.Sequential(nn.Linear(3, 1), nn.Tanh(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    assert widen(net, 16)
    assert [p.shape[0] for p in net.parameters() if p.dim() == 2] == [16, 16, 1]
    assert net(torch.ones(4, 3)).shape == (4, 1)
    assert not widen(nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1)), 16)
    deep = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    x = torch.randn(5, 4)
    with torch.no_grad():
        for p in deep.parameters():
            p.zero_()
        deep[4].weight.fill_(1.0)
        assert residual(deep) == 2
        assert torch.allclose(deep(x)[:, 0], torch.relu(x).sum(1))


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
    held = held_back((x,), 0.25)
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


def test_types_named_by_the_script_are_whole_as_well() -> None:
    types: list[torch.dtype] = []

    def loop(model: nn.Module) -> None:
        half = torch.float16
        for x in (
            torch.tensor([[1.0, 2.0, 3.0]], dtype=half),
            torch.zeros(1, 3, dtype=torch.half),
            torch.from_numpy(np.ones((1, 3), np.float16)),
            torch.as_tensor(np.ones((1, 3), np.float16)),
        ):
            types.append(model.to(half)(x).dtype)

    run(nn.Linear(3, 1), {}, {"float": True}, loop)
    assert types == [torch.float32] * 4
    assert torch.tensor([1.0], dtype=torch.float16).dtype is torch.half


def test_a_deep_chain_of_sigmoids_learns_once_it_is_remade_and_clipped() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 8)
    y = (x[:, :1] * x[:, 1:2] > 0).long().squeeze(1)

    def loss_after(wanted: dict[str, Any]) -> float:
        torch.manual_seed(1)
        layers = [nn.Linear(8, 32), nn.Sigmoid()]
        for _ in range(6):
            layers += [nn.Linear(32, 32), nn.Sigmoid()]
        model = nn.Sequential(*layers, nn.Linear(32, 2))
        kept: list[float] = []

        def loop(model: nn.Module) -> None:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for i in range(200):
                part = slice(64 * (i % 4), 64 * (i % 4) + 64)
                loss = nn.functional.cross_entropy(model(x[part]), y[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                kept.append(loss.item())

        facts = {"task": Task("classes", 2), "model": "Sequential", "row_shape": [8]}
        run(model, facts, wanted, loop)
        return sum(kept[-8:]) / 8

    assert loss_after({}) > 0.65
    assert loss_after({"activation": "relu", "fresh": True, "residual": True, "clip": 1.0}) < 0.2


def test_adam_steps_beside_a_watch_that_looks_at_some_steps_only() -> None:
    """Hooks that the watch takes away during the inner step are not those that are gone through."""
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    changes = Changes({"adam": 0.1}, {"task": Task("regression"), "model": "Linear", "row_shape": [3]})
    watch = Watch()
    changes.attach()
    watch.attach()  # in this order, as a trial does: it sees what the script sees
    try:
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
        for _ in range(60):
            loss = nn.functional.mse_loss(model(x).squeeze(1), x.sum(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        watch.detach()
        changes.detach()
    assert float(loss.detach()) < 0.1
    assert watch.step == 60


@pytest.mark.parametrize(("found", "turned"), [({"descend": True}, True), ({"rate": 10.0}, False)])
def test_sound_settings_turn_a_loss_round_only_where_it_is_climbed(
    found: dict[str, Any], turned: bool
) -> None:
    replays = {"sound-1e-2": {"held_out": 0.9}, "same": {"held_out": 0.1}}
    case = trace(got=0.1, possible=0.9, replays=replays, trained_steps=900)
    visit = SimpleNamespace(
        trace=case, diagnoses=[SimpleNamespace(prescription=SimpleNamespace(change=found))]
    )
    made = _sound(visit)  # type: ignore[arg-type]
    assert made is not None
    assert ("descend" in made["change"]) is turned
