"""Outputs with losses of their own, layers replaced under an optimiser, losses at chance, softmax over many-hot labels."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from doctor.watched import found_in, named_in
from soundfit.doctor.batch import judged_by
from soundfit.doctor.blind import blind
from soundfit.doctor.call import with_output
from soundfit.doctor.constant_terms import ConstantTerms
from soundfit.doctor.examination import Examination
from soundfit.doctor.heads import heads_of, keep_heads
from soundfit.doctor.repair import repair
from soundfit.doctor.rows import RowStore
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import LossCall, RootRecord
from soundfit.records import Place

TWO = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(1200, 8)
amount = (X[:, 0] * 2 + X[:, 1] ** 2 + 0.1 * torch.randn(1200)) * SCALE; label = (X[:, 2] + X[:, 3] > 0).long()
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 48), nn.ReLU())
        self.amount, self.label = nn.Linear(48, 1), nn.Linear(48, 2)
    def forward(self, x):
        h = self.trunk(x)
        return self.amount(h), self.label(h)
net = Two()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
mse, ce = nn.MSELoss(), nn.CrossEntropyLoss()
for epoch in range(20):
    net.train()
    for i in torch.randperm(900).split(30):
        a, k = net(X[i])
        loss = mse(a.squeeze(1), amount[i]) + ce(k, label[i])
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad():
        a, k = net(X[900:])
    print("epoch", epoch, "accuracy", (k.argmax(1) == label[900:]).float().mean().item())
"""

REPLACED = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 10); Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).long()
net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))
FIRST
for epoch in range(20):
    for i in torch.randperm(900).split(30):
        loss = nn.functional.cross_entropy(net(X[i]), Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""

TOWERS = """
import torch
from torch import nn
torch.manual_seed(0)
A = torch.randn(1000, 12); B = A @ torch.randn(12, 12) / 3 + 0.05 * torch.randn(1000, 12)
left, right = nn.Linear(12, 16), nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 16))
opt = torch.optim.Adam([*left.parameters(), *right.parameters()], lr=3e-3)
for epoch in range(20):
    order = torch.randperm(1000)
    for i, j in zip(order.split(50), ORDER.split(50)):
        a, b = nn.functional.normalize(left(A[i]), dim=1), nn.functional.normalize(right(B[j]), dim=1)
        loss = nn.functional.cross_entropy(8 * a @ b.T, torch.arange(50))
        opt.zero_grad(); loss.backward(); opt.step()
"""

BAGS = """
import torch
from torch import nn
torch.manual_seed(0)
Y = (torch.rand(800, 6) < 0.35).float()
texts = [torch.cat([torch.randint(0, 50, (4,)), *(50 + 10 * t + torch.randint(0, 10, (4,)) for t in range(6) if Y[i, t])]) for i in range(800)]
bag, top = nn.EmbeddingBag(110, 32), nn.Linear(32, 6)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.top = bag, top
    def forward(self, tokens, offsets):
        return OUTPUT
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(12):
    for i in torch.randperm(800).split(40):
        rows = [texts[k] for k in i]
        offsets = torch.tensor([0] + [len(r) for r in rows[:-1]]).cumsum(0)
        loss = nn.functional.binary_cross_entropy(net(torch.cat(rows), offsets), Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""


def test_the_output_under_the_largest_loss_is_asked_first(tmp_path: Path) -> None:
    assert named_in(tmp_path, TWO.replace("SCALE", "3e4"))[0] == "target-scale"
    assert named_in(tmp_path, TWO.replace("SCALE", "0.3")) == []


@pytest.mark.parametrize("number", [1, 2])
def test_the_sick_output_is_named(tmp_path: Path, number: int) -> None:
    text = TWO.replace("SCALE", "3e4")
    if number == 2:
        text = text.replace("self.amount(h), self.label(h)", "self.label(h), self.amount(h)").replace(
            "a, k =", "k, a ="
        )
    seen = found_in(tmp_path, text)[0].evidence
    assert {k: seen[k] for k in ("judged_output", "outputs", "judged_by")} == {
        "judged_output": number, "outputs": 2, "judged_by": "mse_loss"}  # fmt: skip


@pytest.mark.parametrize("weight", ["", "0.3 * "])
@pytest.mark.usefixtures("no_blind_search")
def test_a_loss_on_a_detached_output_is_named_and_mended(tmp_path: Path, weight: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO.replace("SCALE", "0.3").replace("+ ce(k,", f"+ {weight}ce(k.detach(),"))
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    (one,) = [d for d in found.diagnoses if d.severity != "note"]
    assert one.code == "optimizer-params"
    assert one.where.line is not None
    assert "loss = mse" in script.read_text().splitlines()[one.where.line - 1]
    assert one.evidence["weight"] == pytest.approx(0.3 if weight else 1.0, rel=1e-2)
    made = repair(script, [], found)
    assert made["accepted"], made


def test_a_loss_that_is_only_printed_is_no_part_of_the_sum(tmp_path: Path) -> None:
    text = TWO.replace("SCALE", "0.3").replace(
        "        opt.zero_grad()",
        "        seen = nn.functional.l1_loss(a.detach().squeeze(1), amount[i]); opt.zero_grad()",
    )
    assert named_in(tmp_path, text) == []


@given(st.integers(0, 3), st.integers(1, 2), st.integers(5, 12), st.floats(0.05, 20), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_constant_terms_are_found_by_adding_up(
    attached: int, cut: int, steps: int, weight: float, seed: int
) -> None:
    terms, draw = ConstantTerms(), torch.Generator().manual_seed(seed)
    other = ConstantTerms()
    for _ in range(steps + attached + cut):
        made = [torch.rand((), generator=draw).requires_grad_() for _ in range(attached + 1)]
        still = [torch.rand((), generator=draw) for _ in range(cut)]
        calls = [LossCall("mse_loss", m, m, m, "mean", {}) for m in made]
        for one in still:
            for kept in (terms, other):
                kept.saw("cross_entropy", one)
                kept.saw("cross_entropy", one)  # a module tells of its function
        terms.take(sum(made) + weight * sum(still), calls)
        other.take(sum(made) * 1.0, calls)
    found = terms.facts()["constant_term"]
    assert found["loss"] == "cross_entropy"
    assert found["weight"] == pytest.approx(weight, rel=1e-2, abs=1e-3)
    assert other.facts() == {}


@pytest.mark.usefixtures("no_blind_search")
def test_the_scale_of_one_output_is_repaired_and_the_other_loss_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO.replace("SCALE", "3e4"))
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    made = repair(script, [], found)
    assert made["accepted"], made
    assert made["after"] > 0.8 > made["before"]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (
            "opt = torch.optim.Adam(net.parameters(), lr=1e-3); net[2] = nn.Linear(64, 2)",
            ["optimizer-params"],
        ),
        ("net[2] = nn.Linear(64, 2); opt = torch.optim.Adam(net.parameters(), lr=1e-2)", []),
    ],
)
def test_a_layer_replaced_after_the_optimiser_was_built(
    tmp_path: Path, first: str, expected: list[str]
) -> None:
    assert named_in(tmp_path, REPLACED.replace("FIRST", first))[:1] == expected


def test_two_orders_that_should_be_one_leave_the_loss_at_chance(tmp_path: Path) -> None:
    assert named_in(tmp_path, TOWERS.replace("ORDER", "torch.randperm(1000)")) == ["labels-damaged"]
    assert named_in(tmp_path, TOWERS.replace("ORDER", "order")) == []


def test_softmax_over_many_hot_labels_is_named_without_a_score(tmp_path: Path) -> None:
    top = "self.top(self.bag(tokens, offsets))"
    assert named_in(tmp_path, BAGS.replace("OUTPUT", f"{top}.softmax(1)"))[0] == "output-activation"
    assert named_in(tmp_path, BAGS.replace("OUTPUT", f"{top}.sigmoid()")) == []


@given(st.integers(1, 4), st.integers(0, 3), st.booleans())
@settings(max_examples=20, deadline=None)
def test_losses_find_their_output_however_it_is_shaped(outputs: int, which: int, nested: bool) -> None:
    which = which % outputs
    weight = torch.randn(5, outputs, requires_grad=True)
    made = [torch.randn(7, 5) @ weight[:, k : k + 1] * 1.5 for k in range(outputs)]
    out = {"all": made, "more": None} if nested else tuple(made)
    assert judged_by(out, made[which]) == which
    if outputs > 1:
        assert judged_by(out, made[which].squeeze(1)) == which
        assert judged_by(out, torch.cat(made, 1)) is None
    changed = with_output(out, which, lambda x: x + 1)
    seen = changed["all"] if nested else changed
    assert [bool(torch.equal(a, b)) for a, b in zip(seen, made, strict=True)] == [
        k != which for k in range(outputs)
    ]


def test_heads_keep_rows_of_their_own() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.a(x), self.b(x)

    net = Two()
    x, first, second = torch.randn(6, 3), torch.randn(6), torch.randint(0, 2, (6,))
    out = net(x)
    calls = [
        LossCall("mse_loss", out[0].squeeze(1), first, out[0].pow(2).mean() * 9, "mean", {}),
        LossCall("binary_cross_entropy", out[1].squeeze(1), second, out[1].pow(2).mean(), "mean", {}),
    ]
    root = RootRecord(net, Place())
    root.train_rows = RowStore()
    keep_heads(root, ((x,), {}, out), calls[:1], 1)
    assert heads_of(root) == []  # a single loss is the model's own
    keep_heads(root, ((x,), {}, out), calls, 1)
    root.eval_calls = 3  # what is known of the model by now is known of its outputs
    (head,) = heads_of(root)
    assert head.record.eval_calls == 3
    assert head.record.eval_rows is not root.eval_rows
    assert head.kind == "mse_loss"
    assert torch.equal(head.record.train_rows.joined().targets, first)
    assert root.train_rows.batches == []
    assert head.size == pytest.approx(out[0].pow(2).mean().item() * 9)
    assert head.record.call is not None
    assert torch.allclose(head.record.call(net, [x]), out[0])


COLUMNS = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(500, 4); Y = X[:, 0] + 0.5 * X[:, 1]
net = nn.Linear(4, 1)
opt = torch.optim.Adam(net.parameters(), lr=1e-5)
for epoch in range(10):
    for i in torch.randperm(400).split(40):
        loss = nn.functional.mse_loss(net(X[i]), Y[i].unsqueeze(1))
        opt.zero_grad(); loss.backward(); opt.step()
    with torch.no_grad():
        print(((net(X[400:]).squeeze(1) - Y[400:]) ** 2).mean().item())
"""


def test_blind_search_takes_evaluation_targets_of_another_shape(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(COLUMNS)
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    looked = Examination(found.watch, float("inf"))
    looked.prepare()
    assert looked.eval_rows is not None
    assert looked.eval_rows.targets.dim() == 1
    assert looked.rows is not None
    assert looked.rows.targets.dim() == 2
    best = blind(looked, "evaluation")
    assert best is not None
    assert best["trials"] == 6
    assert best["score"] > 0.5


def test_softmax_over_many_hot_labels_is_repaired_where_the_rows_are_not_known(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(BAGS.replace("OUTPUT", "self.top(self.bag(tokens, offsets)).softmax(1)"))
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    made = repair(script, [], found)
    assert made["accepted"], made
    assert made["change"] == {"output": "sigmoid"}
