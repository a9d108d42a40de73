"""A bank, or a study, that is interrupted continues to the same result, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from soundfit.bank import Bank, BankData, MemberRows, train_members
from soundfit.bank.loss import resolve_loss
from soundfit.bank.stack import stack_modules
from soundfit.bank.state import load_file, save_state
from soundfit.models.dropout import replace_dropout
from soundfit.records import Config

CPU = torch.device("cpu")
BASE = Config(epochs=14, batch_size=24, learning_rate=5e-3)


def net(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
    )


def open_bank(p: Any, configs: list[Config]) -> Bank:
    modules = []
    for i, config in enumerate(configs):
        torch.manual_seed(i)
        modules.append(net(config))
        replace_dropout(modules[-1], seed=i)
    stack = stack_modules(modules, sample=p.data.sample(4), device=CPU)
    rows = [p.folds[0]] * len(configs)
    return Bank(stack, configs, rows, p.data, resolve_loss("mse"), seeds=list(range(len(configs))))


@pytest.mark.parametrize("stop", [1, 5, 6, 13, 14])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_bank_continues_to_the_same_bits(stop: int, optimizer: str, problem: Any, tmp_path: Path) -> None:
    p = problem()
    # One explodes at first; two leave at epoch 5, so that the bank is smaller when it is saved.
    base = BASE.with_(optimizer=optimizer, input_noise=0.1)
    configs = [base, base.with_(epochs=5), base.with_(epochs=5), base.with_(learning_rate=1e30), base]
    whole = open_bank(p, configs)
    while whole.running:
        whole.run_epoch()
    first = open_bank(p, configs)
    for _ in range(stop):
        first.run_epoch()
    save_state(first.state_dict(), tmp_path / "bank.safetensors")
    state = load_file(tmp_path / "bank.safetensors")
    assert state is not None
    second = open_bank(p, configs)
    second.load_state_dict(state)
    while second.running:
        second.run_epoch()
    assert torch.equal(whole.best_MP, second.best_MP)
    for name, buffer in whole.best_buffers.items():
        assert torch.equal(buffer, second.best_buffers[name])
    assert whole.progress.status.tolist() == second.progress.status.tolist()
    assert whole.progress.events == second.progress.events
    for i in range(len(configs)):
        a, b = whole.progress.trace(i), second.progress.trace(i)
        assert np.array_equal(a.at, b.at)
        for name, series in a.series.items():
            assert np.array_equal(series, b.series[name], equal_nan=True)


def test_a_state_of_other_members_is_refused(problem: Any) -> None:
    p = problem()
    state = open_bank(p, [BASE] * 2).state_dict()
    with pytest.raises(ValueError, match="as many members"):
        open_bank(p, [BASE] * 3).load_state_dict(state)


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    assert load_file(tmp_path / "none.safetensors") is None
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00")
    assert load_file(tmp_path / "cut.safetensors") is None


def study(p: Any, checkpoint: Path | None, **kw: Any) -> list[Any]:
    configs = [BASE.with_(epochs=60, learning_rate=r) for r in (1e-3, 2e-3, 4e-3, 8e-3)]
    rows = [p.rows(i) for i in range(4)]
    return train_members(
        net, configs, rows, p.data, seeds=range(4), at_once=2, workers=1, checkpoint=checkpoint, **kw
    )


def run_study(inputs: Any, targets: Any, folds: Any, folder: str) -> None:
    torch.set_num_threads(1)
    import soundfit.bank.chunk_run as chunk_run

    chunk_run.SAVE_SECONDS = 0.0

    class Given:
        data = BankData(torch.from_numpy(inputs), torch.from_numpy(targets))

        @staticmethod
        def rows(i: int) -> MemberRows:
            return MemberRows(*folds[i % len(folds)])

    study(Given, Path(folder))


@pytest.mark.slow
def test_a_study_killed_at_any_moment_goes_on_to_the_same_result(
    device: torch.device, problem: Any, tmp_path: Path
) -> None:
    p = problem()
    folds = [(r.view, r.train, r.validation, r.order_seed) for r in p.folds]
    args = (p.data.inputs_VN.numpy(), p.data.targets_VN.numpy(), folds, str(tmp_path))
    context = multiprocessing.get_context("spawn")
    rng = np.random.default_rng(0)
    for _ in range(2):
        process = context.Process(target=run_study, args=args)
        process.start()
        seen = set(tmp_path.glob("*.safetensors"))
        start = time.monotonic()
        while (
            process.is_alive()
            and time.monotonic() - start < 60
            and not set(tmp_path.glob("*.safetensors")) - seen
        ):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        process.join()
    assert list(tmp_path.glob("*.safetensors"))
    for a, b in zip(study(p, None), study(p, tmp_path), strict=True):
        # A GPU's products choose their way by how many members are left.
        tolerance = 0.0 if device.type == "cpu" else 1e-5
        torch.testing.assert_close(b.validation_outputs, a.validation_outputs, rtol=tolerance, atol=tolerance)
        assert (a.best_epoch, a.status, a.epochs) == (b.best_epoch, b.status, b.epochs)


def test_a_stopped_study_goes_on_and_another_one_starts_afresh(problem: Any, tmp_path: Path) -> None:
    p = problem()
    asked = iter(range(1000))
    stopped = study(p, tmp_path, should_stop=lambda: next(asked) >= 7)
    assert {o.status for o in stopped} == {"interrupted"}
    epochs: list[int] = []
    resumed = study(p, tmp_path, on_epoch=epochs.append)
    for a, b in zip(study(p, None), resumed, strict=True):
        assert torch.equal(a.validation_outputs, b.validation_outputs)
    assert sum(epochs) == 4 * 60
    n_files = len(list(tmp_path.iterdir()))
    study(problem(kind="regression", n_train=80), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * n_files


def test_out_of_memory_splits_the_chunk_and_goes_on(problem: Any, monkeypatch: Any) -> None:
    p = problem(n_folds=1)
    whole = study(p, None)
    sizes: list[int] = []
    run_epoch = Bank.run_epoch

    def short(self: Bank) -> None:
        if self.stack.size > 1:
            sizes.append(self.stack.size)
            raise torch.OutOfMemoryError("CUDA out of memory")
        run_epoch(self)

    monkeypatch.setattr(Bank, "run_epoch", short)
    split = study(p, None)
    assert sizes == [2, 2]
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a.validation_outputs, b.validation_outputs, rtol=1e-4, atol=1e-5)

    def always(self: Bank) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Bank, "run_epoch", always)
    with pytest.raises(torch.OutOfMemoryError):
        study(p, None)
