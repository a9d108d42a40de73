"""What weighs a loss of each place, averages that are taught, factors that sleep, targets shifted back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from doctor.watched import named_in
from soundfit.doctor.batch import judging
from soundfit.doctor.case import Case
from soundfit.doctor.remodel import draw_anew
from soundfit.doctor.roots import Roots
from soundfit.doctor.rows import MAX_ROWS, MOST_CODES, most_rows
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import LossCall
from soundfit.doctor.shifts import shift_of, shifted_back
from soundfit.doctor.weighed import factor_of, take_factors

F = nn.functional


@pytest.mark.parametrize("by_rows", [True, False])
def test_a_mask_is_found_in_the_graph(by_rows: bool) -> None:
    logits = torch.randn(6, 4, requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(logits, torch.rand(6, 4).round(), reduction="none")
    mask = (torch.rand(6, 1 if by_rows else 4) < 0.5).float()
    loss = (losses * mask).sum() / mask.sum().clamp(min=1)
    found = factor_of(loss, losses)
    assert found is not None
    assert torch.equal(found, mask)
    assert factor_of(losses.mean(), losses) is None
    assert factor_of((losses * logits.sigmoid()).mean(), losses) is None  # focal: made, not given
    assert factor_of(3.0 * losses.mean(), losses) is None


def test_gains_of_both_signs_are_told_from_a_mask() -> None:
    logits = torch.randn(8, requires_grad=True)
    hit = (torch.rand(8) < 0.5).float()
    losses = F.binary_cross_entropy_with_logits(logits, hit, reduction="none")
    facts: dict[str, dict[str, float]] = {}
    call = LossCall("binary_cross_entropy_with_logits", logits, hit, losses, "none", {})
    take_factors((losses * torch.linspace(-1, 1, 8)).mean(), [call], facts)
    assert (facts["weighed"]["zeros"], facts["weighed"]["signed"]) == (0.0, True)
    assert facts["weighed"]["uneven"] > 1e3  # of a mean of next to nothing
    assert call.factor is not None
    entropy = LossCall("binary_cross_entropy_with_logits", logits, logits.sigmoid(), losses, "none", {})
    assert judging([call, entropy]) is call


_AVERAGED = """
import torch, torch.nn as nn
from torch.optim.swa_utils import AveragedModel, update_bn
torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).long()
net = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2))
average = AveragedModel(net)
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
rows = torch.utils.data.TensorDataset(x[:450], y[:450])
loader = torch.utils.data.DataLoader(rows, batch_size=50, shuffle=True)
for epoch in range(40):
    net.train()
    for a, b in loader:
        opt.zero_grad()
        nn.functional.cross_entropy(net(a), b).backward()
        opt.step()
    if epoch > 20:
        average.update_parameters(net)
update_bn(loader, average)
for model in (net, average):
    model.eval()
    with torch.no_grad():
        print((model(x[450:]).argmax(1) == y[450:]).float().mean())
"""


def test_statistics_taught_anew_are_no_evaluation(tmp_path: Path) -> None:
    assert "train-eval-mode" not in named_in(tmp_path, _AVERAGED)


_ADAPTED = """
import torch, torch.nn as nn
torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, 0] > 0).long()
class Low(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.zeros(4, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, 4))
        START
    def forward(self, x):
        return self.base(x) + x @ self.a.t() @ self.b.t()
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
def fit(x, y):
    opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=5e-3)
    for epoch in range(20):
        for i in torch.randperm(450).split(50):
            opt.zero_grad()
            nn.functional.cross_entropy(net(x[i]), y[i]).backward()
            opt.step()
fit(x, y)
for k in (0, 2):
    net[k] = Low(net[k])
fit(x.roll(1, 1), y)
print((net(x.roll(1, 1)[450:]).argmax(1) == y[450:]).float().mean())
"""


@pytest.mark.parametrize("drawn", [True, False])
def test_factors_that_both_start_at_zero_are_named(tmp_path: Path, drawn: bool) -> None:
    start = "nn.init.kaiming_uniform_(self.a, a=5 ** 0.5)" if drawn else "pass"
    found = named_in(tmp_path, _ADAPTED.replace("START", start))
    assert (found[:1] == ["bad-init"]) is not drawn


def test_sleeping_factors_are_drawn_when_they_join() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2, bias=False))
    roots = Roots({"wake": ["1.weight"]}, {"model": "Sequential", "row_shape": [4]})
    roots.knows(net, torch.randn(2, 4))
    before = net[0].weight.detach().clone()
    with torch.no_grad():
        net[1].weight.zero_()
    roots.knows(net, torch.randn(2, 4))
    assert bool(net[1].weight.any())
    assert torch.equal(before, net[0].weight)
    kept = net[1].weight.detach().clone()
    roots.knows(net, torch.randn(2, 4))
    assert torch.equal(kept, net[1].weight)


@given(st.integers(8, 20), st.integers(6, 12), st.integers(2, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_targets_shifted_twice_are_shifted_back(n: int, width: int, k: int, flat: bool) -> None:
    torch.manual_seed(n * width + k)
    tokens = torch.randint(0, 50, (n, width + k))
    inputs, targets = tokens[:, :width], tokens[:, k:]
    given_to_loss = targets.reshape(-1) if flat else targets
    if shift_of(inputs, given_to_loss) != k:  # too few to tell
        assert torch.equal(shifted_back(inputs, given_to_loss), given_to_loss)
        return
    back = shifted_back(inputs, given_to_loss).reshape(n, width)
    assert torch.equal(back, tokens[:, 1 : width + 1])
    once = tokens[:, 1 : width + 1]
    assert torch.equal(shifted_back(inputs, once), once)


def test_tables_that_began_small_are_drawn_small() -> None:
    torch.manual_seed(0)
    tables = nn.ModuleList([nn.Embedding(200, 8), nn.Embedding(200, 8), nn.Embedding(200, 1)])
    with torch.no_grad():
        tables[0].weight.normal_(0.0, 0.1)
        tables[2].weight.zero_()
    before = tables[0].weight.detach().clone()
    draw_anew(tables)
    assert not torch.equal(before, tables[0].weight)
    assert 0.08 < float(tables[0].weight.detach().std()) < 0.12
    assert 0.9 < float(tables[1].weight.detach().std()) < 1.1
    assert not bool(tables[2].weight.any())  # an offset for each row


def test_more_rows_are_kept_of_codes() -> None:
    assert most_rows((torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))) == MOST_CODES
    assert most_rows((torch.zeros(3, dtype=torch.long), torch.zeros(3, 2))) == MAX_ROWS
    assert most_rows((torch.zeros(3, 20, dtype=torch.long),)) == MAX_ROWS


_SURVEY = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
x = torch.randn(1500, 5)
error = torch.where(torch.rand(1500) < 0.3, 0.05, 2.5)
y = x[:, 0] + x[:, 1] * x[:, 2] + torch.randn(1500).abs() * error
weight = 1 / error ** 2 if WEIGHS else torch.full((1500,), 2.0)
weight = weight / weight.mean()
net = nn.Sequential(nn.Linear(5, 64), nn.GELU(), nn.Linear(64, 1))
opt = torch.optim.AdamW(net.parameters(), lr=3e-3)
for epoch in range(25):
    for b in torch.randperm(1500).split(50):
        loss = (weight[b] * F.mse_loss(net(x[b]).squeeze(1), y[b], reduction="none")).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
"""


@pytest.mark.parametrize("weighs", [True, False])
def test_rows_that_count_for_little_may_be_far_off(tmp_path: Path, weighs: bool) -> None:
    script = tmp_path / "train.py"
    script.write_text(_SURVEY.replace("WEIGHS", str(weighs)))
    status, found = watched_run(script, [], seconds=4.0)
    assert status == 0
    assert [d for d in found.diagnoses if d.severity != "note"] == []
    assert math.isnan(Case(found.trace).got) is weighs
