"""Several processes train one model together: as one process does with the whole batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from soundfit.bank import BankData, MemberRows, Outcome, train_members
from soundfit.bank.shard import Shard, joined
from soundfit.errors import UsageError
from soundfit.records import Config


def study(**options: object) -> list[Outcome]:
    """Train two members of a small MLP, with a batch that two processes share unevenly."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 300, 5)).astype(np.float32)
    y = (x[..., :1] - x[..., 1:2] ** 2).astype(np.float32)
    rows = MemberRows(0, np.arange(200), np.arange(200, 300), 0)
    configs = [Config(epochs=10, batch_size=33, learning_rate=r, gradient_clip=1.0) for r in (3e-3, 1e-2)]
    return train_members(
        lambda c: nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)),
        configs,
        [rows, rows],
        BankData.of(x, y),
        seeds=[0, 1],
        **options,  # type: ignore[arg-type]
    )


def torchrun(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_two_processes_train_as_one_does_with_the_whole_batch(tmp_path: Path) -> None:
    done = torchrun(__file__, str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for alone, a, b in zip(study(), first, second, strict=True):
        # Every process holds the same weights, to the bit.
        assert torch.equal(a, b)
        torch.testing.assert_close(alone.validation_outputs, a, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_command_under_torchrun_writes_one_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(150, 3)), columns=["a", "b", "c"])
    frame["y"] = frame["a"] - 2 * frame["b"] + 0.1 * rng.normal(size=150)
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = ["train", "t.csv", "--target", "y", "--model", "linear", "--folds", "3"]
    done = torchrun("-m", "soundfit.cli.main", *options, "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["exam"]["openings"] == 1
    assert document["cv"]["value"] < 0.2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "t.csv"]


@pytest.mark.parametrize("given", [{"budget": 5.0}, {"resume": True}, {"executor": "ray"}])
def test_what_each_process_would_decide_for_itself_is_refused_under_torchrun(given: dict) -> None:
    # Not above: this file is a script for torchrun as well, and need not load what trains tables.
    from soundfit.workflow.options import Options
    from soundfit.workflow.train import _one_of_several

    with pytest.raises(UsageError, match="take every decision alike"):
        _one_of_several(Options(**given), Shard(0, 2))
    assert _one_of_several(Options(out=Path("run")), Shard(0, 2)).out == Path("run")
    assert _one_of_several(Options(out=Path("run")), Shard(1, 2)).out is None


def test_one_process_alone_joins_nothing_and_small_batches_are_refused() -> None:
    with joined(torch.device("cpu")) as shard:
        assert shard is None
    with pytest.raises(ValueError, match="at least one row for each process"):
        Shard(0, 4).part(torch.zeros(1, 3, dtype=torch.long))


if __name__ == "__main__":
    with joined(torch.device("cpu")) as shard:
        assert shard is not None
        outputs = [o.validation_outputs for o in study(shard=shard)]
        torch.save(outputs, Path(sys.argv[1]) / f"{shard.rank}.pt")
