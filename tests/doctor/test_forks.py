"""Retrainings as forks of one process: answers as processes of their own give, time limits, nothing left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from soundfit.doctor.forks import Forks, shared_modules
from soundfit.doctor.scores import Task

TRAIN = """
import time, torch, numpy as np, random
from torch import nn
x = torch.randn(80, 3); y = x.sum(1, keepdim=True)
model = nn.Linear(3, 1)
o = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(20):
    o.zero_grad(); nn.functional.mse_loss(model(x[:60]), y[:60]).backward(); o.step()
with torch.no_grad():
    nn.functional.mse_loss(model(x[60:]), y[60:])
open({out!r}, "a").write(f"{{np.random.rand()}} {{random.random()}}\\n")
{more}
"""


def spec(folder: Path, name: str, *, seed: int = 0, more: str = "") -> Path:
    script = folder / f"{name}.py"
    script.write_text(TRAIN.format(out=str(folder / "drawn.txt"), more=more))
    facts = {"task": Task("regression"), "model": "Linear", "row_shape": [3]}
    path = folder / name
    order = {"script": str(script), "args": [], "wanted": {}, "facts": facts, "seed": seed}
    torch.save({**order, "hold_back": 0.0, "judge": True, "rows": "evaluation"}, path)
    return path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_answer_as_processes_do_and_end_with_their_owner(tmp_path: Path) -> None:
    forks = Forks(tmp_path, ["no_such_module"])
    process = forks.process
    assert process is not None
    try:
        assert forks.run(spec(tmp_path, "first"), 60) == 0
        assert forks.run(spec(tmp_path, "again"), 60) == 0
        assert forks.run(spec(tmp_path, "other", seed=1), 60) == 0
        assert forks.run(spec(tmp_path, "leaves", more="raise SystemExit(5)"), 60) == 5
        started = time.monotonic()
        assert forks.run(spec(tmp_path, "late", more="time.sleep(60)"), 2) is None
        assert time.monotonic() - started < 30
    finally:
        forks.close()
    assert process.returncode is not None
    first, again, other = (
        torch.load(tmp_path / f"{n}.result", weights_only=False) for n in ("first", "again", "other")
    )
    assert first["score"] == again["score"] != other["score"]
    drawn = (tmp_path / "drawn.txt").read_text().splitlines()
    assert drawn[0] == drawn[1] != drawn[2]
    alone = Forks.__new__(Forks)
    alone.work, alone.process = tmp_path, None
    assert alone.run(spec(tmp_path, "alone"), 120) == 0
    assert torch.load(tmp_path / "alone.result", weights_only=False)["score"] == first["score"]


def test_modules_worth_loading() -> None:
    found = shared_modules(
        [
            "torch",
            "torch.nn",
            "torch._dynamo",
            "torch._dynamo.utils",
            "sklearn.datasets",
            "pandas",
            "pandas._libs",
            "mine",
            "sklearn.a.b",
        ]
    )
    assert found == ["pandas", "sklearn.datasets", "torch", "torch._dynamo"]
