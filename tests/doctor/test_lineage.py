"""Jobs that go on from a checkpoint: rows of earlier parts count as trained on, other folds' do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from watched import named_in

from soundfit.doctor.lineage import with_earlier
from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord, weights_of
from soundfit.records import Place

_PARTS = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
x = torch.randn(600, 10)
y = ((x[:, :3].sum(1) + 0.8 * torch.randn(600)) > 0).long()
kept = None
for part in range(3):
    SEED
    net = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 2))
    RESUME
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    order = torch.randperm(600, generator=GENERATOR)
    train, val = order[:400], order[400:]
    for epoch in range(8):
        for b in train[torch.randperm(400)].split(40):
            loss = F.cross_entropy(net(x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            print((net(x[val]).argmax(1) == y[val]).float().mean().item())
    kept = {k: v.clone() for k, v in net.state_dict().items()}
"""
_GO_ON = "net.load_state_dict(kept) if kept else None"
_ANEW, _KEPT = "torch.Generator().manual_seed(part)", "torch.Generator().manual_seed(7)"


@pytest.mark.parametrize(
    ("seed", "resume", "generator", "leaks"),
    [
        ("pass", _GO_ON, _ANEW, True),
        ("pass", _GO_ON, _KEPT, False),
        ("pass", "pass", _ANEW, False),  # folds
        ("torch.manual_seed(1)", "pass", _ANEW, False),  # folds that all begin with the same weights
    ],
)
def test_a_split_that_is_drawn_anew_at_each_resume_leaks(
    tmp_path: Path, seed: str, resume: str, generator: str, leaks: bool
) -> None:
    text = _PARTS.replace("SEED", seed).replace("RESUME", resume).replace("GENERATOR", generator)
    assert ("split-leak" in named_in(tmp_path, text)) == leaks


@pytest.mark.parametrize("follows", [True, False])
def test_rows_of_a_model_that_another_goes_on_from_are_its_own(follows: bool) -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    before = RootRecord(first, Place(), weights_of(first), train_calls=9)
    with torch.no_grad():
        first.weight += 0.3 * torch.randn(3, 4)
    if follows:
        second.load_state_dict(first.state_dict())
    after = RootRecord(second, Place(), weights_of(second), train_calls=9)
    x, z = torch.randn(30, 4), torch.randn(20, 4)
    before.train_rows.keep((x,), torch.zeros(30), 1)
    records = {id(one.module): one for one in (before, after)}
    assert len(with_earlier(Rows((z,), torch.zeros(20)), after, records)) == (50 if follows else 20)
