"""What never gets a gradient, targets that change, rare classes that are weighed, maps of zeros and ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from soundfit.doctor.changes import Changes
from soundfit.doctor.graph import walk
from soundfit.doctor.judge import best_score, possible_score
from soundfit.doctor.left_out import LeftOut
from soundfit.doctor.repair import repair
from soundfit.doctor.replay import arguments, sound_loss
from soundfit.doctor.rows import Rows, retargeted
from soundfit.doctor.scores import Task, balanced, evened, score
from soundfit.doctor.script import watched_run

HEADS = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(600, 6); Y = {"sign": (X[:, 0] > 0).long(), "ring": (X[:, 1] ** 2 > 0.5).long()}
trunk = nn.Sequential(nn.Linear(6, 32), nn.ReLU())
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.heads = trunk, nn.ModuleDict({k: nn.Linear(32, 2) for k in Y})
    def forward(self, x):
        h = self.trunk(x)
        return {k: head(h) for k, head in self.heads.items()}
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(20):
    for i in torch.randperm(500).split(50):
        out, loss = net(X[i]), 0.0
        for k in Y:
            loss SUM nn.functional.cross_entropy(out[k], Y[k][i])
        opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    out = net(X[500:])
    hits = [(out[k].argmax(1) == Y[k][500:]).float().mean().item() for k in Y]
print("mean test accuracy %.3f" % (sum(hits) / 2))
"""

GAN = """
import torch
from torch import nn
torch.manual_seed(0)
G = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
a, b = torch.optim.Adam(G.parameters(), lr=1e-3), torch.optim.Adam(D.parameters(), lr=1e-3)
bce, one, zero = nn.BCEWithLogitsLoss(), torch.ones(64, 1), torch.zeros(64, 1)
for step in range(200):
    fake = G(torch.randn(64, 2))CUT
    b.zero_grad()
    (bce(D(torch.randn(64, 2) + 2), one) + bce(D(fake.detach()), zero)).backward()
    b.step()
    a.zero_grad()
    bce(D(fake), one).backward()
    a.step()
"""

SHUFFLED = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(400, 5); Y = X[:, 0] - X[:, 1] * X[:, 2]
net = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(25):
    for i in torch.randperm(400).split(40):
        loss = nn.functional.mse_loss(net(X[i])[:, 0], Y[ROWS])
        opt.zero_grad(); loss.backward(); opt.step()
"""

RARE = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(4000, 6); Y = (X[:, 0] + X[:, 1] > 2.6).float()
net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
crit = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0))
opt = torch.optim.Adam(net.parameters(), lr=RATE)
for epoch in range(10):
    for i in torch.randperm(4000).split(100):
        loss = crit(net(X[i])[:, 0], Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""

OUTER = """
import warnings; warnings.simplefilter("ignore")
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(400, 5); Y = X[:, 0] - X[:, 1] * X[:, 2]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1))
    def forward(self, x):
        return x[:, 0] + self.net(x)KEPT
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(25):
    for i in torch.randperm(400).split(40):
        loss = nn.functional.mse_loss(net(X[i]), Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""

# Batches of one class: batch norm takes away what tells it from the others.
TRAIN_MODE = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 4); Y = (X[:, 0] > 0).long(); X[:, 1] += Y
net = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(10):
    net.train()
    for i in torch.randperm(600).split(50):
        loss = nn.functional.cross_entropy(net(X[i]), Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
hits = 0
with torch.no_grad():
    for k in (0, 1):
        mine = Y[600:] == k
        hits += (net(X[600:][mine]).argmax(1) == k).sum().item()
print("test accuracy %.3f" % (hits / 300))
"""

CASES = {
    "an output of every pair of rows": (
        OUTER.replace("KEPT", ""),
        OUTER.replace("KEPT", "[:, 0]"),
        "shape-broadcast",
    ),
    "a loss is left out of the sum": (
        HEADS.replace("SUM", "=+"),
        HEADS.replace("SUM", "+="),
        "optimizer-params",
    ),
    "a generator that is cut off": (
        GAN.replace("CUT", ".detach()"),
        GAN.replace("CUT", ""),
        "optimizer-params",
    ),
    "targets shuffled in each batch": (
        SHUFFLED.replace("ROWS", "i[torch.randperm(len(i))]"),
        SHUFFLED.replace("ROWS", "i"),
        "labels-damaged",
    ),
    "a rare class and a rate far too high": (
        RARE.replace("RATE", "8.0"),
        RARE.replace("RATE", "3e-3"),
        "lr-too-high",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_and_its_healthy_twin_is_not(name: str, tmp_path: Path) -> None:
    faulty, healthy, code = CASES[name]
    for text, sick in ((faulty, True), (healthy, False)):
        path = tmp_path / f"train_{sick}.py"
        path.write_text(text)
        _, verdict = watched_run(path, [], seconds=8.0)
        named = [d.code for d in verdict.diagnoses if d.severity != "note"]
        assert named[:1] == ([code] if sick else []), (name, sick, verdict.diagnoses)


@pytest.mark.usefixtures("no_blind_search")
def test_losses_that_are_left_out_are_added_by_the_repair(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(CASES["a loss is left out of the sum"][0])
    _, verdict = watched_run(path, [], seconds=8.0)
    found = repair(path, [], verdict)
    assert found["accepted"], found
    assert found["change"] == {"all_losses": True}
    assert found["after"] > found["before"] + 0.1


def test_a_mode_of_the_evaluation_is_judged_by_what_the_script_prints(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(TRAIN_MODE)
    _, verdict = watched_run(path, [], seconds=8.0)
    assert verdict.diagnoses[0].code == "train-eval-mode"
    found = repair(path, [], verdict)
    assert found["accepted"], found
    assert "test accuracy" in str(found["rows"])
    assert found["after"] > found["before"] + 0.05
    assert found["blind"]["trials"] in (3, 6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 10_000))
def test_a_loss_and_those_left_out_teach_as_their_sum(n_in: int, n_out: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, y, weight = torch.randn(8, 3), torch.randn(n_in + n_out, 8), torch.randn(n_in + n_out, 3)

    def losses(w: torch.Tensor) -> list[torch.Tensor]:
        return [F.mse_loss(x @ w[i], y[i]) for i in range(n_in + n_out)]

    all_at_once = weight.clone().requires_grad_()
    torch.stack(losses(all_at_once)).sum().backward()
    added = weight.clone().requires_grad_()
    left_out = LeftOut(True)
    made = losses(added)
    for one in made:
        left_out.saw(one)
    whole = left_out.whole(torch.stack(made[:n_in]).sum())
    whole.backward()
    assert torch.allclose(added.grad, all_at_once.grad, atol=1e-5)
    assert {one.grad_fn for one in made} <= set(walk(whole.grad_fn))
    assert left_out.whole(whole) is whole


def test_a_change_that_is_not_wanted_leaves_losses_as_they_are() -> None:
    weight = torch.ones(3, requires_grad=True)
    changes = Changes({}, {})
    changes.attach()
    try:
        F.mse_loss(weight * 2, torch.zeros(3))
        F.mse_loss(weight, torch.zeros(3)).backward()
    finally:
        changes.detach()
    assert torch.allclose(weight.grad, torch.full((3,), 2 / 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 200), st.integers(2, 5), st.integers(0, 10_000))
def test_targets_that_change_are_as_far_apart_as_any(n: int, times: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 3, generator=g), torch.randn(n, generator=g)
    fixed = Rows((x.repeat(times, 1),), y.repeat(times))
    assert retargeted(fixed) == (0, 0.0, 0.0)
    drawn = torch.cat([y[torch.randperm(n, generator=g)] for _ in range(times)])
    several, spread, share = retargeted(Rows((x.repeat(times, 1),), drawn))
    assert share > 0.8
    assert several > 0.8 * n
    assert 0.6 < spread < 1.5
    jitter = torch.cat([y + 0.1 * torch.randn(n, generator=g) for _ in range(times)])
    assert retargeted(Rows((x.repeat(times, 1),), jitter))[1] < 0.2


def test_classes_weigh_the_same_whatever_the_threshold() -> None:
    task = Task("binary", 2)
    y = torch.cat([torch.zeros(95), torch.ones(5)])
    low = torch.cat([torch.full((95,), -4.0), torch.full((5,), -1.0)])  # ranked right, never named
    assert balanced(task, low, y) == 0.5
    assert evened(task, low, y) == 1.0
    assert evened(task, y * 2 - 1, y) == 1.0


def test_what_a_training_got_and_what_is_possible_are_of_one_kind_where_classes_weigh() -> None:
    facts = {
        "loss": {"weighted": True},
        "target": {"shares": [0.95, 0.05]},
        "score": {"train": 0.95, "evened": 0.6},
        "reference": {"held_out": 0.96, "evened": 0.8},
        "replays": {"sound-1e-3": {"held_out": 0.97, "evened": 0.85}},
    }
    assert (best_score(facts), possible_score(facts)) == (0.6, 0.85)
    facts["loss"] = {"weighted": False}
    assert (best_score(facts), possible_score(facts)) == (0.95, 0.97)


def test_replays_weigh_classes_as_the_script_does() -> None:
    given_ = arguments("cross_entropy", {"kwargs": {"reduction": "sum"}, "weights": [1.0, 3.0]})
    assert given_["reduction"] == "sum"
    assert given_["weight"].tolist() == [1.0, 3.0]
    assert arguments("mse_loss", {"weights": [1.0]}) == {}
    out, y = torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 0, 1])
    mine = sound_loss(Task("classes", 2), None, out, y, given_["weight"])
    assert torch.allclose(mine, nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]))(out, y))
    one, z = torch.randn(6), y.float()
    mine = sound_loss(Task("binary", 2), None, one, z, torch.tensor([4.0]))
    assert torch.allclose(mine, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0))(one, z))


def test_maps_of_zeros_and_ones_have_a_score() -> None:
    y = (torch.rand(40, 1, 4, 4) > 0.5).float()
    task = Task("multilabel", 2, 16)
    assert score(task, y * 2 - 1, y) == 1.0
    assert math.isclose(score(task, 1 - y, y), 0.0)
