"""Rows read as places: a layer that takes time first was given rows first, with an answer at each place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import found_in

from soundfit.doctor.rows import RowStore, dealt_across

_TAGGER = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
words = torch.randint(0, 16, (500, 10))
rule = torch.randint(0, 4, (16, 16), generator=torch.Generator().manual_seed(3))
before = torch.cat([torch.zeros(500, 1, dtype=torch.long), words[:, :-1]], 1)
tags = rule[words // 4, before // 4]
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn, self.out = nn.Embedding(16, 12), LAYER, nn.Linear(24, 4)
    def forward(self, x):
        return FORWARD
net = Tagger()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(8):
    for b in torch.randperm(400).split(25):
        x, y = BATCH
        loss = F.cross_entropy(net(x).reshape(-1, 4), y.reshape(-1))
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        x, y = HELD
        print((net(x).argmax(-1) == y).float().mean().item())
"""
_ROWS_FIRST = "words[b], tags[b]", "words[400:], tags[400:]"
_TURNED = "words[b].t(), tags[b].t()", "words[400:].t(), tags[400:].t()"
_AS_READ = "self.out(self.rnn(self.tok(x))[0])"


@pytest.mark.parametrize(
    ("layer", "forward", "batches", "sound"),
    [
        ("nn.GRU(12, 24)", _AS_READ, _ROWS_FIRST, False),
        ("nn.LSTM(12, 12, bidirectional=True)", _AS_READ, _ROWS_FIRST, False),
        ("nn.GRU(12, 24, batch_first=True)", _AS_READ, _ROWS_FIRST, True),
        ("nn.GRU(12, 24)", _AS_READ, _TURNED, True),
        ("nn.GRU(12, 24)", "self.out(self.rnn(self.tok(x.t()))[0]).transpose(0, 1)", _ROWS_FIRST, True),
    ],
)
def test_taggers_that_read_from_row_to_row(
    tmp_path: Path, layer: str, forward: str, batches: tuple[str, str], sound: bool
) -> None:
    text = _TAGGER.replace("LAYER", layer).replace("FORWARD", forward)
    found = found_in(tmp_path, text.replace("BATCH", batches[0]).replace("HELD", batches[1]))
    if sound:
        assert [d.code for d in found if d.code != "noise-limited"] == []
    else:
        assert found[0].code == "shape-broadcast"
        assert found[0].where.line == 11


@given(st.integers(30, 60), st.integers(3, 8), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_rows_come_back_along_the_axis_that_they_are_dealt_on(n: int, places: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 50, (n, places, 2), generator=g)
    for turned in (False, True):
        store = RowStore()
        for step in range(12):
            part = x[torch.randperm(n, generator=g)[: n // 3]]
            seen = part.transpose(0, 1) if turned else part
            store.keep((seen,), seen[..., 0], step)
        along, across = dealt_across(store)
        assert (across if turned else along) > 0.9
        assert (along if turned else across) < 0.1
        if turned:
            store.turn()
            assert dealt_across(store)[0] > 0.9


_SCRAMBLED = _TAGGER.replace("LAYER", "nn.GRU(12, 24, batch_first=True)").replace("FORWARD", _AS_READ)


@pytest.mark.parametrize(("turned", "sound"), [("view(-1, 4, 10)", False), ("transpose(1, 2)", True)])
def test_outputs_are_not_scrambled_between_model_and_loss(tmp_path: Path, turned: str, sound: bool) -> None:
    text = _SCRAMBLED.replace("BATCH", _ROWS_FIRST[0]).replace("HELD", _ROWS_FIRST[1])
    text = text.replace("net(x).reshape(-1, 4), y.reshape(-1)", f"net(x).{turned}, y")
    found = [d for d in found_in(tmp_path, text) if d.code != "noise-limited"]
    assert [d.code for d in found[:1]] == ([] if sound else ["shape-broadcast"])
    if not sound:
        assert found[0].where.line == 19
        assert found[0].prescription.change == {"axes": True}
