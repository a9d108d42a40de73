"""Weights that are loaded under names that the model does not have: none arrives, and nothing says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from watched import found_in

from soundfit.doctor.changes import Changes
from soundfit.doctor.once import renamed

_LOADED = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
x = torch.randn(500, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
def body():
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.out = body(), nn.Linear(32, 2)
    def forward(self, x):
        return self.out(self.backbone(x))
class Second(nn.Module):
    def __init__(self):
        super().__init__()
        self.NAME, self.head = body(), nn.Linear(32, 2)
    def forward(self, x):
        return self.head(self.NAME(x))
def fit(net, params, n):
    opt = torch.optim.Adam(params, lr=1e-2)
    for epoch in range(n):
        for b in torch.randperm(400).split(40):
            loss = F.cross_entropy(net(x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
first, net = First(), Second()
fit(first, first.parameters(), 15)
kept = {k: v.clone() for k, v in first.state_dict().items() if k.startswith("backbone")}
net.load_state_dict(kept, strict=False)
fit(net, net.head.parameters(), 10)
with torch.no_grad():
    print((net(x[400:]).argmax(1) == y[400:]).float().mean().item())
"""


@pytest.mark.parametrize(("name", "sound"), [("features", False), ("backbone", True)])
def test_weights_that_find_no_name_are_named(tmp_path: Path, name: str, sound: bool) -> None:
    found = found_in(tmp_path, _LOADED.replace("NAME", name))
    named = [d for d in found if d.code == "bad-init"]
    assert bool(named) != sound
    if not sound:
        assert found[0] is named[0]
        assert found[0].where.line == 31
        assert found[0].prescription.change == {"matched_names": True}


@given(
    st.sampled_from(["module.", "a.b.", ""]),
    st.sampled_from(["backbone.", "net.features.", ""]),
    st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_names_are_matched_behind_their_prefixes(before: str, after: str, n: int) -> None:
    body = nn.Sequential(nn.Linear(n, n + 1), nn.Linear(n + 1, n))
    given_names = {before + k: v + 1.0 for k, v in body.state_dict().items()}
    model: nn.Module = body
    for part in reversed([p for p in after.split(".") if p]):
        outer = nn.Module()
        outer.add_module(part, model)
        model = outer
    found = renamed(model, given_names)
    assert {k.removeprefix(after): v.sum().item() for k, v in found.items()} == {
        k.removeprefix(before): v.sum().item() for k, v in given_names.items()
    }
    changes = Changes({"matched_names": True}, {"bare": True})
    changes.attach()
    try:
        model.load_state_dict(given_names, strict=False)
    finally:
        changes.detach()
    assert all(torch.equal(model.state_dict()[k], v) for k, v in found.items())
