"""Weights that a model holds as plain tensors: nothing steps them, beside sound models that keep tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from watched import found_in

from soundfit.doctor.foreign import hidden_weights, register_hidden

_MIXED = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
who = torch.arange(600) % 30
effect = torch.randn(30)
x = torch.randn(600, 2)
y = x[:, 0] + effect[who] + 0.1 * torch.randn(600)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        self.effects = EFFECTS
    def forward(self, x, who):
        self.last = self.body(x).squeeze(-1) + self.effects[who]
        return self.last
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=5e-2)
for epoch in range(40):
    for b in torch.randperm(500).split(50):
        loss = F.mse_loss(net(x[b], who[b]), y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        print(F.mse_loss(net(x[500:], who[500:]), y[500:]).item())
"""


@pytest.mark.parametrize(
    ("effects", "sound"),
    [
        ("nn.Parameter(torch.zeros(30, dtype=torch.float64)).float()", False),
        ("torch.zeros(30, requires_grad=True)", False),
        ("nn.Parameter(torch.zeros(30, dtype=torch.float64).float())", True),
    ],
)
def test_weights_that_are_plain_tensors_are_named(tmp_path: Path, effects: str, sound: bool) -> None:
    found = [d for d in found_in(tmp_path, _MIXED.replace("EFFECTS", effects)) if d.code != "noise-limited"]
    if sound:
        assert found == []
    else:
        assert found[0].code == "optimizer-params"
        assert found[0].where.line == 12
        assert found[0].prescription.change == {"include": True}


@given(st.integers(1, 5), st.sampled_from(["leaf", "cast", "scaled", "output", "product", "constant"]))
@settings(max_examples=30, deadline=None)
def test_only_weights_that_no_module_knows_are_hidden(n: int, kind: str) -> None:
    net = nn.Sequential(nn.Linear(n, n), nn.ReLU())
    other = nn.Parameter(torch.ones(n, dtype=torch.float64))
    held = {
        "leaf": torch.ones(n, requires_grad=True),
        "cast": other.float(),
        "scaled": 2 * other,
        "output": net(torch.ones(1, n)),
        "product": net[0].weight * other.float(),
        "constant": torch.ones(n),
    }[kind]
    net[1].kept = held
    found = list(hidden_weights(net))
    assert [(part, name) for part, name, _ in found] == (
        [(net[1], "kept")] if kind in ("leaf", "cast", "scaled") else []
    )
    before = len(list(net.parameters()))
    register_hidden(net)
    assert len(list(net.parameters())) == before + len(found)
    assert torch.equal(net[1].kept, held)
    assert list(hidden_weights(net)) == []
