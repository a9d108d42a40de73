"""Outputs at each place of a sequence: lists are told apart by rows, scored, and judged by a reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from doctor.watched import named_in
from soundfit.doctor.places import IGNORED, Places, placed, placed_second
from soundfit.doctor.places_reference import any_reference, fit_places
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, row_scores, score, task_of
from soundfit.doctor.views import carried, moved_axis

shapes = st.tuples(st.integers(2, 6), st.integers(3, 9), st.integers(2, 5), st.integers(0, 10**6))


def _drawn(shape: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    n, places, classes, seed = shape
    torch.manual_seed(seed)
    return torch.randn(n, places, classes), torch.randint(0, classes, (n, places))


@given(shapes, st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_a_flat_list_finds_its_rows_whatever_was_cut_off(
    shape: tuple[int, int, int, int], first: int, last: int
) -> None:
    out, labels = _drawn(shape)
    n, width, classes, _ = shape
    if first + last >= width - 1:
        return
    cut = slice(first, width - last)
    found = placed("cross_entropy", out, out[:, cut].reshape(-1, classes), labels[:, cut].reshape(-1), n)
    assert found is not None
    places, asked = found
    assert torch.equal(asked, labels[:, cut])
    assert torch.equal(places.of_output(out), out[:, cut].movedim(-1, 1))
    listed = places.of_list(out[:, cut].reshape(-1, classes), n)
    assert listed is not None
    assert torch.equal(listed, places.of_output(out))


@given(shapes)
@settings(max_examples=60, deadline=None)
def test_what_a_mask_chose_goes_back_to_its_places(shape: tuple[int, int, int, int]) -> None:
    out, labels = _drawn(shape)
    mask = torch.rand(labels.shape) < 0.6
    mask[:, 0] = True
    mask[0, :2] = True
    found = placed("cross_entropy", out, out[mask], labels[mask], shape[0])
    if found is None:  # no more than one place a row
        assert int(mask.sum()) <= shape[0]
        return
    places, asked = found
    if int(mask.sum()) % shape[0]:
        assert torch.equal(asked, torch.where(mask, labels, IGNORED))
    wanted = float((out.argmax(-1) == labels)[mask].float().mean())
    task = Task("sequence", shape[2], shape[1])
    assert score(task, places.of_output(out), asked) == pytest.approx(wanted, abs=1e-6)


def test_turned_outputs_and_places_that_are_ignored_score_what_they_are() -> None:
    out, labels = _drawn((8, 7, 4, 3))
    labels[:, 5:] = 0  # padding
    found = placed("cross_entropy", out, out.transpose(1, 2), labels, 8, 0)
    assert found is not None
    places, asked = found
    task = task_of("cross_entropy", (torch.rand(8, 7, 2),), asked, 4)
    assert task.kind == "sequence"
    hits = (out.argmax(-1) == labels)[labels != 0].float().mean()
    assert score(task, places.of_output(out), asked) == pytest.approx(float(hits))
    parts = row_scores(task, places.of_output(out), asked)
    assert parts is not None
    assert torch.equal(asked[:, 5:], torch.full((8, 2), IGNORED))


def test_a_logarithm_taken_by_the_script_stands_in_nobodys_way() -> None:
    out, labels = _drawn((8, 7, 4, 5))
    listed = torch.log_softmax(out.reshape(-1, 4), 1)
    found = placed("nll_loss", out, listed, labels.reshape(-1), 8)
    assert found is not None
    assert torch.equal(found[1], labels)
    assert torch.equal(found[0].of_output(out), out.movedim(-1, 1))
    assert placed("cross_entropy", out, out.movedim(-1, 1), labels, 8) is not None
    native = out.movedim(-1, 1).contiguous()
    assert placed("cross_entropy", native, native, labels, 8) is None  # has its form already


def test_numbers_in_a_list_are_put_together_by_rows() -> None:
    out, y = torch.randn(6, 3), torch.randn(6, 3)
    found = placed("mse_loss", out, out.reshape(-1), y.reshape(-1), 6)
    assert found is not None
    assert torch.equal(found[1], y)
    assert found[0].of_output(out) is out


def test_pairs_and_single_labels_have_no_places() -> None:
    out, labels = torch.randn(6, 4), torch.randint(0, 4, (6,))
    assert placed("cross_entropy", out, out, labels, 6) is None
    assert placed("cross_entropy", torch.randn(6, 5), torch.randn(12, 6), torch.arange(12) % 6, 6) is None


def test_the_reference_tags_and_does_not_look_ahead() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 6, (300, 10), generator=generator)
    tags = (x + x.roll(1, 1) + x.roll(-1, 1)) % 3  # needs the neighbours on both sides
    tagged = fit_places(Task("sequence", 3, 10), Rows((x,), tags), Places(), seconds=5.0)
    assert tagged is not None
    assert tagged.held_out > 0.75
    drawn = torch.randint(0, 6, (300, 11), generator=generator)  # what comes next cannot be told
    ahead = fit_places(Task("sequence", 6, 10), Rows((drawn[:, :-1],), drawn[:, 1:]), Places(), seconds=3.0)
    assert ahead is not None
    assert ahead.held_out < 0.25
    leaked = fit_places(Task("sequence", 6, 11), Rows((drawn, drawn.clone()), drawn), Places(), seconds=1.0)
    assert leaked is None  # the targets were handed to the model beside nothing else


_SORTER = """
import math, torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
class Attention(nn.Module):
    def __init__(self, d=32, heads=4):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (SPLIT for t in self.qkv(x).chunk(3, -1))
        out = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(D // self.heads), -1) @ v
        return self.proj(MERGE)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(6, 32), nn.Parameter(0.02 * torch.randn(1, 7, 32))
        self.att, self.att2 = Attention(), Attention()
        self.mlp = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
        self.out = nn.Linear(32, 6)
    def forward(self, idx):
        x = self.tok(idx) + self.pos
        x = x + self.att(x)
        x = x + self.mlp(x)
        return self.out(x + self.att2(x))
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
data = torch.randint(0, 6, (1100, 7))
for epoch in range(12):
    for b in torch.randperm(900).split(50):
        loss = F.cross_entropy(net(data[b]).reshape(-1, 6), data[b].sort(1).values.reshape(-1))
        opt.zero_grad()
        loss.backward()
        opt.step()
net.eval()
with torch.no_grad():
    print((net(data[900:]).argmax(-1) == data[900:].sort(1).values).float().mean())
"""
_SOUND = ("t.view(B, T, self.heads, -1).transpose(1, 2)", "out.transpose(1, 2).reshape(B, T, D)")
_CUT = ("t.reshape(B, self.heads, T, -1)", "out.reshape(B, T, D)")


@pytest.mark.parametrize(("split", "merge", "named"), [(*_CUT, True), (*_SOUND, False)])
def test_heads_split_by_a_view_across_places_are_named(
    tmp_path: Path, split: str, merge: str, named: bool
) -> None:
    found = named_in(tmp_path, _SORTER.replace("SPLIT", split).replace("MERGE", merge), 12.0)
    assert ("shape-broadcast" in found) is named
    assert bool(found) is named


@given(st.lists(st.integers(2, 6), min_size=3, max_size=4), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_views_that_only_split_and_join_neighbours_cut_nothing(sizes: list[int], k: int) -> None:
    at = k % (len(sizes) - 1)
    joined = [*sizes[:at], sizes[at] * sizes[at + 1], *sizes[at + 2 :]]
    assert moved_axis(sizes, joined) is None
    assert moved_axis(joined, sizes) is None
    assert moved_axis(sizes, sizes) is None


@given(st.integers(2, 4), st.integers(3, 6), st.integers(2, 4), st.integers(3, 5))
@settings(max_examples=60, deadline=None)
def test_a_carried_axis_is_what_transposing_gives(n: int, places: int, heads: int, size: int) -> None:
    if places in (heads, size, heads * size):  # the view could mean either
        return
    x = torch.arange(n * places * heads * size).reshape(n, places, heads * size)
    view, reshape = (carried(f, lambda: True) for f in (torch.Tensor.view, torch.Tensor.reshape))
    split = x.reshape(n, places, heads, size).transpose(1, 2)
    assert torch.equal(view(x, n, heads, places, size), split)
    assert torch.equal(reshape(split, n, places, heads * size), x)
    assert torch.equal(view(x, n, places, heads, size), x.reshape(n, places, heads, size))


_WRITER = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
step = torch.randint(0, 2, (600, 12))
tokens = (torch.randint(0, 7, (600, 1)) + (1 + 2 * step).cumsum(1)) % 7  # the next one is one of two
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(7, 24)
        self.rnn = nn.GRU(24, 24, batch_first=True, bidirectional=BOTH)
        self.out = nn.Linear(24 * (2 if BOTH else 1), 7)
    def forward(self, idx):
        return self.out(self.rnn(self.tok(idx))[0])
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(12):
    for b in torch.randperm(500).split(25):
        logits = net(tokens[b, :-1])
        loss = F.cross_entropy(logits.reshape(-1, 7), tokens[b, 1:].reshape(-1))
        opt.zero_grad()
        loss.backward()
        opt.step()
"""


@pytest.mark.parametrize("both", [True, False])
def test_a_model_that_sees_the_token_that_it_is_to_tell_is_named(tmp_path: Path, both: bool) -> None:
    found = named_in(tmp_path, _WRITER.replace("BOTH", str(both)))
    assert (found[:1] == ["split-leak"]) is both
    assert not [code for code in found if code not in ("split-leak", "noise-limited")]


_PLACES_FIRST = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
step = torch.randint(0, 2, (600, 12))
tokens = (torch.randint(0, 7, (600, 1)) + (1 + 2 * step).cumsum(1)) % 7
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn, self.out = nn.Embedding(7, 24), nn.LSTM(24, 24), nn.Linear(24, 7)
    def forward(self, idx):
        h = self.rnn(self.tok(idx))[0]
        return RETURNED
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=RATE)
for epoch in range(14):
    for b in torch.randperm(500).split(25):
        x = tokens[b].t()
        loss = LOSS
        opt.zero_grad()
        loss.backward()
        opt.step()
"""
_FORMS = {
    "one label": ("self.out(h[-1])", "F.cross_entropy(net(x), (x[-1] + x[-2]) % 7)"),
    "each place": (
        "self.out(h)",
        "F.cross_entropy(net(x[:-1]).reshape(-1, 7), x[1:].reshape(-1))",
    ),
    "a line": ("self.out(h).view(-1, 7)", "F.cross_entropy(net(x[:-1]), x[1:].reshape(-1))"),
}


@pytest.mark.parametrize(
    ("form", "rate", "sound"),
    [
        ("one label", "1e-2", True),
        ("one label", "1e-6", False),
        ("each place", "1e-6", False),
        ("a line", "1e-2", True),
    ],
)
def test_rows_on_the_second_axis_are_rows(tmp_path: Path, form: str, rate: str, sound: bool) -> None:
    returned, loss = _FORMS[form]
    text = _PLACES_FIRST.replace("RETURNED", returned).replace("LOSS", loss).replace("RATE", rate)
    found = named_in(tmp_path, text)
    assert [code for code in found if code != "noise-limited"] == ([] if sound else ["lr-too-low"])


@given(st.integers(2, 5), st.integers(2, 6), st.integers(2, 4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_lists_of_places_first_are_read_by_rows(n: int, places: int, classes: int, line: bool) -> None:
    out, labels = torch.randn(places, n, classes), torch.randint(0, classes, (places, n))
    returned = out.reshape(-1, classes) if line else out
    found = placed_second("cross_entropy", returned, out.reshape(-1, classes), labels.reshape(-1), n)
    assert found is not None
    form, asked = found
    assert torch.equal(asked, labels.t())
    assert torch.equal(form.of_output(returned, n), out.permute(1, 2, 0))
    assert torch.equal(form.of_target(labels.reshape(-1), n), labels.t())
    listed = form.of_list(out.reshape(-1, classes), n)
    assert listed is not None
    assert torch.equal(listed, out.permute(1, 2, 0))


def test_maps_of_zeros_and_ones_have_a_reference_of_places() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 1, 12, 12, generator=generator)
    around = torch.nn.functional.avg_pool2d(x, 3, 1, 1)  # a straight map of the neighbours, then a threshold
    y = ((around > 0.2) ^ (around < -0.3)).float()
    task = task_of("binary_cross_entropy_with_logits", (x,), y, 1)
    assert task.kind == "multilabel"
    made = any_reference(task, Rows((x,), y), None, seconds=6.0)
    assert made is not None
    assert made.by_model.keys() == {"convolutions"}
    assert made.held_out > 0.85
