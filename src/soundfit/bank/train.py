"""Train members: seat them in banks, train chunk by chunk, hand back the best.

The one entrance to the engine for whoever has members to train. Knows no metrics and no tables.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from soundfit.bank.chunk_run import ChunkRun, Job
from soundfit.bank.far_run import FarRun, share_data
from soundfit.bank.loss import resolve_loss
from soundfit.bank.outcome import Outcome
from soundfit.bank.precision import matmul_precision
from soundfit.bank.race import Race, Rungs, Standing
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.seating import Chunk, MakeModule, seat_banks, seat_chunks, stay_in_memory
from soundfit.bank.shard import Shard
from soundfit.bank.threads import at_places, default_workers
from soundfit.executors.executor import Executor
from soundfit.executors.processes import ProcessExecutor, can_fork
from soundfit.records import Config

__all__ = ["Outcome", "train_members"]

Run = ChunkRun | FarRun
Result = TypeVar("Result")

# What a member-step costs beside its parameters, in parameters; and the sum from which (about a second of
# work) processes are worth their start.
_STEP_COSTS = 10_000
_WORTH_A_FORK = 40_000_000


def train_members(
    make_module: MakeModule,
    configs: Sequence[Config],
    rows: Sequence[MemberRows],
    data: BankData,
    *,
    seeds: Sequence[int],
    loss: str | Callable[[Tensor, Tensor], Tensor] = "mse",
    device: torch.device | None = None,
    memory_bytes: int | None = None,
    at_once: int | None = None,
    workers: int | None = None,
    on_epoch: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
    race: Race | None = None,
    executor: Executor | None = None,
    shard: Shard | None = None,
    precision: str = "highest",
    trace: bool = True,
) -> list[Outcome]:
    """Train one member per configuration and return their outcomes in order.

    Modules that ``vmap`` cannot follow train one after the other (``Outcome.loop_reason`` says why).

    Args:
        make_module: builds a member's module from its configuration (under the member's seed).
        configs: one per member.
        rows: one per member.
        data: inputs and targets.
        seeds: one per member: initialisation, dropout and input noise.
        loss: ``"mse"``, ``"cross_entropy"`` or ``loss(output, target) -> scalar``.
        device: where to train; the CPU by default.
        memory_bytes: never hold more members at once than fit here.
        at_once: members in lockstep, instead of what cache and memory suggest.
        workers: chunks trained side by side, each on one thread, in forked processes where the work is worth
            it and the system allows it; by default one per core of a small machine, and one on a GPU. The
            result does not depend on it.
        on_epoch: called with the number of member-epochs just done.
        should_stop: asked between epochs; True ends training with the best so far.
        checkpoint: a folder; the state of each chunk is saved there every ten seconds and at its end,
            and a later call with the same members goes on from it to the same result.
        race: compares all members after some epochs and names those that leave then, with status
            ``dropped``; the result does not depend on chunks or workers.
        executor: trains chunks on its workers, on other machines too; the result does not depend on it.
        shard: this process's part of every batch, where several processes make this very call together.
        precision: of float32 products and convolutions on a GPU: ``"highest"`` (the reference), ``"high"``
            (TF32) or ``"medium"`` (bfloat16 inside), as in ``torch.set_float32_matmul_precision``; or
            ``"bf16"``: training passes under ``torch.autocast``, on any device, evaluation in float32
            (convolutions on a GPU in TF32).
        trace: False runs each step anew instead of replaying a tape (the slow twin of the tests).

    Raises:
        ValueError: lengths differ, or a module has nothing to train.
    """
    if not len(configs) == len(rows) == len(seeds):
        raise ValueError(
            "configs, rows and seeds have one entry per member, however: "
            f"{len(configs)}, {len(rows)} and {len(seeds)}"
        )
    device = device or torch.device("cpu")
    n_workers = workers if workers is not None else default_workers(device)
    if data.feed is not None or shard is not None:
        # Chunks share the tensors that a feed fills anew; processes meet at every step, in one order.
        n_workers, executor = 1, None
    elif device.type == "cuda":
        # A GPU is filled by members, and while a graph is captured no other thread may call it.
        n_workers = 1
    if executor is not None:
        n_workers = min(executor.slots, workers or executor.slots)
    on_device = data.to(device)
    resolved = resolve_loss(loss)
    chunks = [
        chunk
        for number, seats in enumerate(seat_banks(make_module, configs, rows, seeds))
        for chunk in seat_chunks(
            number,
            seats,
            on_device,
            resolved,
            memory_bytes=None if memory_bytes is None else memory_bytes // n_workers,
            at_once=at_once,
        )
    ]
    _warn_of_loops(chunks)
    fingerprint = ""
    if checkpoint is not None:
        fingerprint = _fingerprint(data, loss) + ("bf16" if precision == "bf16" else "")
        if race is not None:
            # Who leaves depends on everybody.
            fingerprint += _race_fingerprint(race, configs, rows, seeds)
    gave_up = threading.Event()

    def asked() -> bool:
        return gave_up.is_set() or (should_stop is not None and should_stop())

    chunks.sort(key=_steps, reverse=True)  # the longest first, so that no worker ends alone with one
    local = executor is None and n_workers > 1 and device.type == "cpu" and _deserves_processes(chunks)
    with (
        tempfile.TemporaryDirectory(prefix="soundfit-") as folder,
        matmul_precision(precision),
        ProcessExecutor(n_workers) if local else nullcontext() as processes,
    ):
        waits_on_disk = race is not None and not stay_in_memory(chunks, device, memory_bytes)
        job = Job(
            on_device,
            resolved,
            on_epoch or (lambda n: None),
            asked if shard is None else (lambda: shard.any(asked())),
            trace,
            checkpoint,
            Path(folder) if waits_on_disk or local else None,
            fingerprint,
            precision == "bf16",
            shard,
            stay_open=not waits_on_disk,
        )
        runs = _open_runs(chunks, job, executor or processes)
        side_by_side = _SideBySide(runs, n_workers, gave_up)
        if race is not None:
            _run_race(side_by_side, race, job)
        finished = side_by_side.do(_to_the_end)
    outcomes = dict(finished)
    return [outcomes[i] for i in range(len(configs))]


def _warn_of_loops(chunks: Sequence[Chunk]) -> None:
    for reason in sorted({c.loop_reason for c in chunks if c.loop_reason and len(c.seats) > 1}):
        warnings.warn(
            f"Members train one after the other, not as one program: {reason}. Expect the time of a loop.",
            RuntimeWarning,
            stacklevel=3,
        )


def _steps(chunk: Chunk) -> int:
    """Return how many member-steps a chunk has before it, each weighed by its parameters."""
    parameters = sum(p.numel() for p in chunk.seats[0].module.parameters())
    return sum(s.config.epochs * s.n_steps * (parameters + _STEP_COSTS) for s in chunk.seats)


def _deserves_processes(chunks: Sequence[Chunk]) -> bool:
    """Return whether forked workers, which start in a tenth of a second, pay."""
    return len(chunks) > 1 and sum(map(_steps, chunks)) > _WORTH_A_FORK and can_fork()


def _open_runs(chunks: Sequence[Chunk], job: Job, executor: Executor | None) -> Sequence[Run]:
    if executor is None:
        return [ChunkRun(chunk, job) for chunk in chunks]
    shared = share_data(job.data, executor)
    return [FarRun(chunk, job, executor, shared) for chunk in chunks]


@dataclass(frozen=True)
class _SideBySide:
    """The runs of a call, ``n_workers`` at a time, each where it was trained before if that is free."""

    runs: Sequence[Run]
    n_workers: int
    gave_up: threading.Event

    def do(self, work: Callable[[Run, int], list[Result]]) -> list[Result]:
        """Return what ``work(run, place)`` finds for all runs."""
        found = at_places(work, self.runs, self.n_workers, lambda run: run.place, self.gave_up.set)
        return [one for part in found for one in part]


def _to_the_end(run: Run, place: int) -> list[tuple[int, Outcome]]:
    run.advance(None, place)
    return run.outcomes()


def _to_rung(epoch: int) -> Callable[[Run, int], list[Standing]]:
    def advance(run: Run, place: int) -> list[Standing]:
        run.advance(epoch, place)
        return run.standings()

    return advance


def _run_race(side_by_side: _SideBySide, race: Race, job: Job) -> None:
    """Train to each rung, let the losers go, and leave the rest ready for the last stretch."""
    path = None
    if job.checkpoint is not None:
        digest = hashlib.blake2b(job.fingerprint.encode(), digest_size=16).hexdigest()
        path = job.checkpoint / f"{digest}.race.json"
    rungs = Rungs(race, path)
    for epoch in race.epochs:
        if epoch not in rungs.left:
            standings = side_by_side.do(_to_rung(epoch))
            if job.should_stop():
                return
            rungs.judge(epoch, sorted(standings, key=lambda s: s.at))
        for run in side_by_side.runs:
            run.drop(rungs.left[epoch], epoch)


def _fingerprint(data: BankData, loss: object) -> str:
    """Return a digest of what all members read and are judged by."""
    digest = hashlib.blake2b(digest_size=16)
    if data.feed is not None:
        digest.update(data.feed.key.encode())
    for tensor in () if data.feed is not None else (data.inputs_VN, data.targets_VN):
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest.update(
        (loss if isinstance(loss, str) else getattr(loss, "__qualname__", repr(type(loss)))).encode()
    )
    return digest.hexdigest()


def _race_fingerprint(
    race: Race, configs: Sequence[Config], rows: Sequence[MemberRows], seeds: Sequence[int]
) -> str:
    digest = hashlib.blake2b(repr((race.key, tuple(race.epochs))).encode(), digest_size=16)
    for config, member_rows, seed in zip(configs, rows, seeds, strict=True):
        fields = json.dumps(config.to_dict(), sort_keys=True, default=repr)
        digest.update(repr((fields, member_rows.stream, member_rows.exam_key, seed)).encode())
    return digest.hexdigest()
