"""A race: members leave at rungs, whatever the chunks and workers, and after an interruption too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from soundfit.bank import Bank, Standing, train_members
from soundfit.records import Config

BASE = Config(epochs=12, batch_size=24, warmup=0.0)
RATES = (1e-3, 5e-3, 2e-3, 8e-3, 4e-3, 1e-2)


@dataclass
class WorstLeaves:
    """At each rung the member of the smallest mean output leaves: any rule of standings would do."""

    epochs: Sequence[int] = (3, 6, 9)
    key: str = "worst"
    seen: list[tuple[int, list[str]]] = field(default_factory=list)

    def losers(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
        assert [s.at for s in standings] == list(range(len(RATES)))
        assert all(s.epochs == epoch for s in standings if s.status == "training")
        self.seen.append((epoch, [s.status for s in standings]))
        training = [s for s in standings if s.status == "training"]
        return [min(training, key=lambda s: float(s.validation_outputs.mean())).at]

    def record(self) -> Any:
        return self.seen

    def restore(self, record: Any) -> None:
        self.seen[:] = [(epoch, status) for epoch, status in record]


def net(config: Config) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))


def study(p: Any, race: WorstLeaves | None = None, **kw: Any) -> list[Any]:
    configs = [BASE.with_(learning_rate=r) for r in RATES]
    rows = [p.rows(i) for i in range(len(RATES))]
    return train_members(
        net, configs, rows, p.data, seeds=range(len(RATES)), race=race, **{"workers": 1, **kw}
    )


def assert_same(a: Sequence[Any], b: Sequence[Any], *, exactly: bool) -> None:
    for one, other in zip(a, b, strict=True):
        assert (one.status, one.epochs) == (other.status, other.epochs)
        tolerance = {"rtol": 0.0, "atol": 0.0} if exactly else {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(one.validation_outputs, other.validation_outputs, **tolerance)


@pytest.mark.parametrize(
    "how",
    [
        {"at_once": 1},
        {"at_once": 4},
        {"at_once": 2, "workers": 2},
        {"at_once": 2, "memory_bytes": 1},  # states wait on disk
    ],
    ids=str,
)
def test_who_leaves_does_not_depend_on_chunks_workers_or_memory(how: dict[str, Any], problem: Any) -> None:
    p = problem()
    expected, found = study(p, WorstLeaves()), study(p, WorstLeaves(), **how)
    assert sorted(o.epochs for o in expected) == [3, 6, 9, 12, 12, 12]
    assert_same(expected, found, exactly=False)


class HereExecutor:
    """Runs jobs on this thread through the state and the standings that would travel."""

    slots, retries, shares_disk = 2, 0, False

    def put(self, value: Any) -> Any:
        return value

    def call(self, job: Any, *arguments: Any, poll: Any, place: int | None = None) -> Any:
        return job(_Line(poll), *arguments)


@dataclass
class _Line:
    poll: Any

    def latest(self) -> bytes | None:
        return None

    def tell(self, done: int) -> bool:
        return bool(self.poll(done, None))

    def keep(self, state: bytes) -> None:
        self.poll(0, state)


def test_a_race_on_workers_elsewhere_is_the_same(problem: Any) -> None:
    p = problem()
    race, far = WorstLeaves(), WorstLeaves()
    expected = study(p, race, at_once=2)
    assert_same(expected, study(p, far, at_once=2, executor=HereExecutor()), exactly=True)
    assert race.seen == far.seen


def test_states_on_disk_are_the_same_bits(problem: Any) -> None:
    p = problem()
    kept, parked = (study(p, WorstLeaves(), at_once=2, memory_bytes=m) for m in (10**10, 1))
    assert_same(kept, parked, exactly=True)


def test_who_stays_does_not_notice(problem: Any) -> None:
    p = problem()
    whole, raced = study(p), study(p, WorstLeaves())
    stayed = [i for i, o in enumerate(raced) if o.status == "done"]
    assert len(stayed) == 3
    assert_same([whole[i] for i in stayed], [raced[i] for i in stayed], exactly=False)


@pytest.mark.parametrize("stop", [1, 4, 7, 10, 14, 17, 21, 26])
def test_an_interrupted_race_goes_on_to_the_same_result(stop: int, problem: Any, tmp_path: Path) -> None:
    p = problem()
    whole = WorstLeaves()
    expected = study(p, whole, at_once=2)
    asked = iter(range(10_000))
    told: list[int] = []
    study(p, WorstLeaves(), at_once=2, checkpoint=tmp_path, should_stop=lambda: next(asked) >= stop)
    race = WorstLeaves()
    resumed = study(p, race, at_once=2, checkpoint=tmp_path, on_epoch=told.append)
    assert_same(expected, resumed, exactly=True)
    assert race.seen == whole.seen
    assert sum(told) == 6 * 12


def test_halves_of_a_chunk_that_did_not_fit_pass_the_rungs_again(problem: Any, monkeypatch: Any) -> None:
    p = problem(n_folds=1)
    expected = study(p, WorstLeaves())
    run_epoch = Bank.run_epoch

    def short(self: Bank) -> None:
        # Memory runs out late: after the first rung.
        if self.stack.size > 3 and self.epoch >= 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        run_epoch(self)

    monkeypatch.setattr(Bank, "run_epoch", short)
    told: list[int] = []
    assert_same(expected, study(p, WorstLeaves(), on_epoch=told.append), exactly=False)
    assert sum(told) == 6 * 12
