"""Gradients through the steps of a sequence: what reaches the first ones, what is named, and how states begin to last."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from doctor.watched import named_in
from soundfit.doctor.call import call_of
from soundfit.doctor.over_time import recall_facts
from soundfit.doctor.remodel import remembering
from soundfit.doctor.repair import repair
from soundfit.doctor.rows import Rows
from soundfit.doctor.script import watched_run
from soundfit.doctor.seen import RootRecord
from soundfit.records import Place

# The label is the first of eighteen words; a state of sigmoids forgets it.
WORDS = """
import torch
from torch import nn
torch.manual_seed(0)
first = torch.randint(0, 4, (1600,))
X = torch.cat([first[:, None], torch.randint(4, 16, (1600, 17))], 1)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.inside, self.again, self.out = nn.Embedding(16, 12), nn.Linear(12, 24), nn.Linear(24, 24, bias=False), nn.Linear(24, 4)
        nn.init.orthogonal_(self.again.weight)
    def forward(self, x):
        h = torch.zeros(len(x), 24)
        for word in self.words(x).unbind(1):
            h = SQUASH(self.inside(word) + self.again(h))
        return self.out(h)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(10):
    net.train()
    for i in torch.randperm(1200).split(40):
        loss = nn.functional.cross_entropy(net(X[i]), first[i])
        opt.zero_grad(); loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
    net.eval()
    with torch.no_grad():
        print("epoch", epoch, "accuracy", (net(X[1200:]).argmax(1) == first[1200:]).float().mean().item())
"""


def test_a_state_that_forgets_is_named_and_one_that_lasts_is_not(tmp_path: Path) -> None:
    assert named_in(tmp_path, WORDS.replace("SQUASH", "torch.sigmoid"))[0] == "vanishing-gradient"
    assert named_in(tmp_path, WORDS.replace("SQUASH", "torch.tanh")) == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_blind_search")
def test_a_state_is_made_to_last(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(WORDS.replace("SQUASH", "torch.sigmoid"))
    _, found = watched_run(script, [], seconds=8.0)
    made = repair(script, [], found)
    assert made["accepted"], made
    assert made["change"]["recall"] == {"steps": 18, "of_state": ["again"]}
    assert made["after"] > 0.8 > 0.4 > made["before"]


class Fading(nn.Module):
    """A state that keeps a share of itself at each step: the gradient of step t is that share to the power T - t."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.again = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.again.weight, share)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(len(x), 1, dtype=x.dtype)
        for step in x.unbind(1):
            h = self.again(h) + step
        return h


def _asked(model: nn.Module, x: torch.Tensor) -> dict:
    found = call_of((x,), {}, torch.zeros(len(x)))
    assert found is not None
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return recall_facts(
        RootRecord(model, Place(), call=found[0], initial=state), Rows((x,), torch.zeros(len(x)))
    )


@given(st.floats(0.2, 0.95), st.integers(6, 40), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_a_product_of_shares_is_what_reaches_the_first_steps(share: float, steps: int, rows: int) -> None:
    torch.manual_seed(0)
    told = _asked(Fading(share).double(), torch.randn(rows, steps, 1).double())
    powers = torch.tensor([share ** (steps - 1 - t) for t in range(steps)], dtype=torch.float64).chunk(4)
    expected = float(powers[0].median() / powers[-1].median())
    assert told["start"] == pytest.approx(expected, rel=1e-4)
    assert told["now"] == pytest.approx(expected, rel=1e-4)
    assert told["looped"] == told["of_state"] == ["again"]


class Mean(nn.Module):
    """Every step counts alike, however many times a layer is called."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.read(step) for step in x.unbind(1)]).mean(0)


def test_models_without_a_state_are_not_asked() -> None:
    torch.manual_seed(0)
    x = torch.randn(9, 12, 3)
    assert _asked(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), x) == {}
    assert _asked(Mean(), x).get("start", 1.0) > 0.1
    assert _asked(nn.Sequential(nn.Flatten(), nn.Linear(15, 2)), torch.randn(9, 5, 3)) == {}


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"])
def test_layers_begin_with_states_that_last(kind: str) -> None:
    torch.manual_seed(0)
    layer = getattr(nn, kind)(5, 16)
    remembering(nn.ModuleList([layer]), steps=50, of_state=[])
    held = {name.removesuffix("_l0"): value.detach() for name, value in layer.named_parameters()}
    for block in held["weight_hh"].split(16):
        torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)
    keeps = (held["bias_ih"] + held["bias_hh"])[16:32] if not kind.startswith("RNN") else None
    if keeps is not None:
        assert float(keeps.min()) >= 0.0
        assert float(keeps.exp().max()) <= 49.0
    if kind.startswith("LSTM"):
        torch.testing.assert_close((held["bias_ih"] + held["bias_hh"])[:16], -keeps)


def test_a_relu_state_begins_as_the_identity() -> None:
    layer = nn.RNN(5, 8, nonlinearity="relu")
    remembering(layer, steps=20, of_state=[])
    torch.testing.assert_close(layer.weight_hh_l0.detach(), torch.eye(8))
