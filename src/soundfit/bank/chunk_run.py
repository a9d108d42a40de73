"""ChunkRun: one chunk's training from its first epoch to its outcomes, whatever comes between.

Opens the bank when it is first needed, halves the chunk where memory runs out, saves its state now and then,
waits at rungs (in memory, or on disk where memory is short). Knows no metrics and no other chunks.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from soundfit.bank.alone import AloneProgram
from soundfit.bank.bank import Bank
from soundfit.bank.loss import Loss
from soundfit.bank.optimizer import Scales
from soundfit.bank.outcome import Outcome, outcomes_of, standings_of
from soundfit.bank.program import LoopProgram, Program
from soundfit.bank.race import Standing
from soundfit.bank.rows import BankData
from soundfit.bank.seating import Chunk
from soundfit.bank.shard import Shard
from soundfit.bank.stack import Stack, stack_modules
from soundfit.bank.state import load_file, save_state

__all__ = ["SAVE_SECONDS", "ChunkRun", "Job"]

# Between two saves of a chunk.
SAVE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """What all chunks of a call share.

    ``checkpoint`` is where states are saved now and then; ``parking`` where chunks that wait at a rung leave
    theirs instead of holding memory. Either may be None.
    """

    data: BankData
    loss: Loss
    on_epoch: Callable[[int], None]
    should_stop: Callable[[], bool]
    trace: bool
    checkpoint: Path | None
    parking: Path | None
    fingerprint: str
    autocast: bool = False
    shard: Shard | None = None
    stay_open: bool = False
    """Whether chunks that wait at a rung keep their banks too."""


class ChunkRun:
    """Train a chunk in one go, or from rung to rung with members dropped between."""

    def __init__(self, chunk: Chunk, job: Job) -> None:
        self.chunk, self.job = chunk, job
        self._bank: Bank | None = None
        self._outcomes: list[tuple[int, Outcome]] | None = None
        self._halves: tuple[ChunkRun, ChunkRun] | None = None
        self._dropped: dict[int, int] = {}
        self._told = 0
        folder = job.checkpoint or job.parking
        self._path = None if folder is None else folder / f"{chunk_name(chunk, job.fingerprint)}.safetensors"

    #: A chunk of this process has no place that it would rather go back to.
    place: int | None = None

    def advance(self, until: int | None = None, place: int | None = None) -> None:
        """Train to the end of epoch ``until``, or to the end; where memory runs out, in two halves."""
        if self._outcomes is not None:
            return
        if self._halves is None:
            try:
                self._train(until)
                return
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if len(self.chunk.seats) == 1 or not _out_of_memory(error):
                    raise
            # Outside of the handler: its traceback holds the bank that did not fit.
            self._halve()
        assert self._halves is not None
        for half in self._halves:
            half.advance(until)

    def standings(self) -> list[Standing]:
        """Return where all members stand."""
        if self._halves is not None:
            return [s for half in self._halves for s in half.standings()]
        if self._outcomes is not None:
            return [
                Standing(at, o.status, o.epochs, o.best_epoch, o.validation_outputs)
                for at, o in self._outcomes
            ]
        standings = standings_of(self._open(), self.chunk)
        self._park()
        return standings

    def drop(self, those: Collection[int], epoch: int) -> None:
        """Take members (positions in the call) out of training after ``epoch``."""
        if self._halves is not None:
            for half in self._halves:
                half.drop(those, epoch)
            return
        mine = {s.at for s in self.chunk.seats} & set(those)
        self._dropped.update(dict.fromkeys(mine, epoch))

    def outcomes(self) -> list[tuple[int, Outcome]]:
        """Return the members' positions and outcomes; frees the bank."""
        if self._halves is not None:
            return [pair for half in self._halves for pair in half.outcomes()]
        if self._outcomes is None:
            self._close(self._open())
        assert self._outcomes is not None
        return self._outcomes

    # ---- inside --------------------------------------------------------------------------------------

    def _train(self, until: int | None) -> None:
        job, bank = self.job, self._open()
        saved = time.monotonic()
        self._drop_due(bank)
        while bank.running and (until is None or bank.epoch < until) and not job.should_stop():
            if job.data.feed is not None:
                job.data.feed.fill(bank.epoch + 1, job.data)
            bank.run_epoch()
            self._drop_due(bank)
            # Members that stopped early count as through, so that the bar ends where it should.
            training = bank.progress.status == "training"
            self._tell(int(np.where(training, bank.progress.epochs, bank.n_epochs).sum()))
            if bank.running and time.monotonic() - saved > SAVE_SECONDS:
                self._checkpoint(bank)
                saved = time.monotonic()
        if until is None or not bank.running:
            self._close(bank)

    def _open(self) -> Bank:
        if self._bank is None:
            self._bank = open_bank(self.chunk, self.job)
            state = load_file(self._path) if self._path is not None else None
            if state is not None:
                self._bank.load_state_dict(state)
        return self._bank

    def _drop_due(self, bank: Bank) -> None:
        """Let go who lost at this rung or before; a chunk that begins anew passes its rungs again."""
        due = [
            i
            for i, seat in enumerate(self.chunk.seats)
            if self._dropped.get(seat.at, bank.epoch + 1) <= bank.epoch
            and bank.progress.status[i] == "training"
        ]
        if due:
            bank.drop(due)

    def _park(self) -> None:
        if self.job.parking is not None and self._bank is not None:
            self._save(self._bank)
            if not self.job.stay_open:
                self._bank = None

    def _close(self, bank: Bank) -> None:
        self._tell(int(bank.n_epochs.sum()))
        self._checkpoint(bank)
        outcomes = outcomes_of(bank, self.chunk)
        self._outcomes = [(s.at, o) for s, o in zip(self.chunk.seats, outcomes, strict=True)]
        self._bank = None

    def _checkpoint(self, bank: Bank) -> None:
        """Save the state where it is asked for; a full disk does not end the training."""
        if self.job.checkpoint is None:
            return
        try:
            self._save(bank)
        except (OSError, SafetensorError) as error:
            warnings.warn(
                f"The state of training could not be saved ({error}): training goes on, but what is not "
                "saved is trained again if it is interrupted. Fix: free some space.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _save(self, bank: Bank) -> None:
        assert self._path is not None
        save_state(bank.state_dict(), self._path)

    def _tell(self, done: int) -> None:
        if done > self._told:
            self.job.on_epoch(done - self._told)
            self._told = done

    def _halve(self) -> None:
        self._bank = None
        if self.job.data.inputs_VN.is_cuda:
            torch.cuda.empty_cache()
        # What was told already is not told again.
        job = replace(self.job, on_epoch=_after(self._told, self.job.on_epoch))
        first, second = (ChunkRun(half, job) for half in self.chunk.halves())
        self._halves = (first, second)
        for half in self._halves:
            half._dropped = dict(self._dropped)


def _after(n: int, on_epoch: Callable[[int], None]) -> Callable[[int], None]:
    """Return ``on_epoch`` that keeps silent about the first n member-epochs."""
    left = n

    def tell(done: int) -> None:
        nonlocal left
        silent = min(left, done)
        left -= silent
        if done > silent:
            on_epoch(done - silent)

    return tell


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def open_bank(chunk: Chunk, job: Job) -> Bank:
    """Stack a chunk's modules into a bank before its first epoch."""
    seats, first, device = chunk.seats, chunk.seats[0], job.data.inputs_VN.device
    stack = stack_modules(
        [s.module for s in seats], sample=job.data.sample(max(2, first.batch)), device=device
    )
    bank = Bank(
        stack,
        [s.config for s in seats],
        [s.rows for s in seats],
        job.data,
        job.loss,
        seeds=[s.seed for s in seats],
        # With a step or two an epoch, evaluating each epoch would cost more than training.
        evaluate_every=max(1, round(8 / first.n_steps)),
        scales=_scales(first.module, stack, device),
        program=_program(chunk, stack, job.loss),
        trace=job.trace,
        shard=job.shard,
    )
    bank.program.autocast = job.autocast
    return bank


def _program(chunk: Chunk, stack: Stack, loss: Loss) -> Program | None:
    if chunk.alone:
        return AloneProgram(stack, loss)
    return LoopProgram(stack, loss) if chunk.loop_reason else None


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


def chunk_name(chunk: Chunk, fingerprint: str) -> str:
    """Name a chunk by everything that its result depends on."""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=16)
    for seat in chunk.seats:
        shapes = [(n, tuple(t.shape)) for n, t in seat.module.state_dict().items()]
        config = json.dumps(seat.config.to_dict(), sort_keys=True, default=repr)
        digest.update(repr((config, seat.seed, seat.rows.stream, seat.rows.exam_key, shapes)).encode())
    return digest.hexdigest()
