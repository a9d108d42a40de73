"""Forked workers: the same bits as in this process, whatever dies or is stopped on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from spread import assert_equal, study
from torch import nn

import soundfit.bank.train as bank_train
from soundfit.bank import chunk_run
from soundfit.bank.race import Standing
from soundfit.executors.processes import ProcessExecutor, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="no forked workers on this system")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep ``study`` without an executor in this process."""
    monkeypatch.setattr(bank_train, "can_fork", lambda: False)


@pytest.mark.usefixtures("here")
def test_a_study_in_processes_equals_one_in_threads() -> None:
    epochs: list[int] = []
    with ProcessExecutor(2) as executor:
        assert_equal(study(), study(executor=executor, on_epoch=epochs.append))
    assert sum(epochs) == 8 * 12


def test_large_work_goes_to_processes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_train, "_WORTH_A_FORK", 0)
    opened: list[int] = []

    class Counted(ProcessExecutor):
        def __init__(self, workers: int) -> None:
            opened.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(bank_train, "ProcessExecutor", Counted)
    forked = study(workers=2)
    assert opened == [2]
    assert_equal(forked, study(workers=1))
    assert opened == [2]


class Thirds:
    """A judge who lets every third member go."""

    epochs = (4, 8)
    key = "thirds"

    def losers(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
        return [s.at for s in standings if s.at % 3 == epoch // 8]

    def record(self) -> Any:
        return None

    def restore(self, record: Any) -> None:
        pass


def test_a_race_in_processes_equals_one_in_this_process() -> None:
    with ProcessExecutor(2) as executor:
        assert_equal(study(race=Thirds(), workers=1), study(race=Thirds(), executor=executor))


def test_classes_and_losses_that_cannot_be_pickled_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_train, "_WORTH_A_FORK", 0)

    class Local(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.net = nn.Linear(6, width)
            self.register_buffer("shift", torch.full((width,), 0.5), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.net(x) + self.shift).sum(-1, keepdim=True)

    options = {
        "make": lambda c: Local(c.width),
        "loss": lambda output, target: (output - target).abs().mean(),
    }
    forked = study(workers=2, **options)
    assert_equal(forked, study(workers=1, **options))
    assert isinstance(forked[0].module, Local)


@pytest.mark.usefixtures("here")
def test_a_worker_killed_in_the_middle_is_replaced_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunk_run, "SAVE_SECONDS", 0.1)
    killed: list[int] = []
    with ProcessExecutor(2) as executor:

        def kill(_: int) -> None:
            if not killed:
                killed.append(executor._workers[0].process.pid or 0)
                os.kill(killed[0], signal.SIGKILL)

        spread = study(epochs=60, executor=executor, on_epoch=kill)
        assert executor.retries == 1
    assert_equal(study(epochs=60), spread)


def test_a_part_that_ends_its_worker_each_time_is_told_in_words() -> None:
    with ProcessExecutor(1) as executor, pytest.raises(MemoryError, match="ended a worker 3 times"):
        executor.call(_die, poll=lambda done, state: False)


@pytest.mark.usefixtures("here")
def test_a_stop_reaches_the_workers_and_the_checkpoint_goes_on_anywhere(tmp_path: Path) -> None:
    seen: list[int] = []
    with ProcessExecutor(2) as executor:
        stopped = study(
            epochs=120,
            executor=executor,
            checkpoint=tmp_path,
            on_epoch=seen.append,
            should_stop=lambda: bool(seen),
        )
        assert "interrupted" in {o.status for o in stopped}
        assert list(tmp_path.glob("*.safetensors"))
        whole = study(epochs=120, checkpoint=tmp_path, executor=executor)
    assert_equal(whole, study(epochs=120))


def test_what_a_job_raises_is_raised_here_with_its_place() -> None:
    with ProcessExecutor(1) as executor, pytest.raises(ValueError, match="wrong") as caught:
        executor.call(_raise, poll=lambda done, state: False)
    assert any("_raise" in note for note in caught.value.__notes__)


def test_workers_end_with_their_executor_and_with_their_parent() -> None:
    with ProcessExecutor(2) as executor:
        pids = [executor.call(_pid, poll=lambda done, state: False) for _ in range(2)]
        assert os.getpid() not in pids
    assert not any(_lives(pid) for pid in pids)


def test_values_that_come_later_reach_new_workers() -> None:
    with ProcessExecutor(1) as executor:
        for value in (1, 2):
            token = executor.put({"a": value})
            assert executor.call(_value, token, poll=lambda done, state: False) == value


def test_no_value_comes_while_a_job_is_at_work() -> None:
    def poll(done: int, state: bytes | None) -> bool:
        executor.put(1)
        return False

    with ProcessExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="while no job is at work"):
            executor.call(_sleep, poll=poll)
        # The worker that sleeps is not the next one's.
        assert executor.call(_pid, poll=lambda done, state: False) != os.getpid()


def test_ctrl_c_leaves_no_worker_behind() -> None:
    executor = ProcessExecutor(1)
    # Who starts the tests in the background of a shell has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    caught = threading.Event()

    def interrupt() -> None:
        while not executor._workers:
            time.sleep(0.01)
        # Python may drop an interrupt that arrives in a destructor: Ctrl-C is pressed again then.
        seconds = 0.3
        while not caught.wait(seconds):
            os.kill(os.getpid(), signal.SIGINT)
            seconds = 5.0

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt), executor:
            executor.call(_sleep, poll=lambda done, state: False)
    finally:
        caught.set()
        signal.signal(signal.SIGINT, before)
    sender.join()
    assert not executor._workers


def _die(line: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(line: Any) -> None:
    raise ValueError("wrong")


def _pid(line: Any) -> int:
    return os.getpid()


def _value(line: Any, value: dict[str, int]) -> int:
    return value["a"]


def _sleep(line: Any) -> None:
    time.sleep(60)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
