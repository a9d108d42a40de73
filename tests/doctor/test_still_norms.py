"""Norms that start at zero: a fault before a ReLU, a usual start at the end of a branch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from watched import found_in

from soundfit.doctor.roots import Roots

_BRANCHES = """
import torch, torch.nn as nn
torch.manual_seed(0)
x = torch.randn(600, 8)
y = ((x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 0.5).long())
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(24, 24), nn.BatchNorm1d(24), nn.Linear(24, 24)
        self.end = nn.BatchNorm1d(24)
        START
    def forward(self, x):
        return x + BRANCH
net = nn.Sequential(nn.Linear(8, 24), Block(), Block(), nn.ReLU(), nn.Linear(24, 3))
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(20):
    net.train()
    for i in torch.randperm(450).split(50):
        opt.zero_grad()
        nn.functional.cross_entropy(net(x[i]), y[i]).backward()
        opt.step()
net.eval()
print((net(x[450:]).argmax(1) == y[450:]).float().mean())
"""
_INSIDE = "self.last(torch.relu(self.norm(self.first(x))))"
_AT_THE_END = "self.end(self.last(torch.relu(self.first(x))))"


def _named(tmp_path: Path, start: str, branch: str) -> bool:
    found = found_in(tmp_path, _BRANCHES.replace("START", start).replace("BRANCH", branch))
    return any(d.code == "bad-init" and "norms" in d.evidence for d in found)


def test_norms_that_a_relu_keeps_at_zero_are_named(tmp_path: Path) -> None:
    assert _named(tmp_path, "nn.init.zeros_(self.norm.weight)", _INSIDE)


@pytest.mark.parametrize(
    ("start", "branch"),
    [
        ("pass", _INSIDE),
        ("nn.init.zeros_(self.last.weight)", _INSIDE),
        ("nn.init.zeros_(self.end.weight)", _AT_THE_END),
        # A norm that nobody is to teach.
        ("nn.init.zeros_(self.norm.weight); self.norm.requires_grad_(False)", _INSIDE),
    ],
)
def test_sound_starts_of_branches_are_not_named(tmp_path: Path, start: str, branch: str) -> None:
    assert not _named(tmp_path, start, branch)


def test_a_sleeping_norm_is_woken_and_others_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    nn.init.zeros_(net[1].weight)
    before = net[3].weight.detach().clone()
    roots = Roots({"wake": ["1.weight"]}, {"model": "Sequential", "row_shape": [4]})
    roots.knows(net, torch.randn(2, 4))
    assert torch.equal(net[1].weight, torch.ones(3))
    assert torch.equal(net[3].weight, before)
