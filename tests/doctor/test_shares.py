"""Shares of a whole taught by KLDivLoss, and one trained layer behind a frozen net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.doctor.case import Case
from soundfit.doctor.replay import sound_loss
from soundfit.doctor.scores import Task, row_scores, score, task_of
from soundfit.doctor.script import watched_run

SHARES = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 8); Y = (X[:, :4] * 1.5 + X[:, 4:]).softmax(1)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
loss_of = nn.KLDivLoss(reduction="batchmean")
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(20):
    for i in torch.randperm(700).split(35):
        opt.zero_grad()
        loss_of(torch.OUTPUT(net(X[i]), dim=1), Y[i]).backward()
        opt.step()
"""

PROBE = """
import torch
from torch import nn
torch.manual_seed(0)
centres = torch.randn(4, 12)
Y = torch.randint(0, 4, (600,)); X = centres[Y] + 0.5 * torch.randn(600, 12)
body = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
for p in body.parameters():
    p.requires_grad_(False)
head = nn.Sequential(nn.Dropout(0.1), nn.Linear(32, 4))
opt = torch.optim.Adam(head.parameters(), lr=RATE)
for epoch in range(25):
    for i in torch.randperm(600).split(30):
        with torch.no_grad():
            h = body(X[i])
        loss = nn.functional.cross_entropy(head(h), Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""


def _verdict(folder: Path, text: str) -> tuple[list[str], Case]:
    script = folder / "train.py"
    script.write_text(text)
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    return [d.code for d in found.diagnoses if d.severity != "note"], Case(found.trace)


def test_shares_under_probabilities_are_named_and_have_a_score(tmp_path: Path) -> None:
    codes, case = _verdict(tmp_path, SHARES.replace("OUTPUT", "softmax"))
    assert codes[0] == "output-activation"
    assert case["task.kind"] == "shares"
    assert case.got < 0.7 < 0.9 < case.possible
    assert case["replays.sound-loss.held_out"] > 0.9


def test_shares_under_logarithms_are_healthy(tmp_path: Path) -> None:
    codes, case = _verdict(tmp_path, SHARES.replace("OUTPUT", "log_softmax"))
    assert codes == []
    assert case.got > 0.95


@pytest.mark.parametrize(("rate", "first"), [("1e-6", "lr-too-low"), ("1e-2", None)])
def test_one_layer_behind_a_frozen_net_is_straight_by_intent(
    tmp_path: Path, rate: str, first: str | None
) -> None:
    codes, _ = _verdict(tmp_path, PROBE.replace("RATE", rate))
    assert codes[:1] == ([first] if first else [])
    assert "missing-nonlinearity" not in codes


@given(st.integers(0, 2**20), st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_shares_score_alike_as_logits_logarithms_and_shares(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 3, generator=generator)
    y = torch.randn(40, k, generator=generator).softmax(1)
    task = task_of("kl_div", (x,), y, k)
    assert task.kind == "shares"
    logits = torch.randn(40, k, generator=generator)
    forms = logits, logits.log_softmax(1), logits.softmax(1)
    scores = [score(task, p, y) for p in forms]
    assert max(scores) - min(scores) < 1e-4
    assert score(task, y.log(), y) == pytest.approx(1.0, abs=1e-4)
    parts = row_scores(task, y, y)
    assert parts is not None
    assert float(parts.min()) > 1 - 1e-5
    same = [sound_loss(task, a, p, y) for a, p in zip((None, "log_softmax", "softmax"), forms, strict=True)]
    assert torch.allclose(torch.stack(same), same[0], atol=1e-4)


CLASSES = """
import torch
from torch import nn
torch.manual_seed(SEED)
centres = torch.randn(6, 10) * 1.2
Y = torch.randint(0, 6, (900,)); X = centres[Y] + torch.randn(900, 10)
net = nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 6)LAST)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(15):
    for i in torch.randperm(700).split(35):
        opt.zero_grad()
        nn.functional.cross_entropy(net(X[i]), Y[i]).backward()
        opt.step()
"""


@pytest.mark.parametrize("seed", [1, 5])
def test_relu_on_logits_is_named_where_classes_lie_behind_it(tmp_path: Path, seed: int) -> None:
    text = CLASSES.replace("SEED", str(seed))
    codes, case = _verdict(tmp_path, text.replace("LAST", ", nn.ReLU()"))
    assert codes[0] == "output-activation"
    assert case.number("outputs.own_zero") > 0.02
    codes, case = _verdict(tmp_path, text.replace("LAST", ""))
    assert codes == []
    assert case.number("outputs.own_zero") == 0.0


def test_smoothed_labels_under_kl_div_are_classes() -> None:
    labels = torch.nn.functional.one_hot(torch.randint(0, 5, (60,)), 5) * 0.9 + 0.02
    assert task_of("kl_div", (torch.randn(60, 3),), labels, 5) == Task("one-hot", 5, 5)
    assert task_of("kl_div", (torch.randn(60, 3),), torch.rand(60, 5) - 3, 5).kind == "regression"


STRONG = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 10); Y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).long()
net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(RATE), nn.Linear(64, 2))
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(40):
    net.train()
    for i in torch.randperm(900).split(45):
        opt.zero_grad()
        nn.functional.cross_entropy(net(X[i]), Y[i]).backward()
        opt.step()
"""

LAST = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 6); Y = (torch.sin(X[:, :1]) + X[:, 1:2] * X[:, 2:3] + 1.2 * torch.randn(900, 1))
net = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(PARAMETERS, lr=1e-2)
for epoch in range(30):
    for i in torch.randperm(900).split(30):
        opt.zero_grad()
        nn.functional.mse_loss(net(X[i]), Y[i]).backward()
        opt.step()
"""


def test_a_sound_training_keeps_no_dropout_that_leaves_hardly_anything(tmp_path: Path) -> None:
    codes, case = _verdict(tmp_path, STRONG.replace("RATE", "0.97"))
    assert codes[0] == "over-regularised"
    assert case["replays.sound-1e-2.held_out"] > 0.85
    assert _verdict(tmp_path, STRONG.replace("RATE", "0.1"))[0] == []


def test_parameters_that_get_gradients_for_nothing(tmp_path: Path) -> None:
    codes, _ = _verdict(tmp_path, LAST.replace("PARAMETERS", "net[-1].parameters()"))
    assert codes[:1] == ["optimizer-params"]
    found, _ = _verdict(tmp_path, LAST.replace("PARAMETERS", "net.parameters()"))
    assert found == []
