"""Targets that are filled in: named where a loss takes them for known, and left out in a repaired run."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from watched import found_in

from soundfit.doctor.filled import Filled, known_targets
from soundfit.doctor.replaced import Replaced

_TRAITS = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
X = torch.randn(500, 8); Y = (X[:, :4] > 0).float()
Z = Y.clone(); Z[torch.rand(500, 4) < 0.4] = float("nan")
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(10):
    for b in torch.randperm(400).split(25):
        out, t = net(X[b]), Z[b]
        known = ~t.isnan()
        loss = LOSS
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        print("accuracy", ((net(X[400:]) > 0).float() == Y[400:]).float().mean().item())
"""


@pytest.mark.parametrize(
    "loss",
    [
        "F.binary_cross_entropy_with_logits(out, t.nan_to_num(0.0))",
        "nn.BCEWithLogitsLoss()(out, torch.where(known, t, torch.zeros_like(t)))",
        "sum(F.binary_cross_entropy_with_logits(out[:, k], torch.nan_to_num(t)[:, k]) for k in range(4))",
        "F.mse_loss(out, t.masked_fill(~known, 0.5))",
    ],
)
def test_what_was_filled_in_is_no_target(tmp_path: Path, loss: str) -> None:
    found = found_in(tmp_path, _TRAITS.replace("LOSS", loss), 3.0)
    assert found[0].code == "labels-damaged"
    assert found[0].where.line == 12
    assert 0.2 < found[0].evidence["filled"] < 0.6


@pytest.mark.parametrize(
    "loss",
    [
        "F.binary_cross_entropy_with_logits(out[known], t[known])",
        "(F.binary_cross_entropy_with_logits(out, t.nan_to_num(0.0), reduction='none') * known).sum() / known.sum()",
        "F.binary_cross_entropy_with_logits(out, t.nan_to_num(0.0), weight=known.float())",
        "F.mse_loss(out * known, t.nan_to_num(0.0) * known)",
        "F.mse_loss(out * known, t.nan_to_num(0.0))",
        "F.mse_loss(out, torch.where(known, t, out.detach()))",
    ],
)
def test_what_is_left_out_of_the_loss_may_be_anything(tmp_path: Path, loss: str) -> None:
    found = found_in(tmp_path, _TRAITS.replace("LOSS", loss), 3.0)
    assert [d.cause for d in found if d.code == "labels-damaged"] == []


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 100))
def test_a_repaired_loss_is_that_of_what_is_known(rows: int, columns: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    out, target = torch.randn(rows, columns, generator=g), torch.rand(rows, columns, generator=g)
    target[torch.rand(rows, columns, generator=g) < 0.5] = float("nan")
    known = ~target.isnan()
    replaced = Replaced()
    known_targets(replaced.put)
    try:
        made = F.mse_loss(out, target.nan_to_num(0.0))
        apart = F.l1_loss(out, target.nan_to_num(0.0), reduction="none")
    finally:
        replaced.restore()
    if bool(known.any()):
        torch.testing.assert_close(made, F.mse_loss(out[known], target[known]))
    assert apart.shape == out.shape


def test_gaps_are_followed_through_parts_and_shapes() -> None:
    filled, x = Filled(), torch.tensor([[1.0, float("nan")], [float("nan"), 2.0]])
    out = x.nan_to_num(0.0)
    filled.fill((x,), out)
    part, line = out[:, 1], out.reshape(-1)
    filled.follow("__getitem__", (out, (slice(None), 1)), part)
    filled.follow("reshape", (out, -1), line)
    assert filled.gaps(part).tolist() == [True, False]
    assert filled.gaps(line).tolist() == [False, True, True, False]
    assert filled.gaps(x) is None
    assert filled.learned("mse_loss", torch.ones(2, 2), out, {}).tolist() == [[False, True], [True, False]]
    assert filled.learned("mse_loss", torch.zeros(2, 2), out, {}) is None
    assert filled.learned("mse_loss", torch.ones(2, 2), out, {"reduction": "none"}) is None
    assert filled.learned("nll_loss", torch.ones(2, 2), out, {}) is None
