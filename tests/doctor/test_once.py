"""Faults that a single look tells: each named where it is, its healthy control left alone, its change a cure."""

# ruff: noqa: E501

from __future__ import annotations

import math
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, WeightedRandomSampler

import soundfit
from soundfit.doctor.changes import Changes
from soundfit.doctor.guards import bounded
from soundfit.doctor.once import hear_distances
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.script import watched_run
from soundfit.doctor.stored import Kept, by_row, changes_when_read, too_few_weights

HEAD = """
import copy, random
import numpy as np, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler
torch.manual_seed(0); random.seed(0)
g = torch.Generator().manual_seed(1)
X = torch.randn(900, 6, generator=g); Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).long() + (X[:, 2] > 1.2).long()
"""

SAMPLER = """
weights = 1.0 / torch.bincount(Y[:700], minlength=3).double()
loader = DataLoader(TensorDataset(X[:700], Y[:700]), batch_size=32, sampler=WeightedRandomSampler(WEIGHTS, 700))
net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(12):
    for x, y in loader:
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    print("test accuracy", (net(X[700:]).argmax(1) == Y[700:]).float().mean().item())
"""

STORED = """
class Rows(Dataset):
    def __init__(self, x, y):
        self.rows, self.y = x.numpy() * 3 + 2, y
    def __len__(self):
        return len(self.y)
    def __getitem__(self, i):
        row = ROW
        row -= 2; row /= 3
        return torch.from_numpy(row), self.y[i]
net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(12):
    for x, y in DataLoader(Rows(X[:700], Y[:700]) if epoch == 0 else loader.dataset, batch_size=32, shuffle=True):
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
    loader = DataLoader(Rows(X[:700], Y[:700]), batch_size=32) if epoch == 0 else loader
with torch.no_grad():
    print("test accuracy", (net(X[700:]).argmax(1) == Y[700:]).float().mean().item())
"""

FACTORS = """
P, Q = torch.randn(60, 3, generator=g), torch.randn(40, 3, generator=g)
pairs = torch.randperm(2400, generator=g)[:1800]
u, i = pairs // 40, pairs % 40
r = (P[u] * Q[i]).sum(1) + 0.2 * torch.randn(1800, generator=g)
class Factors(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(60, 3), nn.Embedding(40, 3)
        for table in (self.user, self.item):
            DRAW
    def forward(self, u, i):
        return (self.user(u) * self.item(i)).sum(-1)
net = Factors()
opt = torch.optim.Adam(net.parameters(), lr=2e-2)
for epoch in range(30):
    for b in torch.randperm(1500).split(100):
        loss = ((net(u[b], i[b]) - r[b]) ** 2).mean()
        opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    print("test rmse", ((net(u[1500:], i[1500:]) - r[1500:]) ** 2).mean().sqrt().item())
"""

TRIPLET = """
net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 8))
loss_of = nn.TripletMarginWithDistanceLoss(distance_function=DISTANCE, margin=0.3)
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
by = [torch.nonzero(Y == c).flatten() for c in range(3)]
for step in range(150):
    a = torch.randint(0, 900, (32,))
    p = torch.stack([by[Y[i]][torch.randint(len(by[Y[i]]), ())] for i in a])
    n = torch.stack([by[(Y[i] + 1) % 3][torch.randint(len(by[(Y[i] + 1) % 3]), ())] for i in a])
    loss = loss_of(net(X[a]), net(X[p]), net(X[n]))
    opt.zero_grad(); loss.backward(); opt.step()
"""

CHECKPOINT = """
net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
best, kept = 9.0, None
for epoch in range(15):
    net.train()
    for b in torch.randperm(600).split(32):
        loss = nn.functional.cross_entropy(net(X[b]), Y[b])
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad():
        now = nn.functional.cross_entropy(net(X[600:750]), Y[600:750]).item()
    if now < best or epoch == 0:
        best, kept = now, KEPT
net.load_state_dict(kept)
with torch.no_grad():
    print("test accuracy", (net(X[750:]).argmax(1) == Y[750:]).float().mean().item())
"""

OFFSET = """
w = torch.rand(900, generator=g) + 0.2
T = torch.poisson(w * torch.exp(0.4 * X[:, 0] - 0.3 * X[:, 1]), generator=g)
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(30):
    for x, t, o in DataLoader(TensorDataset(X[:700], T[:700], w[:700].log()), batch_size=64, shuffle=True):
        mu = (net(x).squeeze(1) + o).exp()
        loss = 2 * (mu - t * mu.log()).mean()
        opt.zero_grad(); loss.backward(); opt.step()
"""


def named(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    path = tmp_path / "train.py"
    path.write_text(HEAD + text)
    _, visit = watched_run(path, [], seconds=10.0)
    assert visit is not None
    return [(d.code, str(d.cause)) for d in visit.diagnoses if d.severity != "note"]


@pytest.mark.parametrize(
    ("script", "word", "fault", "sound", "code", "cause"),
    [
        (SAMPLER, "WEIGHTS", "weights", "weights[Y[:700]]", "class-imbalance", "the first 3 of 700 rows"),
        (STORED, "ROW", "self.rows[i]", "self.rows[i].copy()", "input-scale", "changes its own rows"),
        (FACTORS, "DRAW", "nn.init.zeros_(table.weight)", "nn.init.normal_(table.weight, std=0.3)", "bad-init", "start at zero"),
        (TRIPLET, "DISTANCE", "nn.functional.cosine_similarity", "lambda a, b: 1 - nn.functional.cosine_similarity(a, b)", "gradient-ascent", "taken for a distance"),
        (CHECKPOINT, "KEPT", "net.state_dict()", "copy.deepcopy(net.state_dict())", "overfitting", "no checkpoint is restored"),
    ],
)  # fmt: skip
def test_a_fault_is_named_and_its_control_is_left_alone(
    tmp_path: Path, script: str, word: str, fault: str, sound: str, code: str, cause: str
) -> None:
    found = named(tmp_path, script.replace(word, fault))
    assert [c for c, _ in found[:1]] == [code]
    assert cause in found[0][1]
    assert not any(cause in said for _, said in named(tmp_path, script.replace(word, sound)))


def test_an_offset_that_is_added_to_a_prediction_is_no_target(tmp_path: Path) -> None:
    assert named(tmp_path, OFFSET) == []


class Stored(Dataset[Any]):
    """Rows that are standardised when they are read: in place, or in a copy."""

    def __init__(self, n: int, *, in_place: bool, cached: bool = False) -> None:
        self.rows = np.random.default_rng(0).normal(2.0, 3.0, (n, 4)).astype(np.float32)
        self.in_place, self.cached, self.done = in_place, cached, set[int]()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> torch.Tensor:
        row = self.rows[i] if self.in_place else self.rows[i].copy()
        if not (self.cached and i in self.done):
            row -= 2.0
            row /= 3.0
            self.done.add(i)
        return torch.from_numpy(row)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 30), subset=st.booleans(), times=st.integers(1, 4))
def test_stored_rows_stay_what_they_were_however_often_they_are_read(
    n: int, subset: bool, times: int
) -> None:
    data = Stored(n, in_place=True)
    as_they_were = data.rows.copy()
    wanted = torch.from_numpy((as_they_were - 2.0) / 3.0)
    kept = Kept.of(Subset(data, range(n)) if subset else data)
    for _ in range(times):
        read = torch.cat(list(DataLoader(kept, batch_size=7)))
        assert torch.allclose(read, wanted)
    assert np.array_equal(data.rows, as_they_were)


def test_a_cache_is_no_fault_and_looking_changes_nothing() -> None:
    faulty = Stored(20, in_place=True)
    assert changes_when_read([faulty]) == "fixed"
    assert not changes_when_read([Stored(20, in_place=False)])
    assert not changes_when_read([Stored(20, in_place=True, cached=True)])
    assert not changes_when_read([TensorDataset(torch.randn(9, 2)), [1, 2, 3], object()])


def test_augmentation_in_place_is_told_from_scaling_in_place() -> None:
    class Jittered(Stored):
        def __getitem__(self, i: int) -> torch.Tensor:
            row = self.rows[i] if self.in_place else self.rows[i].copy()
            row += 0.1 * torch.randn(4).numpy()
            return torch.from_numpy(row)

    assert changes_when_read([Jittered(20, in_place=True)]) == "drawn"
    assert changes_when_read([Jittered(20, in_place=False)]) is None


def test_looking_at_a_dataset_that_draws_changes_no_later_draw() -> None:
    class Drawing(Stored):
        def __getitem__(self, i: int) -> Any:
            noise = random.random() + np.random.rand() + torch.rand(()).item()  # noqa: NPY002 as scripts do
            return super().__getitem__(i) + noise, torch.tensor(i % 2)

    def trained() -> list[float]:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 as scripts do
        torch.manual_seed(0)
        net = nn.Linear(4, 2)
        opt = torch.optim.SGD(net.parameters(), lr=0.01)
        with soundfit.doctor(net, opt) if watched else nullcontext():
            for _ in range(3):
                for x, y in DataLoader(Drawing(300, in_place=False), batch_size=20, shuffle=True):
                    loss = F.cross_entropy(net(x), y)
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
        return [random.random(), np.random.rand(), float(torch.rand(())), float(net.weight.detach().sum())]  # noqa: NPY002

    watched = False
    alone = trained()
    watched = True
    assert trained() == alone


def test_weights_of_classes_become_weights_of_rows() -> None:
    y = torch.tensor([0] * 90 + [1] * 10)
    data = TensorDataset(torch.randn(100, 2), y)
    weights = (1.0 / torch.bincount(y).double()).tolist()
    few = WeightedRandomSampler(weights, 400)
    assert too_few_weights(DataLoader(data, sampler=few)) == {"weights": 2, "rows": 100}
    whole = by_row(data, few)
    assert too_few_weights(DataLoader(data, sampler=whole)) is None
    drawn = y[torch.tensor(list(whole))].float().mean()
    assert 0.4 < float(drawn) < 0.6
    assert by_row(data, whole) is whole
    assert by_row(TensorDataset(torch.randn(100, 2)), few) is few


@pytest.mark.parametrize(
    ("operation", "at"),
    [("acos", 1.0), ("asin", -1.0), ("atanh", 1.0), ("log", 0.0), ("sqrt", 0.0), ("rsqrt", 0.0), ("log1p", -1.0), ("exp", 200.0)],
)  # fmt: skip
def test_a_guard_makes_numbers_and_slopes_finite_at_the_end_of_a_domain(operation: str, at: float) -> None:
    for owner, name, stand_in in bounded(operation):
        x = torch.tensor([at, 0.3], requires_grad=True)
        out = stand_in(x)
        out.sum().backward()
        assert bool(torch.isfinite(out).all())
        assert x.grad is not None
        assert bool(torch.isfinite(x.grad).all())
        assert math.isclose(
            float(out[1].detach()), float(getattr(owner, name)(torch.tensor(0.3))), rel_tol=1e-6
        )


def test_fractional_powers_of_zero_are_guarded_and_others_are_theirs() -> None:
    power = bounded("pow")[0][2]
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    power(x, 0.5).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
    assert torch.equal(power(torch.tensor([-2.0]), 2), torch.tensor([4.0]))


def under(changes: dict[str, Any], do: Any, facts: dict[str, Any] | None = None) -> Any:
    one = Changes(changes, facts or {}, hold_back=False)
    one.attach()
    try:
        return do()
    finally:
        one.detach()


@pytest.mark.parametrize("facts", [{}, {"bare": True}])
def test_a_similarity_is_turned_into_a_distance_once(facts: dict[str, Any]) -> None:
    a, p, n = torch.randn(3, 8, 4, requires_grad=True)
    loss = nn.TripletMarginWithDistanceLoss(distance_function=F.cosine_similarity, margin=0.5)
    right = nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x, y: -F.cosine_similarity(x, y), margin=0.5
    )
    before = loss(a, p, n)
    assert torch.allclose(under({"turned_distance": True}, lambda: loss(a, p, n), facts), right(a, p, n))
    assert torch.equal(loss(a, p, n), before)


def test_hearing_a_distance_draws_nothing_and_breaks_nothing() -> None:
    told: dict[str, Any] = {}
    replaced = Replaced()
    hear_distances(replaced.put, told, lambda: None)
    try:
        a, p, n = torch.randn(3, 8, 4)
        noisy = nn.TripletMarginWithDistanceLoss(
            distance_function=lambda x, y: torch.rand(8) + (x - y).norm(dim=1)
        )
        torch.manual_seed(0)
        heard = noisy(a, p, n)
    finally:
        replaced.restore()
    torch.manual_seed(0)
    assert torch.equal(noisy(a, p, n), heard)
    assert told["distance_heard"]
    assert "nearness" not in told


def test_a_dataset_without_a_length_breaks_no_loader() -> None:
    class Unknown(Dataset[int]):
        def __getitem__(self, i: int) -> int:
            return i

        def __len__(self) -> int:
            raise NotImplementedError

    assert too_few_weights(DataLoader(Unknown(), sampler=WeightedRandomSampler([1.0, 1.0], 4))) is None


def test_states_are_copies_while_that_is_wanted() -> None:
    net = nn.Linear(3, 2)
    kept = under({"copied_state": True}, lambda: net.state_dict())
    reference = net.state_dict()
    with torch.no_grad():
        net.weight.add_(1.0)
    assert not torch.equal(kept["weight"], net.weight)
    assert torch.equal(reference["weight"], net.weight)


def test_an_axis_of_rows_behind_another_is_brought_to_the_front() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 5, bidirectional=True, batch_first=True)
            self.head = nn.Linear(10, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.gru(x)[1]
            return self.head(h.view(len(x), 10))

    torch.manual_seed(0)
    net, x = Last(), torch.randn(7, 4, 3)
    right = net.head(net.gru(x)[1].permute(1, 0, 2).reshape(7, 10))
    assert not torch.allclose(net(x), right, atol=1e-3)
    assert torch.allclose(under({"rows_first": True}, lambda: net(x), {"model": "Last"}), right, atol=1e-6)


def test_weights_of_rows_meet_errors_of_rows() -> None:
    w, e = torch.rand(6), torch.rand(6, 1)
    assert torch.allclose(under({"align": True}, lambda: (w * e**2).mean()), (w * e[:, 0] ** 2).mean())
    halved = under({"align": True}, lambda: torch.sub(w, e, alpha=0.5))
    assert torch.allclose(halved, w - 0.5 * e[:, 0])


REVERSED = """
class Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lam):
        ctx.lam = lam
        return x.view_as(x)
    @staticmethod
    def backward(ctx, grad):
        return SIGN * ctx.lam * grad, None
body = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
label, domain = nn.Linear(16, 3), nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam([*body.parameters(), *label.parameters(), *domain.parameters()], lr=3e-3)
for step in range(300):
    i, j = torch.randint(0, 450, (64,)), torch.randint(450, 900, (64,))
    h = body(torch.cat([X[i], X[j] + 0.5]))
    told = nn.functional.binary_cross_entropy_with_logits(domain(Turn.apply(h, step / 300)).squeeze(1), torch.cat([torch.zeros(64), torch.ones(64)]))
    loss = nn.functional.cross_entropy(label(h[:64]), Y[i]) + told
    opt.zero_grad(); loss.backward(); opt.step()
"""


@pytest.mark.parametrize(("sign", "turned"), [("-1", True), ("1", False)])
def test_a_gradient_that_is_reversed_makes_parts_play_against_each_other(
    tmp_path: Path, sign: str, turned: bool
) -> None:
    path = tmp_path / "train.py"
    path.write_text(HEAD + REVERSED.replace("SIGN", sign))
    _, visit = watched_run(path, [], seconds=5.0)
    assert visit is not None
    assert visit.trace is not None
    assert visit.trace.facts["custom"]["own_functions"]
    assert bool(visit.trace.facts["together"]) is turned
    assert ("reversed" in visit.trace.facts["custom"]) is turned
    if turned:
        assert [d for d in visit.diagnoses if d.severity != "note"] == []


def test_layers_with_a_hand_written_function_between_lack_no_nonlinearity(tmp_path: Path) -> None:
    script = """
class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.where(x >= 0, 1.0, -1.0)
    @staticmethod
    def backward(ctx, grad):
        return grad * 0.0
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
    def forward(self, x):
        return self.c(ACT(self.b(ACT(self.a(x)))))
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(12):
    for b in torch.randperm(900).split(32):
        loss = nn.functional.cross_entropy(net(X[b]), Y[b])
        opt.zero_grad(); loss.backward(); opt.step()
"""
    assert "missing-nonlinearity" in [c for c, _ in named(tmp_path, script.replace("ACT", ""))]
    found = [c for c, _ in named(tmp_path, script.replace("ACT", "Sign.apply"))]
    assert found
    assert "missing-nonlinearity" not in found
