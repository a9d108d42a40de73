"""Counts under a Poisson loss: the rate is the exponential that the loss takes, and is what is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from watched import named_in

from soundfit.doctor.batch import matched
from soundfit.doctor.case import Case
from soundfit.doctor.rates import taken_as_rates
from soundfit.doctor.repair import repair
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import LossCall, RootRecord
from soundfit.records import Place

COUNTS = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 6)
logs = 1.5 + 0.8 * X[:, 0] - 0.5 * X[:, 1] * X[:, 2].tanh()
exposure = 0.5 + torch.rand(900)
Y = torch.poisson(logs.exp())
net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.Adam(net.parameters(), lr=RATE)
for epoch in range(25):
    for i in torch.randperm(700).split(32):
        loss = nn.functional.poisson_nll_loss(OUTPUT, Y[i])
        opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    rate = net(X[700:]).squeeze(1).exp()
print(1 - ((rate - Y[700:]) ** 2).mean() / Y[700:].var())
"""
PLAIN = "net(X[i]).squeeze(1)"


def test_a_rate_too_low_is_named_by_the_score_of_the_rates(tmp_path: Path) -> None:
    script = COUNTS.replace("OUTPUT", PLAIN).replace("RATE", "2e-6")
    assert named_in(tmp_path, script, 4.0)[:1] == ["lr-too-low"]


@pytest.mark.parametrize(("output", "scored"), [(PLAIN, True), (f"{PLAIN} + exposure[i].log()", False)])
def test_a_sound_one_is_left_alone_and_an_exposure_is_no_error(
    tmp_path: Path, output: str, scored: bool
) -> None:
    script = tmp_path / "train.py"
    script.write_text(COUNTS.replace("OUTPUT", output).replace("RATE", "3e-3"))
    status, found = watched_run(script, [], seconds=6.0)
    assert status == 0
    assert [d for d in found.diagnoses if d.severity != "note"] == []
    case = Case(found.trace)
    assert (case.got > 0.6) is scored  # nothing is scored where the loss adds something to the output


@pytest.mark.parametrize(
    ("kwargs", "shape", "outer"),
    [({}, (-1,), "rate"), ({"log_input": False}, (-1,), None), ({}, (-1, 1), "rate")],
)
def test_the_exponential_is_the_losss_where_it_takes_logarithms(
    kwargs: dict[str, bool], shape: tuple[int, ...], outer: str | None
) -> None:
    net, x, y = nn.Linear(3, 1), torch.randn(8, 3), torch.randint(0, 5, (8,)).float().reshape(shape)
    out = net(x)
    root = RootRecord(net, Place())
    loss = out.mean()
    call = LossCall("poisson_nll_loss", out.reshape(shape), y, loss, "mean", kwargs)
    made = matched([(root, (x,), {}, out, True)], [call], None)
    assert made is not None
    assert root.call is not None
    assert root.call.outer == outer
    if outer:
        torch.testing.assert_close(root.call.amounts(out), out.exp())
        assert root.call.amounts(out, False) is out


def test_an_exponential_before_the_loss_is_a_rate_already() -> None:
    net, x, y = nn.Linear(3, 1), torch.randn(8, 3), torch.randint(0, 5, (8, 1)).float()
    out = net(x).exp()
    root = RootRecord(net, Place())
    call = LossCall("poisson_nll_loss", out, y, out.mean(), "mean", {})
    assert matched([(root, (x,), {}, out, True)], [call], None) is not None
    assert root.call is not None
    assert root.call.outer is None


@pytest.mark.usefixtures("no_blind_search")
def test_rates_that_are_taken_for_logarithms_are_mended(tmp_path: Path) -> None:
    made = COUNTS.replace("net(X[700:]).squeeze(1).exp()", "net(X[700:]).exp().squeeze(1)")
    made = made.replace("range(25)", "range(8)")
    script = tmp_path / "train.py"
    script.write_text(made.replace("OUTPUT", "net(X[i]).exp().squeeze(1)").replace("RATE", "3e-3"))
    status, found = watched_run(script, [], seconds=4.0)
    assert status == 0
    assert found.diagnoses[0].code == "output-activation"
    better = repair(script, [], found)
    assert better["accepted"], better
    assert better["change"] == {"rates": True}


@pytest.mark.parametrize("given", [(), (True,), (True, True)])
def test_a_loss_that_takes_rates_is_the_one_that_says_so(given: tuple[bool, ...]) -> None:
    rates, y = torch.rand(9) + 0.1, torch.randint(0, 5, (9,)).float()
    full = given[1] if len(given) > 1 else False
    wanted = F.poisson_nll_loss(rates, y, log_input=False, full=full)
    replaced = Replaced()
    taken_as_rates(replaced.put)
    try:
        torch.testing.assert_close(F.poisson_nll_loss(rates, y, *given), wanted)
        torch.testing.assert_close(nn.PoissonNLLLoss(full=full)(rates, y), wanted)
    finally:
        replaced.restore()
    assert not torch.equal(F.poisson_nll_loss(rates, y), F.poisson_nll_loss(rates, y, log_input=False))
