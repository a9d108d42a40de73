"""Evaluations that leave torch, phases, parts and copies: faulty and healthy twins of what a tenth of scripts look like."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from suite import S
from test_causes import found

from soundfit.doctor.beside import beside, fitting
from soundfit.doctor.changes import Changes
from soundfit.doctor.graph import loss_structure
from soundfit.doctor.likelihood import is_likelihood
from soundfit.doctor.scores import Task
from soundfit.doctor.script import execute, watched_run
from soundfit.doctor.series import spent_early
from soundfit.doctor.straight import straight_maps
from soundfit.doctor.watch import Watch

# Scored by scikit-learn: no tensor ever meets the targets. Rows of the rare class are copied before or after the split.
COPIED = """
import numpy as np
from sklearn.metrics import roc_auc_score
rng = np.random.default_rng(SEED)
table = rng.normal(size=(700, 9)); status = (table[:, 0] + rng.normal(size=700) > 1.0).astype(int)
def even(x, y):
    rare = np.where(y == 1)[0]
    more = rng.choice(rare, (y == 0).sum() - len(rare))
    order = rng.permutation(np.r_[np.arange(len(y)), more])
    return x[order], y[order]
{before}
cut = int(0.75 * len(status))
x_train, y_train, x_val, y_val = table[:cut], status[:cut], table[cut:], status[cut:]
{after}
net = nn.Sequential(nn.Linear(9, 24), nn.ReLU(), nn.Linear(24, 1))
opt = torch.optim.Adam(net.parameters(), lr=0.005)
def auc(rows, truth):
    with torch.no_grad():
        return roc_auc_score(truth, net(torch.tensor(rows).float()).numpy()[:, 0])
x, y = torch.tensor(x_train).float(), torch.tensor(y_train).float()
for epoch in range(8):
    for i in torch.randperm(len(x)).split(50):
        loss = F.binary_cross_entropy_with_logits(net(x[i])[:, 0], y[i])
        opt.zero_grad(); loss.backward(); opt.step()
    auc(x_val, y_val)
"""
# A part learns in one phase, all of it in the next, if the optimiser is told.
PHASES = """
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(12, 40)
    def forward(self, x): return torch.relu(self.wide(x))
reader = Reader()
def go(model, opt, x, y, epochs):
    for epoch in range(epochs):
        for i in torch.randperm(len(x)).split(32):
            opt.zero_grad(); F.cross_entropy(model(x[i]), y[i]).backward(); opt.step()
old = torch.randn(400, 12); first = (old[:, 0] > 0).long()
early = nn.Sequential(reader, nn.Linear(40, 2))
go(early, torch.optim.Adam(early.parameters(), lr=0.02), old, first, 12)
new = torch.randn(900, 12); kind = (new[:, 3:6].abs().sum(1) > 2.2).long() + (new[:, 7] * new[:, 8] > 0).long() * 2
model = nn.Sequential(reader, nn.Linear(40, 4))
for p in reader.parameters(): p.requires_grad = False
opt = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.005)
go(model, opt, new, kind, 3)
for p in reader.parameters(): p.requires_grad = True
{again}
go(model, opt, new, kind, 25)
"""
# Two parts, an optimiser each, one of which is cleared twice.
CLEARED = """
coder, teller = nn.GRU(6, 16, batch_first=True), nn.Linear(16, 3)
a, b = torch.optim.SGD(coder.parameters(), lr=0.2, momentum=0.9), torch.optim.SGD(teller.parameters(), lr=0.2, momentum=0.9)
waves = torch.randn(400, 7, 6); sort = waves.sum(1)[:, :3].argmax(1)
for epoch in range(12):
    for i in torch.randperm(400).split(40):
        a.zero_grad(); {clear}.zero_grad()
        F.cross_entropy(teller(coder(waves[i])[1][0]), sort[i]).backward()
        a.step(); b.step()
"""
# Ranks by pairs, on tensors alone, with a penalty.
RANKED = """
P, Q = (0.1 * torch.randn(60, 8)).requires_grad_(), (0.1 * torch.randn(40, 8)).requires_grad_()
likes = (torch.randn(60, 3) @ torch.randn(3, 40)) > 1.0
who, what = likes.nonzero().T
opt = torch.optim.Adam([P, Q], lr=0.02)
for epoch in range(12):
    for i in torch.randperm(len(who)).split(64):
        u, j = who[i], what[i]
        other = torch.randint(0, 40, u.shape)
        gap = (P[u] * Q[j]).sum(1) - (P[u] * Q[other]).sum(1)
        loss = {sign}F.logsigmoid(gap).mean() + 1e-3 * (P[u].pow(2).sum(1) + Q[j].pow(2).sum(1)).mean()
        opt.zero_grad(); loss.backward(); opt.step()
"""
# Weights of the author's own and no module.
BY_HAND = """
def w(*s): return (torch.randn(*s) * (2 / s[0]) ** 0.5).requires_grad_()
one, two, three = w(5, 24), w(24, 24), w(24, 3)
tide = torch.randn(500, 5); port = (tide[:, :3] ** 2).argmax(1)
opt = torch.optim.Adam([one, two, three], lr=0.01)
for epoch in range(15):
    for i in torch.randperm(500).split(25):
        h = {bend}({bend}(tide[i] @ one) @ two)
        loss = F.cross_entropy(h @ three, port[i])
        opt.zero_grad(); loss.backward(); opt.step()
"""
# A moving average of weights is what is scored.
AVERAGE = """
import copy
net = nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))
rows = 4 + 3 * torch.randn(600, 6); tags = rows[:, :3].argmax(1)
slow = copy.deepcopy(net).eval()
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(8):
    for i in torch.randperm(450).split(45):
        opt.zero_grad(); F.cross_entropy(net(rows[i]), tags[i]).backward(); opt.step()
        with torch.no_grad():
            for s, p in zip(slow.parameters(), net.parameters()): s.lerp_(p, 0.05)
            {buffers}
    with torch.no_grad():
        (slow(rows[450:]).argmax(1) == tags[450:]).float().mean()
"""
# Sigmoids all the way, pictures told again.
SQUEEZED = """
scans = (torch.rand(500, 4) @ torch.rand(4, 40)).div(3)
parts, sizes = [], [40, 32, 24, 16, 10, 16, 24, 32, 40]
for a, b in zip(sizes, sizes[1:]):
    parts += [nn.Linear(a, b), nn.{act}()]
net = nn.Sequential(*parts[:-1], nn.Sigmoid())
opt = torch.optim.Adam(net.parameters(), lr=0.002)
for epoch in range(25):
    for i in torch.randperm(500).split(25):
        loss = F.binary_cross_entropy(net(scans[i]), scans[i].clamp(0, 1))
        opt.zero_grad(); loss.backward(); opt.step()
"""
# The same in logits, under a summed error.
LOGITS = """
scans = (torch.rand(500, 4) @ torch.rand(4, 40)).div(3).clamp(0, 1).pow(2)
net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 40))
opt = torch.optim.Adam(net.parameters(), lr=0.003)
for epoch in range(40):
    for i in torch.randperm(500).split(25):
        loss = F.binary_cross_entropy_with_logits(net(scans[i]), scans[i], reduction="sum") / 25
        opt.zero_grad(); loss.backward(); opt.step()
"""
# A schedule that is spent before an epoch is over, on a task that is half learnt by then.
SPENT = """
rows = torch.randn(900, 16); price = torch.tanh(rows[:, :4]).sum(1, keepdim=True) + 0.1 * torch.randn(900, 1)
net = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.0145, momentum=0.5)
plan = torch.optim.lr_scheduler.StepLR(opt, step_size=25, gamma=0.3)
for epoch in range(40):
    for i in torch.randperm(900).split(30):
        loss = F.mse_loss(net(rows[i]), price[i])
        opt.zero_grad(); loss.backward(); opt.step()
        {each}
    {then}
"""
# Layers that no module holds together.
APART = """
one, two = nn.Linear(20, 32), nn.Linear(32, 5)
rows = torch.randn(600, 20); kind = (rows[:, :5] ** 2).argmax(1)
opt = torch.optim.SGD([*one.parameters(), *two.parameters()], lr=0.1)
for epoch in range(20):
    for i in torch.randperm(600).split(30):
        loss = F.cross_entropy(two(F.relu(one(rows[i]))), kind[i]){share}
        opt.zero_grad(); loss.backward(); opt.step()
"""
FRESH = "opt = torch.optim.Adam(model.parameters(), lr=0.005)"
EVEN = "{0}, {1} = even({0}, {1})".format
PAIRS = {
    "copied_before_the_split": ("split-leak", S(COPIED.format(before=EVEN("table", "status"), after="")), S(COPIED.format(before="", after=EVEN("x_train", "y_train")))),
    "an_optimiser_of_the_last_phase": ("optimizer-params", S(PHASES.format(again="")), S(PHASES.format(again=FRESH))),
    "one_of_two_never_cleared": ("missing-zero-grad", S(CLEARED.format(clear="a")), S(CLEARED.format(clear="b"))),
    "ranks_turned_round": ("gradient-ascent", S(RANKED.format(sign="")), S(RANKED.format(sign="-"))),
    "products_of_products": ("missing-nonlinearity", S(BY_HAND.format(bend="")), S(BY_HAND.format(bend="torch.relu"))),
    "an_average_without_statistics": ("batchnorm", S(AVERAGE.format(buffers="pass")), S(AVERAGE.format(buffers="[s.copy_(b) for s, b in zip(slow.buffers(), net.buffers())]"))),
    "sigmoids_all_the_way": ("vanishing-gradient", S(SQUEEZED.format(act="Sigmoid")), S(SQUEEZED.format(act="ReLU"))),
    "a_copy_in_logits": ("vanishing-gradient", S(SQUEEZED.format(act="Sigmoid")), S(LOGITS)),
    "a_rate_soon_spent": ("schedule", S(SPENT.format(each="plan.step()", then="")), S(SPENT.format(each="", then="plan.step()"))),
    "layers_apart": ("loss-reduction", S(APART.format(share=" / 30")), S(APART.format(share=""))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAIRS)
def test_the_cause_comes_first_and_its_twin_is_left_alone(name: str, tmp_path: Path) -> None:
    code, faulty, sound = PAIRS[name]
    assert found(faulty, tmp_path, 25.0)[0].code == code
    assert [d.to_dict() for d in found(sound, tmp_path)] == []


@pytest.mark.filterwarnings("ignore")
def test_scores_of_scikit_learn_are_read_beside_the_model(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(S(COPIED.format(before="", after="")))
    _, visit = watched_run(script, [], seconds=3.0)
    assert visit is not None
    assert visit.trace is not None
    truth = visit.trace.facts["score"]["evaluation_by_script"]
    assert truth > 0.7  # surely more than the larger class of a shuffled column would give
    assert visit.trace.facts["evaluation"]["rows"] == 175


def _names(x: torch.Tensor, **beside_it: object) -> list[str]:
    x_test, y_test = x, np.arange(len(x)) % 2
    y_hat, y_train = y_test.copy(), 1 - y_test  # made by a model; another of that length
    told = beside(x_test)
    assert y_hat is not y_train
    return [name for name, _, _ in told]


def test_what_stands_beside_is_told_by_name_and_length() -> None:
    assert _names(torch.zeros(8, 3)) == ["y_test", "y_train"]


@settings(deadline=None, max_examples=50)
@given(st.integers(4, 40), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_targets_of_these_inputs_are_taken_and_nothing_of_another_kind(
    n: int, classes: int, random
) -> None:  # type: ignore[no-untyped-def]
    truth = np.array([random.randrange(classes) for _ in range(n)])
    other = (truth + 1) % classes
    like = torch.arange(classes).repeat(3)
    taken = fitting([("y_test", truth, "X_test"), ("y_train", other, "X_test")], like)
    assert taken is not None
    assert taken.tolist() == truth.tolist()
    assert fitting([("y_one", truth, "X_test"), ("y_two", other, "X_test")], like) is None  # which of them?
    assert fitting([("y_test", truth + 0.5, "X_test")], like) is None  # no classes
    assert (
        fitting([("y_test", truth, "X_test")], torch.from_numpy(truth)) is None
    )  # the batch that was trained on
    numbers = torch.randn(64, 1)
    assert fitting([("y_test", 1000.0 + truth, "X_test")], numbers) is None  # in other units
    scaled = np.linspace(-1.5, 1.5, 12)
    close = fitting([("y_test", scaled, "X_test")], numbers)
    assert close is not None
    assert close.shape == (12, 1)


@pytest.mark.parametrize(
    ("make", "many"),
    [
        (lambda x, a, b: x @ a @ b, 2),
        (lambda x, a, b: ((x @ a + 1.0).mean(0, keepdim=True) @ b).softmax(1), 2),
        (lambda x, a, b: torch.relu(x @ a) @ b, 0),
        (lambda x, a, b: (x @ a * (x @ a)) @ b, 0),
        (lambda x, a, b: a @ b, 0),
        (lambda x, a, b: torch.eye(6) @ a @ b, 0),
    ],
)
def test_chains_of_products_are_read_from_the_graph(make, many: int) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x, a, b = torch.randn(9, 6), torch.randn(6, 4, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    assert straight_maps(make(x, a, b)) == many
    assert straight_maps(x @ a @ torch.randn(4, 6, requires_grad=True), x) == 0  # principal components


@pytest.mark.parametrize(
    ("make", "falls"),
    [
        (lambda z: torch.nn.functional.logsigmoid(z).mean(), True),
        (lambda z: torch.nn.functional.logsigmoid(z).mean() + 0.1 * z.pow(2).mean(), True),
        (lambda z: -torch.nn.functional.logsigmoid(z).mean() + 0.1 * z.pow(2).mean(), False),
        (lambda z: torch.nn.functional.logsigmoid(z).mean() * -2.0, False),
        (lambda z: (1 - torch.log(torch.sigmoid(z))).sum(), False),
        (lambda z: z.pow(2).mean(), False),
    ],
)
def test_likelihoods_that_nothing_negates_are_read_from_the_graph(make, falls: bool) -> None:  # type: ignore[no-untyped-def]
    assert is_likelihood(make(torch.randn(9, requires_grad=True))) is falls


def test_products_of_what_is_learnt_weigh_no_rows() -> None:
    p, q = (torch.randn(30, 4, requires_grad=True) for _ in range(2))
    assert loss_structure((p[:20] * q[:20]).sum(1).mean())["signed"] is False
    assert loss_structure((p.sum(1) * torch.randn(30)).mean())["signed"] is True


def test_a_rate_that_falls_at_the_end_is_not_spent_early() -> None:
    cosine = [0.5 * (1 + np.cos(np.pi * k / 100)) for k in range(100)]
    assert not spent_early(cosine)
    assert spent_early([0.3 ** (k // 5) for k in range(100)])


def _changed(source: str, folder: Path, wanted: dict[str, object], **facts: object) -> Watch:
    """Run a script with changes and a watch outside of them, as a retraining that is judged does."""
    script = folder / "train.py"
    script.write_text(source)
    changes, watch = Changes(wanted, {"task": Task("regression", 0), "model": "Sequential", **facts}), Watch()
    changes.attach()
    watch.attach()
    try:
        assert execute(script, []) == 0
    finally:
        watch.detach()
        changes.detach()
    assert watch.stumbled is None
    return watch


SCALED = """
rows = torch.randn(400, 5); dose = 3000 + 700 * rows[:, :1] + 20 * torch.randn(400, 1)
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
judge = nn.MSELoss()
for epoch in range(30):
    for i in torch.randperm(300).split(30):
        opt.zero_grad(); judge(net(rows[i]), dose[i]).backward(); opt.step()
    with torch.no_grad(): judge(net(rows[300:]), dose[300:])
"""


def test_scaled_targets_are_scaled_once_and_judged_in_their_unit(tmp_path: Path) -> None:
    facts = {"row_shape": [5], "custom_loss": False, "target_mean": 3000.0, "target_std": 700.0}
    watch = _changed(S(SCALED), tmp_path, {"scale_targets": True}, **facts)
    _, told, truth = next(iter(watch.roots.values())).eval_scores[-1]
    assert float(truth.mean()) == pytest.approx(3000, abs=200)  # not what the changed loss was handed
    assert float((told - truth).pow(2).mean().sqrt()) < 150
    losses = [loss for loss in watch.recording.loss if loss == loss]
    assert 0.3 < losses[0] < 3.0  # once: a second time would make it (3000 / 700)² larger


def test_an_optimiser_takes_what_only_an_earlier_phase_taught(tmp_path: Path) -> None:
    source = S(PHASES.format(again="before = reader.wide.weight.detach().clone()"))
    end = "\nassert bool((reader.wide.weight.detach() != before).any()) == WANTED"
    for wanted in ({}, {"include": True}):
        _changed(source + end.replace("WANTED", str(bool(wanted))), tmp_path, wanted, row_shape=[12])


def test_a_loss_is_taken_without_what_was_made_of_it(tmp_path: Path) -> None:
    ends = []
    for share, wanted in ((" / 30", {"own_loss": True}), ("", {})):
        watch = _changed(S(APART.format(share=share)), tmp_path, wanted, row_shape=[20])
        ends.append(
            [float(w.detach().double().sum()) for r in watch.roots.values() for w in r.module.parameters()]
        )
    assert ends[0] == pytest.approx(ends[1])


def test_a_detached_watch_holds_nothing_of_the_users_frame() -> None:
    net, watch = torch.nn.Linear(3, 2), Watch()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    watch.attach()
    x, y = torch.randn(12, 3), torch.arange(12) % 2
    torch.nn.functional.cross_entropy(net(x), y).backward()
    opt.step()
    x_test, y_test = torch.randn(9, 3), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    with torch.no_grad():
        net(x_test).numpy()
    assert watch.evaluation.pending is not None
    watch.detach()
    assert watch.evaluation.pending is None
    assert watch.evaluation._beside == []
    (record,) = watch.roots.values()
    assert [truth.tolist() for _, _, truth in record.eval_scores] == [y_test.tolist()]
