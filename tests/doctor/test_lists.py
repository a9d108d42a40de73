"""Lists laid out in different orders: named where a loss compares them, and turned in a repaired run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from watched import found_in

from soundfit.doctor.lists import Lists, turned_lists
from soundfit.doctor.replaced import Replaced

_TAGGER = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
words = torch.randint(0, 12, (300, 9)); tags = words % 3
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn, self.out = nn.Embedding(12, 8), nn.GRU(8, 16), nn.Linear(16, 3)
    def forward(self, x):
        return self.out(self.rnn(self.tok(x.t()))[0])
net, judge = Tagger(), nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(6):
    for b in torch.randperm(240).split(20):
        scores, y = net(words[b]), tags[b]
        loss = LOSS
        opt.zero_grad()
        loss.backward()
        opt.step()
"""


@pytest.mark.parametrize(
    "loss",
    [
        "judge(scores.reshape(-1, 3), y.reshape(-1))",
        "F.cross_entropy(scores.flatten(0, 1), y.flatten(), label_smoothing=0.1)",
        "F.nll_loss(F.log_softmax(scores.view(-1, 3), 1), y.reshape(-1).long())",
        "F.cross_entropy(input=torch.reshape(scores, (-1, 3)), target=y.reshape(-1))",
    ],
)
def test_places_first_and_rows_first_are_not_compared_line_by_line(tmp_path: Path, loss: str) -> None:
    found = found_in(tmp_path, _TAGGER.replace("LOSS", loss), 3.0)
    assert found[0].code == "shape-broadcast"
    assert found[0].where.line == 16
    assert "different orders" in found[0].cause


@pytest.mark.parametrize(
    "loss",
    [
        "judge(scores.transpose(0, 1).reshape(-1, 3), y.reshape(-1))",
        "judge(scores.reshape(-1, 3), y.t().reshape(-1))",
        "judge(scores.permute(1, 2, 0), y)",
        "judge(scores.transpose(0, 1).flatten(0, 1), y.flatten())",
    ],
)
def test_lists_of_one_order_are_left_alone(tmp_path: Path, loss: str) -> None:
    assert [d.cause for d in found_in(tmp_path, _TAGGER.replace("LOSS", loss), 3.0)] == []


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 4))
def test_a_turned_list_is_what_the_same_order_gives(rows: int, places: int, classes: int) -> None:
    scores, y = torch.randn(places, rows, classes), torch.randint(0, classes, (rows, places))
    right = F.cross_entropy(scores.transpose(0, 1).reshape(-1, classes), y.reshape(-1))
    wrong = F.cross_entropy(scores.reshape(-1, classes), y.reshape(-1))
    replaced = Replaced()
    turned_lists(replaced.put)
    try:
        made = F.cross_entropy(scores.reshape(-1, classes), y.reshape(-1))
        same = F.cross_entropy(scores.transpose(0, 1).reshape(-1, classes), y.reshape(-1))
    finally:
        replaced.restore()
    # Of a square either order may be meant.
    torch.testing.assert_close(made, right if rows != places else wrong)
    torch.testing.assert_close(same, right)
    assert torch.equal(F.cross_entropy(scores.reshape(-1, classes), y.reshape(-1)), wrong)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_only_lists_of_two_axes_are_known(sizes: list[int]) -> None:
    lists, x = Lists(), torch.zeros(sizes)
    out = x.flatten(0, 1)
    lists.lay_out(x, out)
    assert lists.axes(out) == (tuple(sizes[:2]) if min(sizes[:2]) > 1 else None)
    assert lists.axes(x) is None
    for small in (torch.ones(1), torch.ones(1, 1)):  # nothing to lay out
        lists.lay_out(small, small.reshape(()))
        lists.lay_out(small, small.view(-1))


_PIXELS = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
marks = (torch.rand(200, 8, 6) * 3).long()
pictures = F.one_hot(marks, 3).movedim(-1, 1) + 0.1 * torch.randn(200, 3, 8, 6)
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
judge = nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(8):
    for b in torch.randperm(160).split(20):
        scores, y = net(pictures[b]), marks[b]
        loss = LOSS
        opt.zero_grad()
        loss.backward()
        opt.step()
"""


@pytest.mark.parametrize(
    ("loss", "sound"),
    [
        ("judge(scores.contiguous().view(-1, 3), y.view(-1))", False),
        ("F.nll_loss(F.log_softmax(scores.reshape(-1, 3), 1), y.flatten())", False),
        ("judge(scores.permute(0, 2, 3, 1).reshape(-1, 3), y.view(-1))", True),
        ("judge(scores, y)", True),
        ("judge(scores.mean((2, 3), keepdim=True).view(-1, 3), y[:, 0, 0])", True),
    ],
)
def test_lines_that_hold_places_instead_of_classes_are_named(tmp_path: Path, loss: str, sound: bool) -> None:
    found = found_in(tmp_path, _PIXELS.replace("LOSS", loss), 2.0)
    assert [d.code for d in found[:1] if d.code == "shape-broadcast"] == (
        [] if sound else ["shape-broadcast"]
    )
    if not sound:
        assert "other places than their labels" in found[0].cause
        assert found[0].where.line == 12


@given(st.integers(1, 4), st.integers(2, 4), st.lists(st.integers(1, 5), min_size=1, max_size=2))
def test_a_cut_list_is_what_the_axis_moved_to_the_end_gives(
    rows: int, classes: int, places: list[int]
) -> None:
    scores, y = torch.randn(rows, classes, *places), torch.randint(0, classes, (rows, *places))
    right = F.cross_entropy(scores, y)
    replaced = Replaced()
    turned_lists(replaced.put)
    try:
        made = F.cross_entropy(scores.reshape(-1, classes), y.reshape(-1))
        same = F.cross_entropy(scores.movedim(1, -1).reshape(-1, classes), y.reshape(-1))
    finally:
        replaced.restore()
    if places[-1] != classes:  # else the last axis may be meant
        torch.testing.assert_close(made, right)
    if len(places) == 1 or places[0] != classes:
        torch.testing.assert_close(same, right)
