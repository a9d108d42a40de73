"""Train members: seat them in banks, train chunk by chunk, hand back the best.

The one entrance to the engine for whoever has members to train. Knows no metrics and no tables.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soundfit.bank.bank import Bank
from soundfit.bank.loss import Loss, resolve_loss
from soundfit.bank.optimizer import Scales
from soundfit.bank.outcome import Outcome, outcomes_of
from soundfit.bank.program import LoopProgram
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.seating import Chunk, MakeModule, seat_banks, seat_chunks
from soundfit.bank.stack import Stack, stack_modules
from soundfit.bank.state import load_file, save_state
from soundfit.bank.threads import default_workers, in_threads
from soundfit.records import Config

__all__ = ["Outcome", "train_members"]

# Between two saves of a chunk.
SAVE_SECONDS = 10.0


@dataclass(frozen=True)
class _Job:
    """What all chunks of a call share."""

    data: BankData
    loss: Loss
    on_epoch: Callable[[int], None]
    should_stop: Callable[[], bool]
    trace: bool
    checkpoint: Path | None
    fingerprint: str


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
        workers: chunks trained side by side, each on one thread; by default one per core of a small
            machine, and one on a GPU. The result does not depend on it.
        on_epoch: called with the number of member-epochs just done.
        should_stop: asked between epochs; True ends training with the best so far.
        checkpoint: a folder; the state of each chunk is saved there every ten seconds and at its end,
            and a later call with the same members goes on from it to the same result.
        precision: of float32 matrix products on a GPU: ``"highest"`` (the reference), ``"high"`` (TF32) or
            ``"medium"`` (bfloat16 inside), as in ``torch.set_float32_matmul_precision``.
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
    fingerprint = _fingerprint(data, loss) if checkpoint is not None else ""
    job = _Job(
        data.to(device),
        resolve_loss(loss),
        on_epoch or (lambda n: None),
        should_stop or (lambda: False),
        trace,
        checkpoint,
        fingerprint,
    )
    n_workers = workers if workers is not None else default_workers(device)
    chunks = [
        chunk
        for number, seats in enumerate(seat_banks(make_module, configs, rows, seeds))
        for chunk in seat_chunks(
            number,
            seats,
            job.data,
            job.loss,
            memory_bytes=None if memory_bytes is None else memory_bytes // n_workers,
            at_once=at_once,
        )
    ]
    with _matmul_precision(precision):
        finished = in_threads(lambda chunk: _train_chunk(chunk, job), chunks, n_workers)
    outcomes = dict(pair for pairs in finished for pair in pairs)
    return [outcomes[i] for i in range(len(configs))]


@contextmanager
def _matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _train_chunk(chunk: Chunk, job: _Job) -> list[tuple[int, Outcome]]:
    """Train a chunk; where memory runs out, its halves one after the other."""
    try:
        bank = _open_bank(chunk, job)
        _run(bank, chunk, job)
        return [(s.at, o) for s, o in zip(chunk.seats, outcomes_of(bank, chunk), strict=True)]
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if len(chunk.seats) == 1 or not _out_of_memory(error):
            raise
    # Outside of the handler: its traceback holds the bank that did not fit.
    if job.data.inputs_VN.is_cuda:
        torch.cuda.empty_cache()
    return [pair for half in chunk.halves() for pair in _train_chunk(half, job)]


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _open_bank(chunk: Chunk, job: _Job) -> Bank:
    seats, first, device = chunk.seats, chunk.seats[0], job.data.inputs_VN.device
    stack = stack_modules(
        [s.module for s in seats], sample=job.data.sample(max(2, first.batch)), device=device
    )
    return Bank(
        stack,
        [s.config for s in seats],
        [s.rows for s in seats],
        job.data,
        job.loss,
        seeds=[s.seed for s in seats],
        # With a step or two an epoch, evaluating each epoch would cost more than training.
        evaluate_every=max(1, round(8 / first.n_steps)),
        scales=_scales(first.module, stack, device),
        program=LoopProgram(stack, job.loss) if chunk.loop_reason else None,
        trace=job.trace,
    )


def _scales(module: nn.Module, stack: Stack, device: torch.device) -> Scales:
    """Read a module's ``parameter_scales`` (name → factors on learning rate and decay), if it has any."""
    factors = getattr(module, "parameter_scales", None)
    if not factors:
        return Scales()
    rate = torch.ones(1, stack.params_MP.shape[1], device=device)
    decay = torch.ones_like(rate)
    for slot in stack.slots:
        rate[:, slot.start : slot.start + slot.size], decay[:, slot.start : slot.start + slot.size] = (
            factors.get(slot.name, (1.0, 1.0))
        )
    return Scales(rate, decay)


def _run(bank: Bank, chunk: Chunk, job: _Job) -> None:
    """Train to the end, from a saved state if there is one, saving now and then."""
    path = None if job.checkpoint is None else job.checkpoint / f"{_chunk_name(chunk, job)}.safetensors"
    state = load_file(path) if path is not None else None
    if state is not None:
        bank.load_state_dict(state)
    total = int(bank.n_epochs.sum())
    told = 0
    saved = time.monotonic()
    while bank.running and not job.should_stop():
        bank.run_epoch()
        # Members that stopped early count as through, so that the bar ends where it should.
        counts = zip(bank.n_epochs, bank.progress.epochs, bank.progress.status, strict=True)
        done = sum(int(n) if status != "training" else int(e) for n, e, status in counts)
        job.on_epoch(done - told)
        told = done
        if path is not None and bank.running and time.monotonic() - saved > SAVE_SECONDS:
            save_state(bank.state_dict(), path)
            saved = time.monotonic()
    if path is not None:
        save_state(bank.state_dict(), path)
    if told < total:
        job.on_epoch(total - told)


def _fingerprint(data: BankData, loss: object) -> str:
    """Return a digest of what all members read and are judged by."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in (data.inputs_VN, data.targets_VN):
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest.update(
        (loss if isinstance(loss, str) else getattr(loss, "__qualname__", repr(type(loss)))).encode()
    )
    return digest.hexdigest()


def _chunk_name(chunk: Chunk, job: _Job) -> str:
    """Name a chunk by everything that its result depends on."""
    digest = hashlib.blake2b(job.fingerprint.encode(), digest_size=16)
    for seat in chunk.seats:
        shapes = [(n, tuple(t.shape)) for n, t in seat.module.state_dict().items()]
        config = json.dumps(seat.config.to_dict(), sort_keys=True, default=repr)
        digest.update(repr((config, seat.seed, seat.rows.stream, seat.rows.exam_key, shapes)).encode())
    return digest.hexdigest()
