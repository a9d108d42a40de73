"""The cause is named, not where it ended: each a faulty script in a style of its own, and its healthy twin."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from suite import CURVE, LINE, SERIES, S
from torch import nn

from soundfit.doctor.batch import put_maker_last
from soundfit.doctor.behaviour import behaviour
from soundfit.doctor.call import call_of
from soundfit.doctor.graph import loss_structure
from soundfit.doctor.hand_steps import HandSteps
from soundfit.doctor.judge import usual_rates
from soundfit.doctor.nonfinite import first_bad_operation
from soundfit.doctor.proof import folds, paired_gains
from soundfit.doctor.pull import ones_of
from soundfit.doctor.remodel import draw_anew
from soundfit.doctor.replay import Recipe, replay
from soundfit.doctor.rows import Rows, RowStore, chance_twins, row_keys
from soundfit.doctor.rules import diagnose
from soundfit.doctor.scores import Task
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import RootRecord
from soundfit.doctor.series import still_falling
from soundfit.records import Diagnosis, Place, Trace

# Weights in a dict, an optimiser from torch, the maximum of two tensors for a ReLU, numbers as targets.
DICT = """
light = torch.rand(500, 12)
dose = (light @ torch.linspace(-1, 1, 12) + 0.05 * torch.randn(500)).unsqueeze(1)
theta = {{"a": {start}, "b": torch.zeros(24), "c": 0.2 * torch.randn(24, 1), "d": torch.zeros(1)}}
for t in theta.values():
    t.requires_grad_()
optimizer = torch.optim.SGD(list(theta.values()), lr=0.1)
for step in range(150):
    i = torch.randint(0, 500, (50,))
    unit = torch.maximum(light[i] @ theta["a"] + theta["b"], torch.tensor(0.0))
    loss = ((unit @ theta["c"] + theta["d"] - dose[i]) ** 2).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
# A body and a head, an optimiser each.
PARTS = """
body = nn.Sequential(nn.Linear(5, 24), nn.GELU(), nn.Linear(24, 24), nn.Tanh())
head = nn.Linear(24, 1)
optimizers = [torch.optim.AdamW(part.parameters(), lr=0.01) for part in (body, head)]
for epoch in range(12):
    for i in torch.randperm(450).split(30):
        for o in optimizers:
            o.zero_grad()
        F.mse_loss(head(body(X[i])), y[i]).backward()
        {step}
"""
# Few rows, no activation, weights through F.linear.
ABSOLUTE = """
reading = torch.linspace(-3, 3, 90).unsqueeze(1)
answer = reading.abs() + 0.05 * torch.randn(90, 1)
class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(1, 24), nn.Linear(24, 1)
    def forward(self, x):
        return self.two({bend}(self.one(x)))
scale = Scale()
optimizer = torch.optim.Adam(scale.parameters(), lr=0.01)
for step in range(400):
    loss = F.smooth_l1_loss(scale(reading), answer)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
# A recurrence by hand over classes, states in a list.
LOOP = """
class Cell(nn.Module):
    def __init__(self, n=40):
        super().__init__()
        self.inward, self.across = nn.Parameter({size} * torch.randn(3, n)), nn.Parameter({size} * torch.randn(n, n))
        self.read = nn.Linear(n, 2)
    def forward(self, x):
        states = [x[:, 0] @ self.inward]
        for k in range(1, x.shape[1]):
            states.append(F.leaky_relu(x[:, k] @ self.inward + states[-1] @ self.across, 0.2))
        return self.read(states[-1])
cell = Cell()
optimizer = torch.optim.RMSprop(cell.parameters(), lr=0.001)
for epoch in range(6):
    for i in torch.randperm(550).split(32):
        optimizer.zero_grad()
        F.cross_entropy(cell(X[i]), y[i]).backward()
        optimizer.step()
"""
# Momentum, and a rate that is usual without it.
HEAVY = """
model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), lr={lr}, momentum=0.95)
for step in range(200):
    i = torch.randint(0, 700, (64,))
    loss = F.mse_loss(model(X[i]), y[i])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
# First weights from a uniform law, rows beside them that are asked after each epoch.
UNIFORM = """
way = torch.randn(32, 4)
points = torch.randn(800, 32); kind = (points @ way + 0.3 * torch.randn(800, 4)).argmax(1)
net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4))
for p in net.parameters():
    nn.init.uniform_(p, -{width}, {width})
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(12):
    for i in torch.randperm(500).split(50):
        optimizer.zero_grad()
        F.cross_entropy(net(points[i]), kind[i]).backward()
        optimizer.step()
    with torch.no_grad():
        print(epoch, (net(points[500:]).argmax(1) == kind[500:]).float().mean().item())
"""
# Clipping, on one side of backward() or the other.
CLIPPED = """
gru = nn.GRU(3, 16, batch_first=True); read = nn.Linear(16, 2)
with torch.no_grad():
    read.weight.mul_({size})
both = nn.ModuleList([gru, read])
class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = both
    def forward(self, x):
        return self.parts[1](self.parts[0](x)[0][:, -1])
model = Reads()
optimizer = torch.optim.SGD(model.parameters(), lr={lr})
for epoch in range(10):
    for i in torch.randperm(550).split(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X[i]), y[i])
        {steps}
        optimizer.step()
"""
CLIP = "nn.utils.clip_grad_norm_(model.parameters(), 0.5)"
# A part is called by itself after the whole, for a penalty on what it gives.
SPARSE = """
class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Sequential(nn.Linear(5, 24), nn.Softplus()), nn.Linear(24, 1)
    def forward(self, x):
        return self.out(self.body(x))
    def busy(self, x):
        return self.body(x).abs().mean()
whole = Sum()
optimizer = torch.optim.Adam(whole.parameters(), lr={lr})
for epoch in range(20):
    for i in torch.randperm(450).split(45):
        away = whole(X[i]) - y[i]
        optimizer.zero_grad()
        (away.square().mean() + 1e-4 * whole.busy(X[i])).backward()
        optimizer.step()
"""
# A few dozen rows, all of them in each step, one logit.
DOZENS = """
cells = torch.randn(120, 6); ill = ((cells[:, 0] + cells[:, 1] * cells[:, 2] + 0.2 * torch.randn(120)) > 0).float()
judge = nn.Sequential(nn.Linear(6, 32), nn.SiLU(), nn.Linear(32, 1))
optimizer = torch.optim.NAdam(judge.parameters(), lr=0.01)
for step in range({steps}):
    optimizer.zero_grad()
    F.binary_cross_entropy_with_logits(judge(cells).squeeze(1), ill).backward()
    optimizer.step()
"""

# Codes that may come first, both scripts.
PAIRS: dict[str, tuple[str, str, str]] = {
    "no unit fires": ("dead-relu", S(DICT.format(start="-torch.rand(12, 24)")), S(DICT.format(start="torch.rand(12, 24) - 0.5"))),
    "the head never steps": ("missing-step", S(LINE, PARTS.format(step="optimizers[0].step()")), S(LINE, PARTS.format(step="[o.step() for o in optimizers]"))),
    "straight on few rows": ("missing-nonlinearity", S(ABSOLUTE.format(bend="")), S(ABSOLUTE.format(bend="torch.tanh"))),
    "a loop that explodes": ("bad-init exploding-gradient", S(SERIES, LOOP.format(size="0.9")), S(SERIES, LOOP.format(size="0.15"))),
    "a rate beside momentum": ("lr-too-high", S(CURVE, HEAVY.format(lr="0.5")), S(CURVE, HEAVY.format(lr="0.005"))),
    "wild first weights": ("bad-init", S(UNIFORM.format(width="2.0")), S(UNIFORM.format(width="0.12"))),
    "clipped too early": ("exploding-gradient", S(SERIES, CLIPPED.format(size=400, lr=0.5, steps=f"{CLIP}; loss.backward()")), S(SERIES, CLIPPED.format(size=1, lr=0.5, steps=f"loss.backward(); {CLIP}"))),
    "a part that is penalised": ("lr-too-low", S(LINE, SPARSE.format(lr="2e-6")), S(LINE, SPARSE.format(lr="0.02"))),
    "nine steps": ("too-few-epochs", S(DOZENS.format(steps=9)), S(DOZENS.format(steps=250))),
}  # fmt: skip


SLOW = ("wild first weights", "nine steps")  # what is learned of other rows takes pairs of trainings to tell


def found(source: str, folder: Path, seconds: float = 4.0) -> list[Diagnosis]:
    script = folder / "train.py"
    script.write_text(source)
    code, visit = watched_run(script, [], seconds=seconds)
    assert code == 0
    assert visit is not None
    assert visit.watch.stumbled is None
    return [d for d in visit.diagnoses if d.severity != "note"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in PAIRS]
)
def test_the_cause_comes_first_and_its_twin_is_left_alone(name: str, tmp_path: Path) -> None:
    codes, faulty, sound = PAIRS[name]
    named = [d.code for d in found(faulty, tmp_path, 12.0 if name in SLOW else 4.0)]
    assert named
    assert named[0] in codes.split()
    assert [d.to_dict() for d in found(sound, tmp_path)] == []


def test_all_pairs_by_design_are_no_broadcast_and_a_given_column_is() -> None:
    torch.manual_seed(0)
    score, given = nn.Linear(4, 1)(torch.randn(9, 4)), torch.randn(9)
    code = nn.Linear(4, 3)(torch.randn(9, 4))
    alike = code @ code.T
    ranked = torch.nn.functional.softplus(score - score.T).mean()
    contrast = (alike - alike.logsumexp(1, keepdim=True)).diagonal().mean().neg()
    assert loss_structure(ranked)["broadcast"] is None
    assert loss_structure(contrast)["broadcast"] is None
    assert loss_structure(((score - given) ** 2).mean())["broadcast"] == ((9, 1), (9, 9))


@pytest.mark.parametrize(("start", "gate", "silent"), [
    (-1.0, torch.relu, True), (-1.0, lambda x: x.clamp(min=0), True), (1.0, torch.relu, False), (-1.0, torch.sin, False),
])  # fmt: skip
def test_weights_behind_units_that_never_fire_are_silent(start: float, gate: object, silent: bool) -> None:
    torch.manual_seed(0)
    x, hands = torch.rand(20, 3), HandSteps()
    w, v = (start * torch.rand(3, 5)).requires_grad_(), torch.zeros(1, requires_grad=True)
    for _ in range(6):
        loss = ((gate(x @ w).sum(1) + v - 1) ** 2).mean()  # type: ignore[operator]
        w.grad = v.grad = None
        hands.before(loss)
        loss.backward()
        hands.after()
        with torch.no_grad():
            w -= 0.01 * w.grad  # type: ignore[operator]
            v -= 0.01 * v.grad  # type: ignore[operator]
    assert hands.silent() == ({"shapes": [[3, 5]]} if silent else {})


def test_numbers_that_grew_before_they_overflowed_are_told_from_an_operation_at_its_end() -> None:
    class Grown(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1e25 * x

    class Ended(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(x)

    grown = first_bad_operation(Grown(), (torch.full((3,), 1e10),), {}, training=False)
    ended = first_bad_operation(Ended(), (torch.full((3,), 200.0),), {}, training=False)
    assert (grown or {})["grew"] is True
    assert (ended or {})["grew"] is False


def test_momentum_lowers_the_rate_that_is_usual() -> None:
    assert usual_rates("SGD") == (1e-3, 0.6)
    assert usual_rates("SGD", 0.5)[1] == 0.6
    assert usual_rates("SGD", 0.9)[1] == pytest.approx(0.2)
    assert usual_rates("Adam", 0.9) == usual_rates("Adam")


def test_bare_matrices_are_drawn_anew_where_they_are_far_too_large() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wild, self.sound = nn.Parameter(torch.randn(30, 30)), nn.Parameter(0.1 * torch.randn(30, 30))
            self.shift = nn.Parameter(torch.full((30,), 9.0))

    torch.manual_seed(0)
    own = Own().requires_grad_(False)
    kept = own.sound.clone(), own.shift.clone()
    draw_anew(own)
    assert float(own.wild.std()) == pytest.approx((2 / 60) ** 0.5, rel=0.1)
    assert torch.equal(own.sound, kept[0])
    assert torch.equal(own.shift, kept[1])


def test_each_row_is_held_out_once() -> None:
    runs = folds(53)
    assert torch.cat([held for _, (_, held) in runs]).sort().values.tolist() == list(range(53))
    assert all(not set(fit.tolist()) & set(held.tolist()) for _, (fit, held) in runs)


def test_a_change_that_does_nothing_gains_nothing_and_a_needed_one_is_proven() -> None:
    torch.manual_seed(0)
    x = torch.randn(90, 4)
    y = (x[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    form = call_of((x,), {}, y)
    assert form is not None
    initial = {k: v.clone() for k, v in model.state_dict().items()}
    recipe = Recipe(
        model,
        form[0],
        initial,
        True,
        "cross_entropy",
        "mean",
        {},
        None,
        torch.optim.SGD,
        {"lr": 0.05},
        None,
        90,
        3,
    )
    changes = {"longer": {"longer": 60.0}, "nothing": {"clip": 1e9}}
    made = paired_gains(
        recipe, Task("classes", 2), Rows((x,), y), changes, deadline=float("inf"), runs=folds(90)
    )
    assert made is not None
    assert made["longer"]["gain"] > 0.07
    assert made["longer"]["z"] > 2.58
    assert made["nothing"] == {"gain": 0.0, "z": 0.0}


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.SparseAdam])
def test_sparse_gradients_are_replayed(optimiser: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    words = torch.randint(0, 9, (120, 5))
    y = (words[:, 0] > 4).long()
    model = nn.EmbeddingBag(9, 2, sparse=True)
    form = call_of((words,), {}, y)
    assert form is not None
    initial = {k: v.clone() for k, v in model.state_dict().items()}
    recipe = Recipe(
        model, form[0], initial, True, "cross_entropy", "mean", {}, None, optimiser, {"lr": 0.1}, None, 30, 40
    )
    made = replay(recipe, Task("classes", 2), Rows((words,), y), {})
    assert made is not None
    assert made.steps == 40


def test_a_fall_that_ended_is_none() -> None:
    falling = [1.1 - 0.02 * k for k in range(10)]
    assert still_falling(falling)
    assert not still_falling([1.0, 0.4, 0.3, 0.26, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
    assert not still_falling(falling[::-1])
    assert not still_falling([1.0, 0.5])


def test_a_model_is_asked_no_longer_than_it_may_be_and_not_copied_where_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    x, net = torch.randn(40, 4), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    root, form = RootRecord(net, Place()), call_of((x,), {}, torch.zeros(40))
    assert form is not None
    root.call = form[0]
    rows, passes = Rows((x,), torch.zeros(40)), []
    net.register_forward_hook(lambda *_: passes.append(1))
    whole = behaviour(root, rows, 32, ())
    assert whole["own"] == 1.0
    longest = len(passes)
    assert behaviour(root, rows, 32, (), seconds=-1.0) == {}
    assert len(passes) == longest + 2
    monkeypatch.setattr("soundfit.doctor.behaviour._MOST_ELEMENTS", 10)
    assert behaviour(root, rows, 32, ()) == {}
    assert len(passes) == longest + 2


def test_zeros_and_ones_are_told_from_other_targets() -> None:
    assert (ones_of(torch.tensor([[0.0], [1.0]])).tolist()) == [False, True]  # type: ignore[union-attr]
    for other in ([0.0, 0.5, 1.0], [1.0, 1.0], [-1.0, 1.0], [0, 0]):
        assert ones_of(torch.tensor(other)) is None


def drawn(words: torch.Tensor, n: int) -> torch.Tensor:
    return words[torch.randint(0, len(words), (n,))]


def test_short_words_come_back_by_chance_as_often_as_batches_say_and_long_texts_never() -> None:
    torch.manual_seed(0)
    words = torch.randint(1, 20, (3000, 6))
    store, long, numbers = RowStore(), RowStore(), RowStore()
    train = drawn(words, 1280)
    for i in torch.arange(1280).split(64):
        store.keep((train[i],), torch.zeros(len(i)), 1)
        long.keep((train[i].repeat(1, 5),), torch.zeros(len(i)), 1)
        numbers.keep((train[i].float(),), torch.zeros(len(i)), 1)
    known, new = row_keys((train,)).unique(), row_keys((drawn(words, 4000),))
    share = float(torch.isin(new, known).double().mean())
    assert chance_twins(store, 1280) == pytest.approx(share, abs=0.12)
    assert chance_twins(long, 1280) == 0.0
    assert chance_twins(numbers, 1280) == 0.0


@pytest.mark.parametrize(("by_chance", "codes"), [(0.45, []), (0.02, ["split-leak"])])
def test_rows_shared_beyond_chance_are_a_leak(by_chance: float, codes: list[str]) -> None:
    facts = {"evaluation": {"shared": 160, "rows": 420, "recur": False, "by_chance": by_chance}, "rows": 950}
    at = np.arange(1.0, 31.0)
    trace = Trace("step", at, {"training_loss": np.linspace(1.0, 0.2, 30)}, {}, (), facts)
    assert [d.code for d in diagnose(trace)] == codes


@pytest.mark.parametrize("part", [True, False], ids=["its own part", "another model"])
def test_a_model_moves_past_its_own_parts_alone(part: bool) -> None:
    """An actor that is called after its critic is no part of it, and no single model is what the loss judges."""
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    later = critic[0] if part else nn.Linear(3, 2)
    x = torch.ones(5, 3)
    value, other = critic(x), later(x)
    calls: list[Any] = [
        (SimpleNamespace(module=critic), (x,), {}, value, True),
        (SimpleNamespace(module=later), (x,), {}, other, True),
    ]
    put_maker_last(calls, [], ("sub", value, torch.zeros(5, 1)))
    assert calls[-1][0].module is (critic if part else later)
