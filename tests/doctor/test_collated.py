"""Collate functions that sort inputs: their labels have to come along."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence
from watched import found_in

from soundfit.doctor.collated import _parted, aligned

_WORDS = """
import torch, torch.nn as nn, torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader
torch.manual_seed(0)
kinds = torch.randint(0, 3, (400,)).tolist()
words = [(torch.randint(1 + 4 * k, 9 + 4 * k, (int(torch.randint(5, 12, ())),)), k) for k in kinds]
def collate(batch):
    SORT
    lengths = torch.tensor([len(w) for w in texts])
    return pad_sequence(texts, batch_first=True), lengths, torch.tensor(labels)
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn, self.out = nn.Embedding(20, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 3)
    def forward(self, x, lengths):
        return self.out(self.rnn(pack_padded_sequence(self.tok(x), lengths, batch_first=True))[1][-1])
net = Reader()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(5):
    for x, lengths, y in DataLoader(words[:320], batch_size=20, shuffle=True, collate_fn=collate):
        loss = F.cross_entropy(net(x, lengths), y)
        opt.zero_grad(); loss.backward(); opt.step()
"""
_FAULT = "texts, labels = zip(*batch); texts = sorted(texts, key=len, reverse=True)"
_SOUND = "batch = sorted(batch, key=lambda one: len(one[0]), reverse=True); texts, labels = zip(*batch)"


@pytest.mark.parametrize(("sort", "codes"), [(_FAULT, ["labels-damaged"]), (_SOUND, [])])
def test_labels_that_stay_behind_are_named(sort: str, codes: list[str], tmp_path: Path) -> None:
    found = found_in(tmp_path, _WORDS.replace("SORT", sort), 3.0)
    assert [d.code for d in found][:1] == codes
    if codes:
        assert "put together" in found[0].cause
        assert found[0].where.line == 8


def _collate(batch: list[tuple[torch.Tensor, int]], together: bool) -> tuple[torch.Tensor, torch.Tensor]:
    if together:
        batch = sorted(batch, key=lambda one: len(one[0]))
    texts, labels = zip(*batch, strict=True)
    return pad_sequence(sorted(texts, key=len), batch_first=True), torch.tensor(labels)


@given(st.lists(st.integers(3, 12), min_size=2, max_size=12), st.integers(0, 99))
def test_what_is_aligned_is_what_was_put_together_right(lengths: list[int], seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    items = [(torch.randint(1, 1000, (n,), generator=g), i) for i, n in enumerate(lengths)]
    right, wrong = _collate(items, True), _collate(items, False)
    made = aligned(lambda batch: _collate(batch, False))(items)
    if len({(len(x), *x.tolist()[:3]) for x, _ in items}) == len(items):  # no text begins as another does
        assert torch.equal(made[1], right[1])
        assert (_parted(items, wrong) is None) == torch.equal(wrong[1], right[1])
    assert torch.equal(made[0], right[0])
    assert _parted(items, right) is None
    assert _parted([x for x, _ in items], right[0]) is None
