"""Seeds set before every step: named where each step draws the same batch; a repaired run draws anew."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from watched import found_in

from soundfit.doctor.replaced import Replaced
from soundfit.doctor.seeds import fresh_seeds, hear_seeds

_STEPS = """
import random, numpy as np, torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(1); np.random.seed(1); random.seed(1)
X = torch.randn(400, 12); y = (X[:, :3].sum(1) > 0).long()
net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
ONCE
for step in range(150):
    EACH
    loss = F.cross_entropy(net(X[rows]), y[rows])
    opt.zero_grad(); loss.backward(); opt.step()
net.eval()
with torch.no_grad():
    print("accuracy", (net(X[300:]).argmax(1) == y[300:]).float().mean().item())
"""
_FAULTS = {
    "numpy's generator": ("", "rng = np.random.default_rng(5); rows = torch.from_numpy(rng.choice(300, 24))"),
    "numpy's state": ("", "np.random.seed(5); rows = torch.from_numpy(np.random.choice(300, 24))"),
    "torch": ("", "torch.manual_seed(5); rows = torch.randint(0, 300, (24,))"),
    "python": ("", "random.seed(5); rows = torch.tensor(random.sample(range(300), 24))"),
}
_SOUND = {
    "made once": ("rng = np.random.default_rng(5)", "rows = torch.from_numpy(rng.choice(300, 24))"),
    "another seed each time": ("", "torch.manual_seed(5 + step); rows = torch.randint(0, 300, (24,))"),
    "all rows, with a seed for something else": ("", "torch.manual_seed(5); rows = slice(0, 300)"),
    "some rows, for good": ("rows = torch.randperm(300)[:200]", "pass"),
}


@pytest.mark.parametrize("name", _FAULTS)
def test_a_seed_before_every_step_is_named(name: str, tmp_path: Path) -> None:
    once, each = _FAULTS[name]
    found = found_in(tmp_path, _STEPS.replace("ONCE", once).replace("EACH", each), 3.0)
    assert found[0].code == "inputs-constant"
    assert found[0].where.line == 9
    assert "seed" in found[0].cause


@pytest.mark.parametrize("name", _SOUND)
def test_other_draws_are_left_alone(name: str, tmp_path: Path) -> None:
    once, each = _SOUND[name]
    found = found_in(tmp_path, _STEPS.replace("ONCE", once).replace("EACH", each), 3.0)
    assert [d.cause for d in found if d.code == "inputs-constant"] == []


@given(st.integers(0, 2**31), st.integers(2, 6))
def test_a_seed_given_again_draws_anew_and_the_first_draw_is_as_it_was(seed: int, times: int) -> None:
    draws = {
        "python": lambda: (random.seed(seed), random.random())[1],
        "numpy": lambda: (np.random.seed(seed), np.random.random())[1],  # noqa: NPY002 what is tested
        "generator": lambda: np.random.default_rng(seed).random(),
        "by name": lambda: np.random.default_rng(seed=seed).random(),
        "torch": lambda: (torch.manual_seed(seed), float(torch.rand(())))[1],
    }
    for draw in draws.values():
        first, replaced = draw(), Replaced()
        fresh_seeds(replaced.put)
        try:
            made = [draw() for _ in range(times)]
        finally:
            replaced.restore()
        assert made[0] == first == draw()
        assert len(set(made)) == times


def test_seeds_are_counted_by_steps_and_not_in_evaluation() -> None:
    told, step, replaced = {}, [0], Replaced()
    hear_seeds(replaced.put, told, lambda: step[0], lambda: None)
    try:
        for step[0] in range(5):
            torch.manual_seed(1)
            torch.manual_seed(1)
            with torch.no_grad():
                np.random.default_rng(2)
    finally:
        replaced.restore()
    assert told["seeds"] == {"manual_seed(1)": {"steps": 4, "last": 4, "place": None}}
