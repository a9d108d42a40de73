"""What a model does as a function, what a loss pulls at, how classes are weighed: each a faulty script and its twin."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from suite import BLOBS, CE, CURVE, IMAGES, LINE, LOADER, SERIES, S, loader, mlp, opt
from torch import nn

from soundfit.doctor.behaviour import behaviour
from soundfit.doctor.call import call_of
from soundfit.doctor.graph import loss_structure
from soundfit.doctor.origin import dropped_result, left_behind
from soundfit.doctor.pull import is_margin, listen
from soundfit.doctor.rows import Rows, RowStore, row_keys
from soundfit.doctor.rules import diagnose
from soundfit.doctor.scores import Task, other_units
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import RootRecord
from soundfit.doctor.watch import Watch
from soundfit.records import Diagnosis, Place, Trace

READER = """
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 16{how})
        self.out = nn.Linear(16, 2)
    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1])
model = Reader()
criterion = F.cross_entropy
"""
WINDOWS = "data = torch.cat([torch.sin(torch.arange(40) * (0.2 + 0.1 * k) + 6 * torch.rand(1)).view(1, 20, 2) for k in (torch.arange(600) % 3).tolist()]) + 0.1 * torch.randn(600, 20, 2)\nX, y = data, torch.arange(600) % 3\n"
TURNED = """
class Waves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv1d(2, 12, 5), nn.Linear(12, 3)
    def forward(self, x):
        return self.out(torch.relu(self.conv({turn})).amax(2))
model = Waves()
criterion = F.cross_entropy
"""
BENT = """
class Bent(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 32), nn.Linear(32, 1)
    def forward(self, x):
        x = self.a(x)
        {call}
        return self.b(x)
model = Bent()
criterion = F.mse_loss
"""
HINGE = """
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
side = {side}
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(150):
    i = torch.randint(0, 450, (40,))
    out = model(X[i]).squeeze(1)
    loss = (F.relu(1 - out * side[i]) ** 2).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
MARKS = """
signal = torch.randn(300, 1, 40); mask = (signal + torch.roll(signal, 1, 2) > 1.2).float()
model = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 1, 3, padding=1), nn.Sigmoid())
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(120):
    i = torch.randint(0, 300, (30,))
    p, t = model(signal[i]).flatten(1), mask[i].flatten(1)
    both = (t * p).sum(1)
    jaccard = (both + 1) / (p.sum(1) + t.sum(1) - both + 1)
    loss = {loss}
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
UNEVEN = """
y = torch.where(torch.rand(600) < 0.8, torch.zeros(600, dtype=torch.long), y)
share = torch.bincount(y).float() / 600
criterion = nn.NLLLoss(weight={weight})
model = nn.Sequential(nn.Linear(8, 24), nn.Tanh(), nn.Linear(24, 4), nn.LogSoftmax(1))
"""
SQUEEZE = """
mix = torch.randn(5, 20)
X = torch.randn(600, 5) @ mix / 2
class Squeeze(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(20, 5), nn.Linear(5, 20)
    def forward(self, x):
        code = self.inner(x)
        return code, self.outer({code})
model = Squeeze()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(400):
    i = torch.randint(0, 600, (64,))
    code, back = model(X[i])
    loss = F.mse_loss(back, X[i])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
BOUNDED = """
X = {scale} * torch.rand(500, 12) - {scale} / 2
model = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 12), nn.Tanh())
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(200):
    i = torch.randint(0, 500, (50,))
    loss = F.mse_loss(model(X[i]), X[i])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
TOWERS = """
left, right = torch.randint(0, 40, (900,)), torch.randint(0, 30, (900,))
value = (torch.randn(40, 3)[left] * torch.randn(30, 3)[right]).sum(1)
class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.tables = {holder}
        self.level = nn.Parameter(torch.zeros(1))
    def forward(self, a, b):
        return (self.tables["a"](a) * self.tables["b"](b)).sum(1) + self.level
model = Towers()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(250):
    i = torch.randint(0, 900, (90,))
    loss = F.mse_loss(model(left[i], right[i]), value[i])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
PREPARED = (
    BLOBS
    + """
mean, std = X.mean(0), X.std(0)
raw = torch.tensor([900., 5., 300., 70., 40., 8., 600., 90.])
X, Xt = X * raw, Xt * raw
mean, std = X.mean(0), X.std(0)
X = (X - mean) / std; Xt = {rows}
"""
)
LOOK = "model.eval()\nwith torch.no_grad():\n    print((model(Xt).argmax(1) == yt).float().mean())\n"
BY_HAND = """
scale = {scale}
W1 = (torch.randn(144, 64) * scale / 12).requires_grad_(); W2 = (torch.randn(64, 4) * scale / 8).requires_grad_()
flat = X.flatten(1)
for step in range(120):
    i = torch.randint(0, 550, (50,))
    loss = F.cross_entropy(torch.relu(flat[i] @ W1) @ W2, y[i])
    loss.backward()
    with torch.no_grad():
        for w in (W1, W2):
            w -= 0.01 * w.grad; w.grad = None
"""

CONTRAST = """
class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    def forward(self, x):
        return self.f(x)
coder = Coder()
optimizer = torch.optim.Adam(coder.parameters(), lr=0.005)
for step in range(200):
    i = torch.randint(0, 600, (64,))
    k = torch.tensor([int(torch.nonzero(y == y[a])[torch.randint(0, int((y == y[a]).sum()), (1,))]) for a in i])
    j = torch.where(torch.rand(64) < 0.5, k, torch.randint(0, 600, (64,)))
    same = (y[i] == y[j]).float()
    gap = (coder(X[i]) - coder(X[j])).pow(2).sum(1).add(1e-9).sqrt()
    loss = ({near} * gap ** 2 + {far} * F.relu(1 - gap) ** 2).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""

PAIRS: dict[str, tuple[str, str, str]] = {
    "batch_first forgotten": ("shape-broadcast", S(SERIES, READER.format(how=""), opt("Adam", "0.01"), loader(8)), S(SERIES, READER.format(how=", batch_first=True"), opt("Adam", "0.01"), loader(8))),
    "view for transpose": ("shape-broadcast", S(WINDOWS, TURNED.format(turn="x.reshape(-1, 20, len(x)).permute(2, 0, 1)[:, :2]"), opt("Adam", "0.01"), LOADER.format(epochs=8)),
                           S(WINDOWS, TURNED.format(turn="x.transpose(1, 2)"), opt("Adam", "0.01"), LOADER.format(epochs=8))),
    "result dropped": ("missing-nonlinearity", S(CURVE, BENT.format(call="torch.tanh(x)"), opt("Adam", "0.01"), loader(12)), S(CURVE, BENT.format(call="x = torch.tanh(x)"), opt("Adam", "0.01"), loader(12))),
    "hinge on zeros": ("loss-mismatch", S(LINE, HINGE.format(side="(value[:450] > 0).float()")), S(LINE, HINGE.format(side="torch.sign(value[:450])"))),
    "overlap minimised": ("gradient-ascent", S(MARKS.format(loss="jaccard.mean()")), S(MARKS.format(loss="1 - jaccard.mean()"))),
    "weights by share": ("class-imbalance", S(BLOBS, UNEVEN.format(weight="share"), opt("Adam", "0.01"), loader(6)), S(BLOBS, UNEVEN.format(weight="0.25 / share"), opt("Adam", "0.01"), loader(6))),
    "code detached": ("optimizer-params", S(SQUEEZE.format(code="code.detach()")), S(SQUEEZE.format(code="code"))),
    "copy out of reach": ("output-activation", S(BOUNDED.format(scale="6.0")), S(BOUNDED.format(scale="1.8"))),
    "tables in a dict": ("optimizer-params", S(TOWERS.format(holder='{"a": nn.Embedding(40, 3), "b": nn.Embedding(30, 3)}')),
                         S(TOWERS.format(holder='nn.ModuleDict({"a": nn.Embedding(40, 3), "b": nn.Embedding(30, 3)})'))),
    "other preparation": ("input-scale", S(PREPARED.format(rows="Xt"), mlp(8, 4), CE, opt("Adam", "0.01"), loader(4), LOOK), S(PREPARED.format(rows="(Xt - mean) / std"), mlp(8, 4), CE, opt("Adam", "0.01"), loader(4), LOOK)),
    "same and different turned": ("labels-damaged", S(BLOBS, CONTRAST.format(near="(1 - same)", far="same")), S(BLOBS, CONTRAST.format(near="same", far="(1 - same)"))),
    "wild by hand": ("bad-init", S(IMAGES, BY_HAND.format(scale="9.0")), S(IMAGES, BY_HAND.format(scale="1.4"))),
}  # fmt: skip


def found(source: str, folder: Path) -> list[Diagnosis]:
    script = folder / "train.py"
    script.write_text(source)
    code, visit = watched_run(script, [], seconds=3.0)
    assert code == 0
    assert visit is not None
    return [d for d in visit.diagnoses if d.severity != "note"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAIRS)
def test_a_fault_is_named_and_its_twin_left_alone(name: str, tmp_path: Path) -> None:
    code, faulty, sound = PAIRS[name]
    assert code in [d.code for d in found(faulty, tmp_path)[:2]]
    assert [d.to_dict() for d in found(sound, tmp_path)] == []


def asked(net: nn.Module, x: torch.Tensor, without: tuple[str, ...] = ()) -> dict[str, object]:
    root = RootRecord(net, Place())
    made = call_of((x,), {}, torch.zeros(len(x)))
    assert made is not None
    root.call = made[0]
    return behaviour(root, Rows((x,), torch.zeros(len(x))), 32, without)


class Stirred(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def test_straight_maps_and_mixed_rows_are_told_by_what_comes_out() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 4)
    straight = asked(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), x)
    curved = asked(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), x)
    assert straight["bend"] < 1e-5 < 1e-3 < curved["bend"]
    assert (curved["own"], curved["others"]) == (1.0, 0.0)
    assert asked(Stirred(), x)["others"] == 1.0
    shifted = asked(nn.Sequential(nn.Linear(4, 2), nn.Unflatten(1, (2, 1)), nn.Flatten()), x)
    assert shifted["others"] == 0.0


def test_outputs_hang_on_weights_that_get_no_gradient_or_not() -> None:
    torch.manual_seed(0)
    x, net = torch.randn(40, 4), nn.ModuleDict({"used": nn.Linear(4, 2), "unused": nn.Linear(4, 2)})

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.parts["used"](x).detach()

    assert asked(Two(), x, ("parts.used.weight",))["cut_off"] is True
    assert asked(Two(), x, ("parts.unused.weight",))["cut_off"] is False


def test_asking_changes_neither_the_model_nor_what_is_drawn_next() -> None:
    torch.manual_seed(0)
    x, net = (
        torch.randn(40, 4),
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)),
    )
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    asked(net, x, ("0.weight",))
    assert torch.equal(state, torch.get_rng_state())
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_listened_gradient_is_the_same_and_tells_where_outputs_go() -> None:
    t = torch.tensor([0.0, 1.0, 1.0, 0.0])
    raw = torch.tensor([0.3, -0.2, 0.9, 0.1], requires_grad=True)
    for sign, towards in ((1.0, 1.0), (-1.0, -1.0)):
        grads = []
        for heard in (False, True):
            raw.grad = None
            p, looks = raw.sigmoid(), []
            if heard:
                listen(p, t, looks)
            (sign * ((p - t) ** 2).sum()).backward()
            grads.append(raw.grad.clone())
        assert torch.equal(*grads)
        assert looks[0]["towards"] == pytest.approx(towards)
    looks = []
    listen((raw * 9).exp(), t, looks)  # no share: nothing is heard
    listen(raw.abs(), t, looks)  # from 0 to 1 as a distance may be
    raw.abs().sum().backward()
    assert looks == []


def test_margins_are_told_from_masks() -> None:
    y, t = torch.randn(6, 1, requires_grad=True), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    out = (y * 1.0).squeeze(1)
    for loss in (
        torch.relu(1 - t * out).mean(),
        (1 - out * t).clamp(min=0).pow(2).sum(),
        torch.log1p((-t * out).exp()).mean(),
    ):
        assert is_margin(loss, out)
    for loss in (
        torch.relu(t * out).mean(),
        ((out - 2) ** 2 * t).mean(),
        (out * t).sum(),
        torch.relu(1 - out).mean(),
        -(t * out.sigmoid().log()).mean(),
    ):
        assert not is_margin(loss, out)


def test_what_a_model_multiplies_inside_weighs_no_rows() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(8, 5, 3), torch.randint(0, 2, (8,))
    rnn, out = nn.GRU(3, 6, batch_first=True), nn.Linear(6, 2)
    loss = nn.functional.cross_entropy(out(rnn(x)[1][0]), y)
    assert not loss_structure(loss, frozenset({loss.grad_fn}))["signed"]
    each = nn.functional.cross_entropy(out(rnn(x)[1][0]), y, reduction="none")
    assert loss_structure((each * torch.randn(8)).mean(), frozenset({each.grad_fn}))["signed"]


def test_a_row_has_one_key_in_any_layout() -> None:
    x = torch.randn(190, 19, dtype=torch.float64).T.contiguous().T
    whole = row_keys((x,))
    parts = torch.cat(
        [row_keys((part.clone(memory_format=torch.contiguous_format),)) for part in x.split(19)]
    )
    assert torch.equal(whole, parts)


def test_other_units_of_an_evaluation_are_seen() -> None:
    task, y = Task("regression"), torch.randn(100, 1)
    assert other_units(task, y, [y * 17 + 36])
    assert not other_units(task, y, [y[:30] * 1.3 + 0.2])
    assert not other_units(Task("binary", 2), y, [y * 17 + 36])


LEFT = [
    "y = df['label'].values\ndf = df.sample(frac=1)\nx = df[['a']].values\nfit(x, y)",
    "kind = frame.species.astype('category')\ncodes = kind.cat.codes.values\nframe = shuffle(frame, random_state=0)\nfit(frame[n], codes)",
]
TAKEN = [
    "df = df.sample(frac=1)\ny = df['label'].values\nfit(df[['a']], y)",
    "y = df['label'].values\ndf = df.sample(frac=1)\ny = df['label'].values\nfit(df, y)",
    "n = df.shape[0]\ndf = df.sample(frac=1)\nfit(df[:n])",
    "y = df['label']\ndf = df.sample(frac=1)\ny = y.loc[df.index]\nfit(df, y)",
    "y = df['label'].values\ndf = df.sample(100)\nfit(df, y)",
    "y = = 3",
]


def test_labels_left_behind_by_a_shuffle_are_seen_in_the_text() -> None:
    assert [left_behind(text) for text in LEFT] == [2, 3]
    assert [left_behind(text) for text in TAKEN] == [None] * len(TAKEN)


def test_a_dropped_result_is_seen_in_the_text() -> None:
    assert dropped_result("def f(x):\n    F.relu(x)\n    return x") == 2
    assert dropped_result("x = F.relu(x)\nF.relu(x, inplace=True)\nx.relu_()\nnn.ReLU()(x)") is None
    assert dropped_result("x = = 3") is None


def test_backward_passes_without_a_step_are_not_all_looked_at() -> None:
    model, watch = nn.Linear(3, 1), Watch()
    watch.attach()
    try:
        torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(80):
            model(torch.ones(4, 3)).square().mean().backward()
        assert not watch.full
        assert watch.backwards == 80
    finally:
        watch.detach()


def test_rows_of_what_a_training_ended_with_are_kept_together() -> None:
    store = RowStore()
    for step, length in enumerate([4] * 12 + [9] * 4):  # ever fewer are kept
        store.keep((torch.randn(8, length, 2),), torch.randn(8), step if length == 4 else 10 * step)
    joined = store.joined()
    assert joined is not None
    assert joined.inputs[0].shape == (32, 9, 2)


BAND = """
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(200):
    i = torch.randint(0, 700, (64,))
    loss = F.mse_loss(model(X[i]), y[i])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
with torch.no_grad():
    outputs = torch.stack([model(Xt) for _ in range({draws})])
print(F.mse_loss(outputs.mean(0), yt))
"""
LOGGED = "model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4){end})\ncriterion = lambda p, t: F.nll_loss({made}, t)\n"


@pytest.mark.filterwarnings("ignore")
def test_a_band_of_outputs_is_meant_and_one_pass_in_train_mode_is_not(tmp_path: Path) -> None:
    assert [d.code for d in found(S(CURVE, BAND.format(draws=1)), tmp_path)] == ["train-eval-mode"]
    assert found(S(CURVE, BAND.format(draws=20)), tmp_path) == []


@pytest.mark.filterwarnings("ignore")
def test_logarithms_of_probabilities_are_no_raw_outputs(tmp_path: Path) -> None:
    sound = LOGGED.format(end=", nn.Softmax(1)", made="torch.log(p + 1e-7)")
    assert found(S(BLOBS, sound, opt("Adam", "0.01"), loader(4)), tmp_path) == []
    raw = found(S(BLOBS, LOGGED.format(end="", made="p"), opt("Adam", "0.01"), loader(4)), tmp_path)
    assert raw[0].code == "loss-mismatch"


def test_pairs_mined_for_being_hard_are_left_alone() -> None:
    looks = [{"alike": 0.12, "learned": 0.36, "error": 0.07}] * 8
    mined = [{"alike": 0.12, "learned": 0.05, "error": 0.07}] * 8
    overcome = [{"alike": 0.12, "learned": 0.95, "error": 0.07}] * 8
    few = [{"alike": 0.3, "learned": 0.5, "error": 0.2}] * 4
    found = [
        [
            d.code
            for d in diagnose(
                Trace("step", np.arange(9.0), {}, {}, (), {"custom": {"pairs": x}, "loss": {"kind": None}})
            )
        ]
        for x in (looks, mined, overcome, few)
    ]
    assert found == [["labels-damaged"], [], [], []]


BLOCKS = """
class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = {holder}
    def forward(self, x):
        return nn.Sequential(*self.parts)(x)
model = Blocks()
model(X[:2])
optimizer = torch.optim.SGD({parameters}, lr=0.05)
criterion = F.mse_loss
"""


@pytest.mark.filterwarnings("ignore")
def test_layers_held_by_the_model_or_an_optimiser_are_no_strangers(tmp_path: Path) -> None:
    layers = "nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)"
    held = BLOCKS.format(holder=f"nn.ModuleList([{layers}])", parameters="model.parameters()")
    both = "[*model.last.parameters(), *(p for m in model.parts for p in m.parameters())]"
    given = BLOCKS.format(holder=f"[{layers}]", parameters=both)
    given = given.replace("nn.Sequential(*self.parts)(x)", "self.last(nn.Sequential(*self.parts)(x))")
    given = given.replace("super().__init__()", "super().__init__(); self.last = nn.Linear(1, 1)")
    alone = BLOCKS.format(holder=f"[{layers}]", parameters="[p for m in model.parts for p in m.parameters()]")
    alone = alone.replace(
        "super().__init__()", "super().__init__(); self.level = nn.Parameter(torch.zeros(1))"
    )
    for source in (held, given, alone):
        assert "optimizer-params" not in [d.code for d in found(S(LINE, source, loader(6)), tmp_path)]
