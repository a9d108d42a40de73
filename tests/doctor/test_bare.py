"""Trainings on bare tensors: rows held back teach nothing, changes reach them, repairs are proven or refused."""

# ruff: noqa: E501

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from watched import named_in

from soundfit.doctor.changes import Changes
from soundfit.doctor.held_back import held_back
from soundfit.doctor.repair import repair
from soundfit.doctor.scores import rank_rows
from soundfit.doctor.script import execute, watched_run
from soundfit.doctor.visit import doctor
from soundfit.records import Diagnosis, Prescription

F = nn.functional
Tensor = torch.Tensor
N = 80


def under(
    wanted: dict[str, Any],
    loop: Callable[[], None],
    *,
    hold_back: float = 0.0,
    told: dict[str, Any] | None = None,
) -> Changes:
    """Run a loop on bare tensors under changes; return them. ``told``: what a first run told."""
    facts = {"bare": True, "survey": True} if told is None else {**told, "bare": True}
    changes = Changes(wanted, facts, hold_back=hold_back)
    changes.attach()
    try:
        loop()
    finally:
        changes.detach()
    assert not _get_current_function_mode_stack()
    return changes


def rows(*, last: bool = False) -> Tensor:
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    return x.T.contiguous() if last else x


def given(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind == "classes":
        return torch.randint(0, 4, (N,), generator=generator)
    y = torch.randn(N, 1, generator=generator)
    return (y > 0).float() if kind == "binary" else y


def likelihood(p: Tensor, y: Tensor) -> Tensor:
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def squared(p: Tensor, y: Tensor) -> Tensor:
    return ((p - y) ** 2).mean()


# Name: targets, units, what is made of x @ w, the loss, the score's kind of task.
LOSSES: dict[str, tuple[str, int, Any, Any, str]] = {
    "squared error by hand": ("numbers", 1, lambda z: z, squared, "regression"),
    "its root, target first": ("numbers", 1, lambda z: z, lambda p, y: torch.norm(y - p), "regression"),
    "absolute, one column": ("numbers", 1, lambda z: z[:, 0], lambda p, y: torch.abs(p - y[:, 0]).sum(), "regression"),
    "likelihood of one unit": ("binary", 1, torch.sigmoid, likelihood, "binary"),
    "hinge on signs": ("binary", 1, lambda z: z, lambda p, y: torch.relu(1 - (2 * y - 1) * p).mean(), "binary"),
    "likelihood by index": ("classes", 4, lambda z: torch.log_softmax(z, 1), lambda p, y: -p[range(N), y].mean(), "classes"),
    "likelihood by gather": ("classes", 4, lambda z: z.softmax(1), lambda p, y: -p.gather(1, y[:, None]).log().mean(), "classes"),
    "likelihood by one-hot": ("classes", 4, lambda z: z.softmax(1), lambda p, y: -(F.one_hot(y, 4).float() * p.log()).sum(1).mean(), "one-hot"),
    "direction": ("numbers", 4, lambda z: z, lambda p, y: F.cosine_similarity(p, torch.cat([y, y**2, -y, y + 1], 1)).mean(), "regression"),
    "opposed": ("binary", 1, lambda z: z, lambda p, y: (y * F.softplus(-p) + (1 - y) * F.softplus(p)).mean(), "binary"),
    "functional": ("numbers", 1, torch.tanh, lambda p, y: F.mse_loss(p, y), "regression"),
    "functional on classes": ("classes", 4, lambda z: z, lambda p, y: F.cross_entropy(p, y), "classes"),
    "functional module": ("binary", 1, lambda z: z, nn.BCEWithLogitsLoss(), "binary"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_rows_held_back_teach_nothing_and_are_judged(name: str) -> None:
    kind, units, make, loss, task = LOSSES[name]
    x, y = rows(), given(kind)
    held = held_back((x,), 0.25)
    damaged = y.clone()
    damaged[held] = (y[held] + 1) % 4 if kind == "classes" else 1 - y[held]

    def gradient(targets: Tensor, share: float) -> tuple[Tensor, Changes]:
        w = torch.full((3, units), 0.1, requires_grad=True)
        changes = under({}, lambda: loss(make(x @ w), targets).backward(), hold_back=share)
        assert w.grad is not None
        return w.grad, changes

    honest, changes = gradient(y, 0.25)
    if name != "its root, target first":  # a norm of all rows: its size, not its direction, knows of each
        assert torch.equal(honest, gradient(damaged, 0.25)[0])
    assert not torch.equal(gradient(y, 0.0)[0], gradient(damaged, 0.0)[0])
    assert changes.bare is not None
    told = changes.bare.survey()
    assert told is not None
    assert (told["task"].kind, told["distinct"]) == (task, N)
    changes.bare.facts.update(told)
    pair = changes.bare.predictions()
    assert pair is not None
    p, targets = pair
    assert len(p) == len(targets) == int(held.sum())
    w = torch.full((3, units), 0.1)
    expected = make(x @ w)[held]
    if "gather" in name or "one unit" in name or "index" in name or "functional" in name:
        assert torch.allclose(
            p.reshape(-1).sort().values, expected.reshape(-1).float().sort().values, atol=1e-6
        )


def test_parts_of_ranks_have_the_area_as_their_mean() -> None:
    numbers, targets = torch.tensor([0.1, 0.4, 0.35, 0.8, 0.35]), torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    assert rank_rows(numbers, targets).mean() == pytest.approx((3 + 1) / 6)
    assert rank_rows(numbers * math.nan, targets).tolist() == [0.5] * 5


def test_rows_may_be_columns() -> None:
    x, y = rows(last=True), given("numbers").T
    w = torch.full((1, 3), 0.1, requires_grad=True)
    changes = under({}, lambda: squared(torch.tanh(w @ x), y).backward(), hold_back=0.25)
    assert changes.bare is not None
    assert changes.bare.survey() is not None
    held = held_back((x.T,), 0.25)
    q = torch.full((1, 3), 0.1, requires_grad=True)
    p = torch.tanh(q @ x)
    (((p - y)[:, ~held] ** 2).sum() / N).backward()
    assert w.grad is not None
    assert q.grad is not None
    assert torch.allclose(w.grad, q.grad)


def test_a_number_that_weighs_another_is_no_target() -> None:
    x, weight = rows(), given("numbers")
    w = torch.full((3, 1), 0.1, requires_grad=True)
    changes = under({}, lambda: (weight * (x @ w)).mean().backward())
    assert changes.bare is not None
    assert changes.bare.survey() is None


def test_bags_of_one_long_tensor_are_rows() -> None:
    codes, starts = torch.tensor([1, 2, 3, 3, 2, 1, 5, 5]), torch.tensor([0, 3, 6])
    table, y = nn.EmbeddingBag(6, 2), torch.tensor([0, 1, 0])
    changes = under({}, lambda: F.cross_entropy(table(codes, starts), y).backward())
    assert changes.bare is not None
    told = changes.bare.survey()
    assert told is not None
    assert told["distinct"] == 3  # the first two hold the same codes under other labels
    keys = changes.bare.last.inputs[0]  # type: ignore[union-attr]
    assert keys[0] == pytest.approx(float(keys[1]))
    assert keys[0] != keys[2]


# -- changes --------------------------------------------------------------------------------------------------


def by_hand(
    lr: float, steps: int = 5, *, clear: bool = True, sign: float = 1.0
) -> tuple[Tensor, Callable[[], None]]:
    """Return weights, and a loop that updates them by hand."""
    x, y = rows(), given("numbers")
    w = torch.full((3, 1), 0.5, requires_grad=True)

    def loop() -> None:
        for _ in range(steps):
            (sign * squared(x @ w, y)).backward()
            with torch.no_grad():
                w.sub_(lr * w.grad)  # type: ignore[operator]
                if clear:
                    w.grad.zero_()  # type: ignore[union-attr]

    return w, loop


def test_a_rate_by_hand_is_changed() -> None:
    w, loop = by_hand(0.01)
    under({"rate": 10.0}, loop)
    v, same = by_hand(0.1)
    same()
    assert torch.allclose(w, v)


def test_gradients_left_by_hand_are_cleared() -> None:
    w, loop = by_hand(0.1, clear=False)
    under({"zero_grad": True}, loop)
    v, same = by_hand(0.1)
    same()
    assert torch.equal(w, v)


def test_an_ascent_by_hand_descends() -> None:
    w, loop = by_hand(0.1, sign=-1.0)
    under({"descend": True}, loop)
    v, same = by_hand(0.1)
    same()
    assert torch.equal(w, v)


def test_adam_steps_in_place_of_an_update_by_hand() -> None:
    w, loop = by_hand(1e9)
    under({"adam": 0.05}, loop)
    v = torch.full((3, 1), 0.5, requires_grad=True)
    adam = torch.optim.Adam([v], lr=0.05)
    for _ in range(5):
        adam.zero_grad()
        squared(rows() @ v, given("numbers")).backward()
        adam.step()
    assert torch.allclose(w, v)


def test_equal_weights_are_drawn_anew_before_the_first_step_alone() -> None:
    x, y = rows(), given("numbers")
    w, u = torch.zeros(3, 8, requires_grad=True), torch.zeros(8, 1, requires_grad=True)
    seen: list[float] = []

    def loop() -> None:
        for _ in range(3):
            squared(torch.tanh(x @ w) @ u, y).backward()
            seen.append(float(w.detach().std()))

    under({"fresh": True}, loop)
    assert seen[0] == seen[1] == seen[2]
    assert 0.2 < seen[0] < 0.8


@pytest.mark.parametrize("last", [False, True])
def test_inputs_are_scaled_where_they_enter(last: bool) -> None:
    x, y = rows(), given("numbers")
    x = torch.cat([1000 * x + 5000, torch.ones(N, 1)], 1)
    x = x.T.contiguous() if last else x
    y = y.T if last else y
    made: list[Tensor] = []

    def loop() -> None:
        w = torch.full((1, 4) if last else (4, 1), 0.1, requires_grad=True)
        out = w @ x if last else x @ w
        squared(out, y).backward()
        with torch.no_grad():
            made.append(w @ x if last else x @ w)

    changes = under({}, loop)
    assert changes.bare is not None
    under({"scale_inputs": True}, loop, told=changes.bare.survey())
    before, after = made
    assert before.abs().mean() > 1000
    assert after.mean() == pytest.approx(0.1, abs=1e-4)  # the column of ones stays one
    assert after.std() == pytest.approx(0.1 * 3**0.5, abs=0.05)


def test_an_output_is_left_as_it_is_on_its_line_alone() -> None:
    x = rows()
    made: list[Tensor] = []
    w, u = torch.full((3, 5), -0.3, requires_grad=True), torch.full((5, 1), -0.3, requires_grad=True)

    def model(x: Tensor) -> Tensor:
        h = torch.relu(x @ w)
        return torch.relu(h @ u).squeeze(1)

    def loop() -> None:
        torch.sum((model(x) - given("numbers")[:, 0]) ** 2).backward()
        with torch.no_grad():
            made.append(model(x))

    changes = under({}, loop)
    assert changes.bare is not None
    under({"output": "drop"}, loop, told=changes.bare.survey())
    assert made[0].abs().max() == 0
    with torch.no_grad():
        assert torch.equal(made[1], (torch.relu(x @ w) @ u).squeeze(1))


def test_a_sound_loss_takes_the_place_of_one_by_hand() -> None:
    x, y = rows(), given("classes")

    def gradient(wanted: dict[str, Any], told: dict[str, Any] | None, loss: Any) -> tuple[Tensor, Changes]:
        w = torch.full((3, 4), 0.1, requires_grad=True)
        changes = under(wanted, lambda: loss(x @ w).backward(), told=told)
        assert w.grad is not None
        return w.grad, changes

    def odd(z: Tensor) -> Tensor:
        return -z[range(N), y].sum()

    _, changes = gradient({}, None, odd)
    assert changes.bare is not None
    found, _ = gradient({"loss": "sound"}, changes.bare.survey(), odd)
    expected, _ = gradient({}, None, lambda z: F.cross_entropy(z, y))
    assert torch.allclose(found, expected)


# -- what the watch sees of updates by hand ------------------------------------------------------------------------

MOVES = {
    "sound": ("p -= 0.01 * p.grad", "p.grad.zero_()", None),
    "momentum in the gradient": ("p -= 0.01 * p.grad", "p.grad.mul_(0.9)", None),
    "made anew": ("P[P.index(p)] = (p - 0.01 * p.grad).requires_grad_()", "p.grad = None", None),
    "never cleared": ("p.data -= 0.01 * p.grad", "pass", "missing-zero-grad"),
    "two batches a step": (
        "p -= 0.01 * p.grad if i % 2 else 0.0",
        "p.grad = None if i % 2 else p.grad",
        None,
    ),
    "along the gradient": ("p += 0.01 * p.grad", "p.grad = None", "gradient-ascent"),
    "another name": ("p = p - 0.01 * p.grad", "P[0].grad = None", "missing-step"),
}


@pytest.mark.parametrize("name", MOVES)
def test_updates_by_hand_that_miss_something_are_told_from_those_that_do_not(name: str) -> None:
    update, clear, code = MOVES[name]
    x, y = rows(), given("numbers")
    names: dict[str, Any] = {"P": [torch.full((3, 1), 0.5, requires_grad=True)], "torch": torch}
    with doctor(seconds=0.1) as visit:
        for i in range(24):
            squared(x @ names["P"][0], y).backward()
            names["i"] = i
            with torch.no_grad():
                exec(f"for p in list(P):\n    old, i = p, i\n    {update}\n    p = old\n    {clear}", names)
    assert [d.code for d in visit.diagnoses] == ([] if code is None else [code])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_likelihood_that_is_minimised_is_told_from_one_that_is_not(sign: float) -> None:
    x, y = rows(), given("classes")
    w = torch.full((3, 4), 0.1, requires_grad=True)
    with doctor(seconds=0.1) as visit:
        for _ in range(40):
            (sign * torch.log_softmax(x @ w, 1)[range(N), y].mean()).backward()
            with torch.no_grad():
                w -= 0.9 * w.grad  # type: ignore[operator, misc]
            w.grad = None
    assert [d.code for d in visit.diagnoses] == (["gradient-ascent"] if sign > 0 else [])


# -- scripts --------------------------------------------------------------------------------------------------

HEAD = """
import os
import torch
torch.manual_seed(int(os.environ.get("SUITE_SEED", 0)))
x = torch.randn(240, 4)
"""
EQUAL = (
    HEAD
    + """
label = (x[:, 0] * x[:, 1] > 0).long() + 2 * (x[:, 2] > 0).long()
W1 = torch.zeros(4, 24, requires_grad=True); b1 = torch.zeros(24, requires_grad=True)
W2 = torch.zeros(24, 4, requires_grad=True); b2 = torch.zeros(4, requires_grad=True)
def model(x):
    return torch.log_softmax(torch.tanh(x.mm(W1) + b1).mm(W2) + b2, dim=1)
for step in range(300):
    logp = model(x)
    loss = -logp[range(len(label)), label].mean()
    loss.backward()
    with torch.no_grad():
        for p in (W1, b1, W2, b2):
            p -= 1.0 * p.grad
            p.grad.zero_()
with torch.no_grad():
    print((model(x).argmax(1) == label).float().mean().item())
"""
)
CUT = (
    HEAD
    + """
y = x[:, 0] + x[:, 1] - x[:, 2] + 0.2 * torch.randn(240)
def layer(a, b):
    return (torch.randn(a, b) * (2 / a) ** 0.5).requires_grad_(), torch.zeros(b).requires_grad_()
W1, b1 = layer(4, 24)
W2, b2 = layer(24, 1)
def forward(x):
    h = torch.relu(x @ W1 + b1)
    return torch.relu(h @ W2 + b2).squeeze(1)
opt = torch.optim.RMSprop([W1, b1, W2, b2], lr=0.005)
for epoch in range(12):
    for i in torch.randperm(240).split(24):
        loss = torch.mean((forward(x[i]) - y[i]) ** 2)
        opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    print(((forward(x) - y) ** 2).mean().item())
"""
)
GOOD = (
    HEAD
    + """
y = x @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 0.5 * torch.randn(240)
w = torch.zeros(4, requires_grad=True); b = torch.zeros(1, requires_grad=True)
for step in range(150):
    i = torch.randint(0, 240, (40,))
    loss = ((x[i] @ w + b - y[i]) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad; b -= 0.1 * b.grad
        w.grad.zero_(); b.grad.zero_()
torch.save([w.detach(), b.detach(), torch.rand(2)], os.environ["SAVED"])
"""
)


def visited(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    monkeypatch.chdir(folder)
    monkeypatch.setitem(os.environ, "SAVED", str(folder / "saved.pt"))
    script = folder / "train.py"
    script.write_text(source)
    code, visit = watched_run(script, [], seconds=2.0)
    assert code == 0
    assert visit is not None
    return script, visit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "code", "low"), [(EQUAL, "bad-init", 0.3), (CUT, "output-activation", 0.1)]
)
@pytest.mark.usefixtures("no_blind_search")
def test_a_repair_on_bare_tensors_is_proven_and_runs_last(
    source: str,
    code: str,
    low: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    script, visit = visited(source, tmp_path, monkeypatch)
    assert visit.diagnoses[0].code == code
    found = repair(script, [], visit)
    assert found["accepted"], found
    assert str(found["rows"]) == "rows held out of training"
    assert found["interval"][0] > low
    assert len([one for one in found["trials"] if one["seed"]]) >= 3
    printed = [float(line) for line in capfd.readouterr().out.split()]
    assert len(printed) == 2
    assert (printed[1] > printed[0] + 0.3) if code == "bad-init" else (printed[1] < 0.5 * printed[0])


@pytest.mark.slow
@pytest.mark.usefixtures("no_blind_search")
def test_no_change_of_a_sound_training_on_bare_tensors_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, visit = visited(GOOD, tmp_path, monkeypatch)
    assert visit.healthy
    assert repair(script, [], visit)["before"] is None  # nothing is tried
    wrong = Diagnosis(
        "bad-init", "error", "it is not", 0.5, prescription=Prescription("", change={"fresh": True})
    )
    visit.diagnoses = [wrong]
    found = repair(script, [], visit)
    assert found["before"] > 0.8
    assert not found["accepted"], found


def test_watching_bare_tensors_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, visit = visited(GOOD, tmp_path, monkeypatch)
    watched = torch.load(tmp_path / "saved.pt")
    assert visit.watch.by_hand
    assert execute(script, []) == 0
    for a, b in zip(watched, torch.load(tmp_path / "saved.pt"), strict=True):
        assert torch.equal(a, b)


_DROPPED = """
import torch, torch.nn.functional as F
torch.manual_seed(0)
x = torch.randn(400, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
sizes = [8, 32, 2]
layers = [(torch.randn(i, o).mul(i ** -0.5).requires_grad_(), torch.zeros(o, requires_grad=True)) for i, o in zip(sizes, sizes[1:])]
def net(x, training):
    h = F.dropout(F.relu(x @ layers[0][0] + layers[0][1]), RATE, training=training)
    return h @ layers[1][0] + layers[1][1]
opt = torch.optim.Adam([p for pair in layers for p in pair], lr=1e-2)
for epoch in range(10):
    for b in torch.randperm(300).split(50):
        loss = F.cross_entropy(net(x[b], True), y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        print((net(x[300:], EVALUATED).argmax(1) == y[300:]).float().mean().item())
"""


@pytest.mark.parametrize(
    ("rate", "evaluated", "code"),
    [("0.9", "False", "over-regularised"), ("0.2", "True", "train-eval-mode"), ("0.2", "False", None)],
)
def test_dropouts_between_bare_tensors_are_heard(
    tmp_path: Path, rate: str, evaluated: str, code: str | None
) -> None:
    found = named_in(tmp_path, _DROPPED.replace("RATE", rate).replace("EVALUATED", evaluated))
    assert found == ([code] if code else [])
    assert F.dropout.__module__ == "torch.nn.functional"
    assert not hasattr(F.dropout, "__wrapped__")
