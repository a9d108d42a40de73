"""The watch changes no number, leaves nothing behind, and keeps scripts as they are."""

# ruff: noqa: E501

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_pre_hooks
from torch.overrides import _get_current_function_mode_stack

from soundfit.doctor.patches import LOSSES
from soundfit.doctor.script import execute, watched_run
from soundfit.doctor.visit import doctor
from soundfit.doctor.watch import Watch

TRAIN = """
import random, sys
import numpy as np
import torch
from torch import nn
torch.manual_seed(3); np.random.seed(3); random.seed(3)
x = torch.randn(200, 5); y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16, shuffle=True, num_workers={workers})
for epoch in range(3):
    for a, b in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(a), b)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        model(x).argmax(1).eq(y).float().mean()
torch.save([*model.state_dict().values(), torch.rand(3), torch.tensor(np.random.rand(3)), torch.tensor(random.random())], sys.argv[1])
"""


def weights(folder: Path, *, watched: bool, price: str = "economy", workers: int = 0) -> list[torch.Tensor]:
    script = folder / "train.py"
    script.write_text(TRAIN.replace("{workers}", str(workers)))
    out = folder / f"{watched}-{price}.pt"
    if watched:
        assert watched_run(script, [str(out)], price=price, seconds=1.0)[0] == 0
    else:
        assert execute(script, [str(out)]) == 0
    return torch.load(out)


@pytest.mark.parametrize("price", ["economy", "full"])
def test_same_seed_same_weights_bit_for_bit(tmp_path: Path, price: str) -> None:
    for a, b in zip(
        weights(tmp_path, watched=False), weights(tmp_path, watched=True, price=price), strict=True
    ):
        assert torch.equal(a, b)


def test_loader_workers_keep_the_numbers(tmp_path: Path) -> None:
    alone = weights(tmp_path, watched=False, workers=1)
    for a, b in zip(alone, weights(tmp_path, watched=True, workers=1), strict=True):
        assert torch.equal(a, b)


def test_detaching_leaves_nothing_behind() -> None:
    names = [
        (nn.Module, "__call__"),
        (nn.Module, "__init__"),
        (torch.Tensor, "backward"),
        (torch.optim.Optimizer, "__init__"),
    ]
    names += [(nn.functional, name) for name in LOSSES]
    before = [owner.__dict__[name] for owner, name in names]
    hooks = len(_global_optimizer_pre_hooks)
    watch = Watch()
    watch.attach()
    assert nn.Module.__dict__["__call__"] is not before[0]
    watch.detach()
    assert [owner.__dict__[name] for owner, name in names] == before
    assert len(_global_optimizer_pre_hooks) == hooks
    assert _get_current_function_mode_stack() == []


def test_an_error_in_the_block_still_detaches() -> None:
    before = nn.Module.__dict__["__call__"]
    with pytest.raises(ValueError, match="mine"), doctor():
        raise ValueError("mine")
    assert nn.Module.__dict__["__call__"] is before


def test_script_keeps_main_argv_path_and_exit_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside.py").write_text("value = 7\n")
    script = tmp_path / "s.py"
    script.write_text(
        "import sys, torch, beside\n"
        "if __name__ == '__main__':\n    print(sys.argv[1:], beside.value, __file__)\n    sys.exit(5)\n"
    )
    old = list(sys.argv), list(sys.path), sys.modules["__main__"]
    code, visit = watched_run(script, ["--epochs", "3", "-x"])
    assert code == 5
    assert visit is not None
    assert capfd.readouterr().out == f"['--epochs', '3', '-x'] 7 {script}\n"
    assert (sys.argv, sys.path, sys.modules["__main__"]) == old


def test_spawned_processes_find_main(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing as mp, torch
        def double(x): return 2 * x
        if __name__ == "__main__":
            with mp.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [1, 2]))
    """)
    )
    run = f"from soundfit.doctor.script import run_script; raise SystemExit(run_script({str(script)!r}))"
    made = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "[2, 4]\n"
    assert "no training was seen" in made.stderr


def test_a_failing_script_shows_its_own_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "s.py"
    script.write_text("import torch\nraise RuntimeError('their bug')\n")
    assert watched_run(script, [])[0] == 1
    text = capfd.readouterr().err
    assert "their bug" in text
    assert "doctor" not in text


def test_torch_is_imported_by_the_script_alone(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(
        "import sys\nprint('torch' in sys.modules)\nimport torch\nprint(torch.nn.Module.__call__.__module__)\n"
    )
    run = f"import soundfit.doctor as d; d.run_script({str(script)!r})"
    made = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert made.stdout.splitlines()[0] == "False"


def test_compiled_models_run_under_watch() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    compiled = torch.compile(model, backend="eager")
    with doctor(model, optimizer, seconds=0.5) as visit:
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.mse_loss(compiled(torch.ones(8, 3)), torch.ones(8, 1)).backward()
            optimizer.step()
    assert visit.trace is not None
    assert visit.trace.facts["steps"] == 5


def test_accumulation_is_not_a_missing_zero_grad() -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with doctor(model, optimizer, seconds=0.5) as visit:
        for i in range(40):
            nn.functional.mse_loss(model(torch.randn(8, 3)), torch.randn(8, 1)).backward()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    assert "missing-zero-grad" not in [d.code for d in visit.diagnoses]


def test_targets_made_by_another_model_are_targets() -> None:
    teacher, model = nn.Linear(3, 1), nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(64, 3)
    with doctor(model, optimizer, seconds=0.5) as visit:
        with torch.no_grad():
            y = teacher(x) + 1.0
        for i in range(12):
            part = slice(16 * (i % 4), 16 * (i % 4) + 16)
            loss = ((model(x[part]) - y[part]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            ((model(x) - y) ** 2).mean().item()
    assert visit.trace is not None
    assert visit.trace.facts["score"]["train"] > 0.5
    assert visit.trace.facts["score"]["evaluation_by_script"] > 0.5
    assert visit.watch.backwards == 12


def test_a_loss_inside_the_model_and_labels_by_name() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            out = {"logits": self.line(x)}
            return (
                out if labels is None else {"loss": nn.functional.cross_entropy(out["logits"], labels), **out}
            )

    torch.manual_seed(0)
    model, x = Net(), torch.randn(128, 3)
    y = (x[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with doctor(model, optimizer, seconds=1.0) as visit:
        for i in range(20):
            part = slice(32 * (i % 4), 32 * (i % 4) + 32)
            optimizer.zero_grad()
            model(x=x[part], labels=y[part])["loss"].backward()
            optimizer.step()
        with torch.no_grad():
            model(x=x, labels=y)
    assert visit.trace is not None
    assert visit.trace.facts["score"]["train"] > 0.8
    assert visit.trace.facts["evaluation"]["rows"] == 128
    assert visit.healthy


def test_models_trained_one_after_another_are_judged() -> None:
    torch.manual_seed(0)
    x = torch.randn(128, 3)
    y = (x[:, 0] > 0).long()
    with doctor(seconds=1.0) as visit:
        for _ in range(2):
            model = nn.Linear(3, 2)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
            for i in range(20):
                part = slice(32 * (i % 4), 32 * (i % 4) + 32)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[part]), y[part]).backward()
                optimizer.step()
    assert visit.trace is not None
    assert visit.trace.facts["together"] is False
    assert visit.trace.facts["trained_steps"] == 20
    assert visit.trace.facts["score"]["train"] > 0.8


def test_deepcopy_and_saving_of_models_work_under_watch(tmp_path: Path) -> None:
    import copy

    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with doctor(model, optimizer, seconds=0.5):
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(torch.randn(8, 3)), torch.randn(8, 1)).backward()
            optimizer.step()
        best = copy.deepcopy(model)
        torch.save(model, tmp_path / "model.pt")
    again = torch.load(tmp_path / "model.pt", weights_only=False)
    assert torch.equal(again.weight, best.weight)
    assert os.path.getsize(tmp_path / "model.pt") < 10_000


@pytest.mark.parametrize("cleared", [True, False])
def test_the_last_gradients_of_an_earlier_fold_are_no_missing_zero_grad(cleared: bool) -> None:
    watch = Watch(price="full")
    watch.attach()
    kept = []
    try:
        for _ in range(2):
            model = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            kept.append(optimizer)
            for _ in range(20):
                if cleared:
                    optimizer.zero_grad()
                model(torch.ones(4, 3)).square().mean().backward()
                optimizer.step()
    finally:
        watch.detach()
    seen = sum(len(v) for n, v in watch.recording.sparse.items() if n.startswith("old_gradients_"))
    assert seen <= 3 if cleared else seen > 30


def test_fits_of_one_step_each_keep_their_gradients_to_themselves() -> None:
    watch, kept = Watch(price="full"), []
    watch.attach()
    try:
        for _ in range(8):  # new models, each fitted by one call of L-BFGS
            model = nn.Linear(3, 1)
            optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
            kept.append(optimizer)

            def closure(
                model: nn.Module = model, optimizer: torch.optim.Optimizer = optimizer
            ) -> torch.Tensor:
                optimizer.zero_grad()
                loss = (model(torch.ones(4, 3)) - 1).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)
    finally:
        watch.detach()
    assert not [n for n in watch.recording.sparse if n.startswith("old_gradients_")]


class _DropsAlways(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(nn.functional.dropout(x, 0.5))


@pytest.mark.parametrize("when", ["before", "in train mode", "in eval mode"])
def test_a_dropout_in_evaluation_is_one_that_nobody_told_to_draw(when: str) -> None:
    model = _DropsAlways()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    watch = Watch(price="full")
    watch.attach()
    try:
        if when == "before":
            with torch.no_grad():
                model(torch.ones(8, 3))
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(8, 3)).square().mean().backward()
            optimizer.step()
        model.train(when != "in eval mode")
        if when != "before":
            with torch.no_grad():
                model(torch.ones(8, 3))
    finally:
        watch.detach()
    assert any(not grad for _, _, grad in watch.dropouts) == (when == "in eval mode")
