"""Settings that cost less than a gap shows: pairs of trainings decide on scale, dropout, decay and length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from doctor.test_rules import trace
from doctor.watched import named_in
from soundfit.doctor.attempts import is_unscaled, sound_trainings
from soundfit.doctor.call import call_of
from soundfit.doctor.case import Case
from soundfit.doctor.doubts import is_starved
from soundfit.doctor.judge import shrinks
from soundfit.doctor.replay import Recipe
from soundfit.doctor.rows import Rows, retargeted
from soundfit.doctor.rules import diagnose
from soundfit.records import Place, Trace

SCRIPT = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(2400, 10)
Y = (X[:, 0] * X[:, 1] + X[:, 2] + 0.5 * X[:, 3] ** 2 + 0.3 * torch.randn(2400))[:, None]
SCALE
net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 1))
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(EPOCHS):
    net.train()
    for i in torch.randperm(1800).split(60):
        loss = nn.functional.mse_loss(net(X[i]), TARGETS)
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad():
        p = net(X[1800:])
        print("epoch", epoch, "R2", 1 - ((p - Y[1800:]) ** 2).mean().item() / Y[1800:].var().item())
"""


@pytest.mark.parametrize(
    ("scale", "epochs", "targets", "expected"),
    [
        ("", "25", "Y[i]", []),
        ("X[:, 4:] *= 4", "25", "Y[i]", []),
        ("X[:, 4:] *= 10", "25", "Y[i]", ["input-scale"]),
        ("", "5", "Y[i]", ["too-few-epochs"]),
        ("", "25", "Y[i][torch.randperm(60)]", ["labels-damaged"]),
    ],
)
def test_what_a_setting_costs_is_measured(
    tmp_path: Path, scale: str, epochs: str, targets: str, expected: list[str]
) -> None:
    text = SCRIPT.replace("SCALE", scale).replace("EPOCHS", epochs).replace("TARGETS", targets)
    assert named_in(tmp_path, text, 25.0)[:1] == expected


def _trace(
    gains: dict[str, dict[str, float]], *, got: float = 0.84, possible: float = 0.89, **facts: Any
) -> Trace:
    dropout = [{"name": "1", "p": 0.7, "place": Place()}]
    return trace(
        got=got,
        possible=possible,
        gains=gains,
        modules__dropout=dropout,
        optimiser__weight_decay=0.05,
        **facts,
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("scale-inputs", "input-scale"), ("no-dropout", "over-regularised"), ("no-decay", "over-regularised"),
        ("longer", "too-few-epochs"), ("flat-rate", "schedule"),
    ],
)  # fmt: skip
def test_a_gain_is_named_where_it_is_large_and_sure(change: str, code: str) -> None:
    for gain, z, expected in ((0.06, 4.0, [code]), (0.02, 9.0, []), (0.06, 1.5, [])):
        found = diagnose(_trace({change: {"gain": gain, "z": z}}))
        assert [d.code for d in found if d.severity != "note"] == expected
        assert all(d.evidence["held_out_gain"] == gain for d in found if d.severity != "note")


def test_where_little_can_be_learned_dropout_may_cost_no_half_of_it() -> None:
    little = _trace({"no-dropout": {"gain": 0.014, "z": 4.6}}, got=0.41, possible=0.43)
    assert [d.code for d in diagnose(little)] == ["over-regularised"]
    assert Case(little).gained("no-dropout", 0.04) is None


@given(st.lists(st.floats(0.0, 0.95), max_size=4))
def test_dropouts_that_leave_a_fifth_are_asked_about(rates: list[float]) -> None:
    left = 1.0
    for p in rates:
        left *= 1 - p
    facts = {"modules": {"dropout": [{"p": p} for p in rates]}, "dropouts": []}
    assert is_starved(facts) == (left <= 0.2 + 1e-9)


@given(st.floats(1e-3, 1e3))
def test_inputs_of_about_unit_scale_are_left_alone(spread: float) -> None:
    found = is_unscaled({"kind": "float", "rms": spread, "column_std_max": spread, "column_mean_max": 0.0})
    assert found == (spread > 3 or spread < 0.1)
    assert not is_unscaled({"kind": "codes", "rms": spread})


def test_decay_beside_the_rate_may_be_larger() -> None:
    assert shrinks({"class": "Adam", "lr": 1e-3, "weight_decay": 0.05})
    assert not shrinks({"class": "AdamW", "lr": 1e-3, "weight_decay": 0.05})
    assert shrinks({"class": "AdamW", "lr": 1e-2, "weight_decay": 0.5})
    assert not shrinks({"class": "SGD", "weight_decay": 5e-4})


@pytest.mark.parametrize(("size", "expected"), [(64, None), (256, None), (1600, 64)])
def test_a_sound_training_has_no_huge_batches(size: int, expected: int | None) -> None:
    x, net = torch.randn(8, 3), nn.Linear(3, 1)
    form = call_of((x,), {}, torch.zeros(8, 1))
    assert form is not None
    made = Recipe(
        net,
        form[0],
        net.state_dict(),
        True,
        "mse_loss",
        "mean",
        {},
        None,
        torch.optim.Adam,
        {"lr": 1e-3},
        None,
        size,
        25,
    )
    assert {one.get("batch_size") for one in sound_trainings(made).values()} == {expected}


@settings(max_examples=30, deadline=None)
@given(st.integers(100, 300), st.integers(8, 20), st.integers(0, 10_000))
def test_a_few_rows_that_come_back_tell_of_drawn_targets(n: int, again: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 3, generator=g), torch.randn(n, generator=g)
    other = y[torch.randperm(n, generator=g)]
    rows = Rows((torch.cat([x, x[:again]]),), torch.cat([y, other[:again]]))
    several, spread, share = retargeted(rows)
    assert share < 0.5
    assert several >= again - 4
    assert spread > 0.01
    assert retargeted(Rows((torch.cat([x, x[:again]]),), torch.cat([y, y[:again]]))) == (0, 0.0, 0.0)
