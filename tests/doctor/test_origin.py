"""What a script's text says of its rows, and what the graph says where no module makes the output."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from soundfit.doctor.call import call_of
from soundfit.doctor.direct import DirectForwards
from soundfit.doctor.graph import sign_to
from soundfit.doctor.origin import divides_bytes, ranks_alone, shuffled_apart
from soundfit.doctor.reach import reach_of
from soundfit.doctor.reference import linear_copy
from soundfit.doctor.rows import Rows, RowStore, by_chance, unseen
from soundfit.doctor.scores import task_of
from soundfit.doctor.thinning import left, rates

F = nn.functional

APART = [
    "np.random.shuffle(x)\nnp.random.shuffle(y)",
    "def load():\n    random.shuffle(self.x)\n    print('half')\n    random.shuffle(self.y)",
    "x = x[np.random.permutation(len(x))]\ny = y[np.random.permutation(len(y))]",
    "x = np.random.permutation(x)\ny = np.random.permutation(y)",
    "features = features.sample(frac=1)\ntarget = target.sample(frac=1)",
]
TOGETHER = [
    "order = np.random.permutation(len(x))\nx, y = x[order], y[order]",
    "np.random.seed(3)\nnp.random.shuffle(x)\nnp.random.seed(3)\nnp.random.shuffle(y)",
    "x = x.sample(frac=1, random_state=0)\ny = y.sample(frac=1, random_state=0)",
    "pairs = list(zip(x, y))\nrandom.shuffle(pairs)",
    "a = torch.randperm(n)\nb = torch.randperm(m)",
    "np.random.shuffle(rows)\n" + "print(1)\n" * 6 + "np.random.shuffle(other)",
    "x = = 3",
]


@pytest.mark.parametrize("text", APART)
def test_arrays_shuffled_one_after_the_other_are_seen(text: str) -> None:
    assert shuffled_apart(text) == len(text.splitlines())


@pytest.mark.parametrize("text", TOGETHER)
def test_one_order_for_both_is_none(text: str) -> None:
    assert shuffled_apart(text) is None


def test_a_division_of_bytes_is_seen() -> None:
    assert divides_bytes("a = 1\nx = x / 255") == 2
    assert divides_bytes("x /= 255.0") == 1
    assert divides_bytes("x = x.astype('float32') // 256") == 1
    assert divides_bytes("x = 255 / x") is None
    assert divides_bytes("x = = 3") is None


@pytest.mark.parametrize("loss", ["pred - y", "y - pred", "call"])
@pytest.mark.parametrize("act", [torch.relu, torch.sigmoid, torch.tanh])
def test_targets_beyond_an_activation_are_counted_from_the_graph(loss: str, act: Any) -> None:
    torch.manual_seed(0)
    weight, y = torch.randn(3, 1, requires_grad=True), torch.linspace(-3, 3, 60)
    pred = act(torch.randn(60, 3) @ weight).squeeze(1)
    if loss == "call":
        call = types.SimpleNamespace(prediction=pred, target=y)
        found = reach_of(F.mse_loss(pred, y), call)  # type: ignore[arg-type]
    else:
        difference = pred - y if loss == "pred - y" else y - pred
        found = reach_of((difference**2).mean(), None)
    assert found is not None
    low, high = {torch.relu: (0, 9), torch.sigmoid: (0, 1), torch.tanh: (-1, 1)}[act]
    assert found["beyond"] == pytest.approx(float(((y < low) | (y > high)).double().mean()))
    assert found["low"] == pytest.approx(-3, abs=1e-5)


def test_a_plain_output_and_two_learned_sides_have_no_reach() -> None:
    weight = torch.randn(3, 1, requires_grad=True)
    x = torch.randn(9, 3)
    assert reach_of(((x @ weight - 1.0) ** 2).mean(), None) is None
    assert reach_of(((torch.relu(x @ weight) - (x + 1) @ weight) ** 2).mean(), None) is None


def test_the_sign_of_a_similarity_in_its_loss() -> None:
    a, b = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    near = F.cosine_similarity(a, b)
    assert sign_to(near.mean(), near.grad_fn) == 1
    assert sign_to(-near.sum(), near.grad_fn) == -1
    assert sign_to((1 - near).mean(), near.grad_fn) == -1
    assert sign_to((near**2).mean(), near.grad_fn) is None


def test_offsets_of_a_bag_are_no_rows() -> None:
    text, offsets, y = torch.randint(0, 9, (40,)), torch.tensor([0, 10, 22, 31]), torch.zeros(4)
    assert call_of((text, offsets), {}, y) is None
    ids, edges = torch.arange(4), torch.randint(0, 4, (2, 7))
    assert call_of((ids, edges), {}, y) is not None


def test_evaluated_training_rows_are_left_out_where_others_are_left() -> None:
    x = torch.randn(100, 3)
    train, mixed = Rows((x[:60],), torch.zeros(60)), Rows((x,), torch.arange(100.0))
    assert torch.equal(unseen(mixed, train).targets, torch.arange(60.0, 100.0))
    assert len(unseen(Rows((x[:70],), torch.zeros(70)), train)) == 70


def test_short_codes_come_back_by_chance_and_numbers_do_not() -> None:
    def store(rows: torch.Tensor) -> RowStore:
        out = RowStore()
        for i, part in enumerate(rows.split(50)):
            out.keep((part,), torch.zeros(len(part)), i)
        return out

    torch.manual_seed(0)
    assert by_chance(store(torch.randint(0, 2, (400, 5))))
    assert not by_chance(store(torch.randint(0, 50, (400, 12))))
    twice = torch.randn(200, 5).repeat(2, 1)
    assert not by_chance(store(twice[torch.randperm(400)]))


def test_a_linear_copy_knows_what_can_be_squeezed() -> None:
    torch.manual_seed(0)
    flat = torch.randn(600, 2) @ torch.randn(2, 30)
    assert linear_copy(flat, 2) > 0.99
    assert linear_copy(torch.randn(600, 30), 2) < 0.2


def test_a_modules_dropout_counts_once() -> None:
    calls = [
        (0.5, True, True, None),
        (0.2, True, True, None),
        (0.9, False, True, None),
        (0.8, True, False, None),
    ]
    found = rates([{"p": 0.5}, {"p": 0.5}], calls)
    assert sorted(found) == [0.2, 0.5, 0.5]
    assert left(found) == pytest.approx(0.2)


class Net(nn.Module):
    """A line, called by its ``forward`` or not."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line.forward(x)


@pytest.mark.parametrize(("text", "calls"), [("out = model.forward(x)", 1), ("out = model(x)", 0)])
def test_a_direct_forward_is_seen_where_the_script_makes_one(
    text: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "train.py"
    script.write_text(text)
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    own, seen = Net.forward, []
    original = nn.Module.__call__
    monkeypatch.setattr(nn.Module, "__call__", lambda m, *a: (seen.append(m), original(m, *a))[1])
    direct = DirectForwards()
    model = Net()
    direct.wrap(model)
    x = torch.randn(4, 2)
    assert torch.equal(model.forward(x), model.line(x))
    assert seen.count(model) == calls
    model(x)
    assert seen.count(model) == calls + 1
    model.register_forward_hook(lambda *_: None)
    model.forward(x)  # a hook would tell: the call stays direct
    assert seen.count(model) == calls + 1
    direct.restore()
    assert Net.forward is own


def test_several_ones_in_a_row_are_labels_that_stand_together() -> None:
    x, one = torch.randn(50, 4), F.one_hot(torch.arange(50) % 3).float()
    assert task_of("cross_entropy", (x,), one, 3).kind == "one-hot"
    assert task_of("cross_entropy", (x,), one * 0.8 + 0.2 / 3, 3).kind == "one-hot"
    assert task_of("cross_entropy", (x,), (torch.rand(50, 3) > 0.4).float(), 3).kind == "multilabel"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("p = model(x).sigmoid()\nprint(roc_auc_score(y, p))", 2),
        ("print(metrics.average_precision_score(y, p), (p > 0.5).sum())", None),
        ("print(roc_auc_score(y, p))\nprint(accuracy_score(y, logits.argmax(1)))", None),
        ("print(log_loss(y, p))\nif hour > 0:\n    pass", 1),
        ("print(((net(x) > 0) == y).float().mean(), brier_score_loss(y, p))", None),
        ("print('roc_auc_score')", None),
        ("def (", None),
    ],
)
def test_scores_by_rank_alone(text: str, line: int | None) -> None:
    assert ranks_alone(text) == line
