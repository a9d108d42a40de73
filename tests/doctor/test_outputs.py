"""What outputs can say, what a table of all rows asks for, and phases of one script: faulty and healthy twins."""

# ruff: noqa: E501

from __future__ import annotations

import io
import json
import runpy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from suite import S
from test_causes import found
from torch import nn

from soundfit.doctor.graph import outer_activation
from soundfit.doctor.likelihood import half_likelihood
from soundfit.doctor.origin import starts_anew
from soundfit.doctor.reference import fit_reference, parted
from soundfit.doctor.rows import Rows, exhaustive
from soundfit.doctor.scores import Task, score, task_of
from soundfit.doctor.script import run_script
from soundfit.doctor.seen import RootRecord, weights_of
from soundfit.doctor.unbroken import quietly
from soundfit.doctor.watch import Watch
from soundfit.records import Place

# Several labels a row, outputs that share one, an error of the author's own.
LABELS = """
spots = torch.randn(600, 10); marks = (spots @ torch.randn(10, 4) > 0.4).float()
net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(15):
    for i in torch.randperm(600).split(50):
        p = {made}
        loss = {loss}
        opt.zero_grad(); loss.backward(); opt.step()
"""
SQUARED = "((p - marks[i]) ** 2).mean()"
# Pictures told again by weights of no module, one half of the likelihood left out or not.
AGAIN = """
seen = torch.rand(400, 30) ** 3
inward, outward = (0.2 * torch.randn(30, 12)).requires_grad_(), (0.3 * torch.randn(12, 30)).requires_grad_()
opt = torch.optim.Adam([inward, outward], lr=0.02)
for epoch in range(40):
    for i in torch.randperm(400).split(40):
        p = torch.sigmoid(torch.tanh(seen[i] @ inward) @ outward).clamp(1e-6, 1 - 1e-6)
        loss = -({loss}).sum(1).mean()
        opt.zero_grad(); loss.backward(); opt.step()
"""
# All words of six bits, and a parity of some of them.
BITS = """
words = torch.tensor([[(n >> k) & 1 for k in range(6)] for n in range(64)]).float()
odd = (words[:, :4].sum(1) % 2).unsqueeze(1)
net = nn.Sequential(nn.Linear(6, 48), nn.Tanh(), nn.Linear(48, 1))
opt = torch.optim.Adam(net.parameters(), lr={lr})
for step in range(600):
    loss = F.binary_cross_entropy_with_logits(net(words), odd)
    opt.zero_grad(); loss.backward(); opt.step()
"""
# A head for a second task, its optimiser built before or after it.
PHASES = """
class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(8, 48), nn.ReLU()), nn.Linear(48, 3)
    def forward(self, x):
        return self.head(self.body(x))
def learn(net, opt, x, y, epochs):
    for epoch in range(epochs):
        for i in torch.randperm(len(x)).split(25):
            opt.zero_grad(); F.cross_entropy(net(x[i]), y[i]).backward(); opt.step()
hidden = torch.randn(8, 24)
points = torch.randn(900, 8); kinds = (torch.relu(points @ hidden) @ torch.randn(24, 3)).argmax(1)
others = torch.randn(900, 8); sorts = (torch.relu(others @ hidden) @ torch.randn(24, 5)).argmax(1)
net = Whole()
learn(net, torch.optim.Adam(net.parameters(), lr=0.005), points, kinds, 6)
for p in net.parameters():
    p.requires_grad = False
{one}
{two}
learn(net, opt, others, sorts, 20)
"""
HEAD, BUILT = "net.head = nn.Linear(48, 5)", "opt = torch.optim.Adam(net.head.parameters(), lr=0.01)"
# Numbers up to a hundred, told by steps that are far too long for them, or not.
LONG = """
at = torch.linspace(0, 5, 60).unsqueeze(1); height = 4 * at ** 2 + torch.randn(60, 1)
net = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 1))
opt = torch.optim.SGD(net.parameters(), lr={lr})
for epoch in range(500):
    for i in torch.randperm(60).split(30):
        opt.zero_grad(); F.mse_loss(net(at[i]), height[i]).backward(); opt.step()
"""
# Forty rows with labels and many without, or the first forty of a loader again and again.
FEW = """
ground = torch.randn(5, 20)
kind = torch.arange(600) % 5; cloud = ground[kind] + 0.6 * torch.randn(600, 20)
net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 5))
opt = torch.optim.Adam(net.parameters(), lr=0.003)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(cloud[:400], kind[:400]), batch_size=40)
few, named = cloud[:40], kind[:40]
net.train()
for step in range(200):
    {take}
    opt.zero_grad(); F.cross_entropy(net(few), named).backward(); opt.step()
net.eval()
with torch.no_grad():
    print((net(cloud[400:]).argmax(1) == kind[400:]).float().mean().item())
"""
# Weights of no module, their gradients asked for by name.
NAMED = """
marks = torch.randn(500, 12); sort = (torch.tanh(marks @ torch.randn(12, 6)) @ torch.randn(6, 4)).argmax(1)
first, second = {first}.requires_grad_(), {second}.requires_grad_()
shift = torch.zeros(4, requires_grad=True)
for step in range(400):
    i = torch.randint(0, 500, (50,))
    loss = F.cross_entropy(torch.tanh(marks[i] @ first) @ second + shift, sort[i])
    with torch.no_grad():
        for w, g in zip((first, second, shift), torch.autograd.grad(loss, (first, second, shift))):
            w -= 0.3 * g
"""
# A mean that is divided by the rows of the whole table as well.
SHARE = """
seen = torch.randn(800, 10); kind = (seen @ torch.randn(10, 3)).argmax(1)
net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
opt = torch.optim.SGD(net.parameters(), lr={lr}, momentum=0.9)
for epoch in range(10):
    for i in torch.randperm(800).split(40):
        opt.zero_grad()
        (F.cross_entropy(net(seen[i]), kind[i]) / {share}).backward()
        opt.step()
"""

RARE = """
seen = torch.randn(900, 10); rare = ((seen[:, 0] > 1.6) & (seen[:, 1] > 0)).float()  # three in a hundred
net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
for layer in (net[0], net[2], net[4]):
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu"); nn.init.constant_(layer.bias, {hidden})
nn.init.constant_(net[4].bias, -3.5)
opt = torch.optim.Adam(net.parameters(), lr=0.003)
for epoch in range(12):
    for i in torch.randperm(900).split(30):
        loss = F.binary_cross_entropy_with_logits(net(seen[i]).squeeze(1), rare[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""

PAIRS: dict[str, tuple[str, str, str]] = {
    "one softmax over labels": ("output-activation", S(LABELS.format(made="net(spots[i]).softmax(1)", loss=SQUARED)), S(LABELS.format(made="net(spots[i]).sigmoid()", loss=SQUARED))),
    "a categorical likelihood of labels": ("output-activation", S(LABELS.format(made="net(spots[i]).softmax(1)", loss="-(marks[i] * torch.log(p + 1e-7)).sum(1).mean()")), S(LABELS.format(made="net(spots[i])", loss="F.binary_cross_entropy_with_logits(p, marks[i])"))),
    "half a likelihood": ("loss-mismatch", S(AGAIN.format(loss="seen[i] * torch.log(p)")), S(AGAIN.format(loss="seen[i] * torch.log(p) + (1 - seen[i]) * torch.log(1 - p)"))),
    "all words": ("lr-too-low", S(BITS.format(lr="2e-6")), S(BITS.format(lr="0.01"))),
    "weights alike, gradients by name": ("bad-init", S(NAMED.format(first="torch.full((12, 16), 0.05)", second="torch.full((16, 4), 0.05)")), S(NAMED.format(first="(0.3 * torch.randn(12, 16))", second="torch.zeros(16, 4)"))),
    "a mean divided once more": ("loss-reduction", S(SHARE.format(share=800, lr=0.1)), S(SHARE.format(share=4, lr=0.1))),
    "outputs of rare positives that are one number": ("dead-relu", S(RARE.format(hidden=-9)), S(RARE.format(hidden=0))),
    "a phase that no optimiser serves": ("optimizer-params", S(PHASES.format(one=BUILT, two=HEAD)), S(PHASES.format(one=HEAD, two=BUILT))),
    "steps longer than weights": ("lr-too-high target-scale", S(LONG.format(lr="0.1")), S(LONG.format(lr="0.0005"))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAIRS)
def test_the_cause_comes_first_and_its_twin_is_left_alone(name: str, tmp_path: Path) -> None:
    code, faulty, sound = PAIRS[name]
    assert found(faulty, tmp_path)[0].code in code.split()
    assert [d.to_dict() for d in found(sound, tmp_path)] == []


SHARES = """
seen = torch.randn(500, 8); votes = (3 * seen @ torch.randn(8, 4)).softmax(1)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(12):
    for i in torch.randperm(500).split(25):
        loss = -(votes[i] * torch.log_softmax(net(seen[i]), 1)).sum(1).mean()
        opt.zero_grad(); loss.backward(); opt.step()
"""
TAGGED = """
words = torch.randint(1, 30, (400, 9)); there = (torch.rand(400, 9) < 0.8).float()
tag = ((words % 2) == 1).long()
net = nn.Sequential(nn.Embedding(30, 12), nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 2))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(8):
    for i in torch.randperm(400).split(20):
        told = torch.log_softmax(net(words[i]), -1).gather(2, tag[i].unsqueeze(2)).squeeze(2)
        loss = -(told * there[i]).sum() / there[i].sum()
        opt.zero_grad(); loss.backward(); opt.step()
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", [SHARES, TAGGED], ids=["shares of votes", "tags under a mask"])
def test_a_likelihood_by_hand_compares_no_amounts(source: str, tmp_path: Path) -> None:
    assert [d.to_dict() for d in found(S(source), tmp_path)] == []


@pytest.mark.filterwarnings("ignore")
def test_few_labelled_rows_are_no_repeated_batch(tmp_path: Path) -> None:
    assert [d.to_dict() for d in found(S(FEW.format(take="pass")), tmp_path)] == []
    again = "few, named = next(iter(loader))"
    assert starts_anew(S(FEW.format(take=again))) is not None
    assert starts_anew(S(FEW.format(take="pass"))) is None
    assert starts_anew("for (") is None


@pytest.mark.parametrize(
    ("loss", "raised"),
    [
        (lambda p, y: -(y * torch.log(p)).mean(), True),
        (lambda p, y: -(torch.log(p.clamp(1e-6, 1.0)) * y).sum(1).mean(), True),
        (lambda p, y: -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean(), False),
        (lambda p, y: -((1 - y) * torch.log(1 - p)).mean(), False),
        (lambda p, y: -(y * torch.log(p.softmax(1))).mean(), False),
        (lambda p, y: -torch.log(p).mean(), False),
        (lambda p, y: ((p - y) ** 2).mean(), False),
    ],
)
def test_half_a_likelihood_is_read_from_the_graph(loss, raised: bool) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    y = torch.rand(9, 4)
    y[0] = 0.0
    p = torch.sigmoid(2 + torch.randn(9, 4, requires_grad=True))
    made = half_likelihood(loss(p, y))
    assert (made is not None) is raised
    if made is not None:
        assert made["given"] == pytest.approx(float(y.mean()))
        assert made["raised"] == pytest.approx(float(p.detach()[y < 0.1].mean()))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), st.booleans(), st.randoms(use_true_random=False))
def test_all_combinations_are_all_rows_and_one_missing_is_a_sample(
    levels: list[int], flag: bool, random
) -> None:  # type: ignore[no-untyped-def]
    grid = torch.cartesian_prod(*(torch.arange(n).float() for n in levels))
    order = list(range(len(grid)))
    random.shuffle(order)
    rows = Rows((grid[order],), torch.zeros(len(grid)))
    assert exhaustive(rows)
    assert not exhaustive(rows.take(torch.arange(len(grid) - 1)))
    if flag:  # a column that is the same in all rows is no combination
        assert exhaustive(Rows((torch.cat([rows.inputs[0], torch.ones(len(grid), 1)], 1),), rows.targets))


def test_numbers_are_no_combinations_and_all_rows_judge_where_they_are_all_there_are() -> None:
    torch.manual_seed(0)
    assert not exhaustive(Rows((torch.randn(64, 6),), torch.zeros(64)))
    fine = torch.cartesian_prod(torch.linspace(0, 1, 8), torch.linspace(0, 1, 8))
    assert not exhaustive(Rows((fine,), torch.zeros(64)))
    words = torch.cartesian_prod(*[torch.arange(2.0)] * 6)
    labels = torch.randint(0, 2, (64,))
    rows = Rows((words,), labels)
    fit, held = parted(rows)
    assert fit.tolist() == held.tolist() == list(range(64))
    made = fit_reference(Task("classes", 2), rows)
    assert made is not None
    assert made.held_out == 1.0
    sample = rows.take(torch.arange(60))
    fit, held = parted(sample)
    assert not set(fit.tolist()) & set(held.tolist())


def test_few_numbers_on_a_line_are_told_by_leaving_one_out() -> None:
    at = torch.arange(7.0).unsqueeze(1)
    made = fit_reference(Task("regression"), Rows((at,), 2 * at - 1))
    assert made is not None
    assert made.held_out > 0.95
    torch.manual_seed(0)
    noise = fit_reference(Task("regression"), Rows((at,), torch.randn(7, 1)))
    assert noise is None or noise.held_out < 0.5
    assert fit_reference(Task("regression"), Rows((at[:4],), at[:4])) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["examination.weight_facts", "examination.main_root", "visit.diagnose"])
def test_a_script_of_an_unknown_kind_ends_as_it_would_without_a_doctor(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("of a kind nobody thought of")

    monkeypatch.setattr(f"soundfit.doctor.{where}", stumble)
    script, told = tmp_path / "train.py", io.StringIO()
    script.write_text(S(LONG.format(lr="0.0005")) + "raise SystemExit(3)\n")
    code = run_script(script, fix=True, json_path=tmp_path / "found.json", seconds=1.0, say=told)
    assert code == 3
    assert "broke off" in told.getvalue()
    assert "of a kind nobody thought of" in told.getvalue()
    assert json.loads((tmp_path / "found.json").read_text())["repair"] is None


@pytest.mark.parametrize(
    ("apply", "name"),
    [
        (lambda out: torch.sigmoid(out), "sigmoid"),
        (lambda out: torch.exp(out).squeeze(1), "exp"),
        (lambda out: out.view(-1).tanh(), "tanh"),
        (lambda out: out.squeeze(1), None),
        (lambda out: out * 2, None),
        (lambda out: torch.sigmoid(out * 2), None),
        (lambda out: out, None),
    ],
)
def test_what_a_script_does_to_an_output_before_its_loss_is_known(apply, name: str | None) -> None:  # type: ignore[no-untyped-def]
    net = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1))
    out = net(torch.randn(5, 3))
    assert outer_activation(apply(out), out) == name
    inside = nn.Sequential(net, nn.Sigmoid())(torch.randn(5, 3))
    assert outer_activation(inside, inside) is None


def test_a_head_for_a_new_task_begins_anew() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    root = RootRecord(net, Place(), weights_of(net))
    assert not root.renewed()
    assert not root.renewed()
    root.train_rows.keep((torch.randn(8, 4),), torch.zeros(8), 1)
    with torch.no_grad():
        net[0].weight += 1.0
    assert not root.renewed()
    net[2] = nn.Linear(6, 5)
    assert root.renewed()
    assert root.train_rows.joined() is None
    assert root.initial is not None
    assert torch.equal(root.initial["2.weight"], net[2].weight)
    assert torch.equal(root.initial["0.weight"] + 1.0, net[0].weight)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "where", ["watch.glance", "watch.first_tensor", "watch.described", "optrace.user_place"]
)
def test_a_watch_that_stumbles_lets_the_training_go_on(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError("of a kind nobody thought of")

    script, told = tmp_path / "train.py", io.StringIO()
    script.write_text(
        S(LABELS.format(made="net(spots[i]).sigmoid()", loss="F.binary_cross_entropy(p, marks[i]).sqrt()"))
        + "torch.save(net.state_dict(), 'weights.pt')\n"
    )
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    alone = torch.load("weights.pt")
    monkeypatch.setattr(f"soundfit.doctor.{where}", stumble)
    assert run_script(script, fix=True, seconds=1.0, say=told) == 0
    assert "broke off" in told.getvalue()
    watched = torch.load("weights.pt")
    assert all(torch.equal(watched[k], alone[k]) for k in alone)


def test_a_look_that_fails_inside_of_a_backward_pass_is_given_up() -> None:
    def look(_: object) -> None:
        raise RuntimeError("of a kind nobody thought of")

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(quietly(look))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.filterwarnings("ignore")
def test_layers_that_are_made_by_the_first_rows_are_watched(tmp_path: Path) -> None:
    lazy = LONG.replace("nn.Linear(1, 40)", "nn.LazyLinear(40)")
    assert [d.to_dict() for d in found(S(lazy.format(lr="0.0005")), tmp_path)] == []
    assert found(S(lazy.format(lr="1e-9")), tmp_path)[0].code in ("lr-too-low", "target-scale")


def test_a_watch_that_ended_holds_no_tensor_of_the_training() -> None:
    watch, net = Watch(), nn.Linear(3, 1)
    watch.attach()
    try:
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            opt.zero_grad()
            nn.functional.mse_loss(net(torch.ones(4, 3)), torch.ones(4, 1)).backward()
            opt.step()
        nn.functional.mse_loss(net(torch.ones(4, 3)), torch.ones(4, 1)).backward()
        with torch.no_grad():
            net(torch.ones(2, 3))
    finally:
        watch.detach()
    assert watch.stumbled is None
    assert not watch._window
    assert not watch._calls
    assert watch._met is None
    assert watch.evaluation.pending is None
    assert watch.last is None


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 60), st.integers(0, 1000))
def test_copies_are_told_through_the_sigmoid_that_their_loss_has(n: int, seed: int) -> None:
    x = torch.rand(n, 12, generator=torch.Generator().manual_seed(seed)) * 0.9 + 0.05
    task = task_of("binary_cross_entropy_with_logits", (x,), x, 12)
    assert task.kind == "copy"
    assert score(task, torch.logit(x), x) > 0.999
    assert score(task_of("mse_loss", (x,), x, 12), x, x) == 1.0
