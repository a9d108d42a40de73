"""FarRun: one chunk's training on a worker of an executor, with the face of a ChunkRun.

What goes there: the chunk, the data (once per machine) and a state to go on from. What comes back: how far
it is, its state now and then, where its members stand at a rung, their outcomes. A worker that dies costs
at most what was trained since its last state. Knows no Ray.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from soundfit.bank import chunk_run
from soundfit.bank.chunk_run import ChunkRun, Job, chunk_name
from soundfit.bank.loss import Loss
from soundfit.bank.outcome import Outcome
from soundfit.bank.race import Standing
from soundfit.bank.rows import BankData
from soundfit.bank.seating import Chunk
from soundfit.executors.executor import Executor, Line
from soundfit.executors.threads import one_thread

__all__ = ["FarRun", "share_data"]

_TELL_SECONDS = 0.25


@dataclass(frozen=True)
class _Terms:
    """How a worker trains."""

    loss: Loss
    device: str
    trace: bool
    precision: str
    autocast: bool
    save_seconds: float
    checkpoint: Path | None
    folder: Path | None
    """Where the caller keeps states, if the worker can write there: then they do not travel."""
    fingerprint: str
    stay_open: bool
    """Whether a worker keeps the banks of chunks that wait at a rung, beside their states."""


@dataclass(frozen=True)
class _Stretch:
    """What a worker brings back: the chunk's state, and standings at a rung or outcomes at the end.

    Modules travel as their tensors: a class that is defined in a function cannot.
    """

    state: bytes | None
    standings: list[Standing]
    outcomes: list[tuple[int, Outcome]] | None


def share_data(data: BankData, executor: Executor) -> Any:
    """Bring the data where all workers can read it; return what stands for it."""
    return executor.put((data.inputs_VN.cpu().numpy(), data.targets_VN.cpu().numpy()))


class FarRun:
    """Train a chunk elsewhere, in one go or from rung to rung."""

    def __init__(self, chunk: Chunk, job: Job, executor: Executor, shared: Any) -> None:
        self.chunk, self.job, self.executor, self.shared = chunk, job, executor, shared
        self._dropped: dict[int, int] = {}
        self._told = 0
        #: Where the last stretch was trained.
        self.place: int | None = None
        self._stretch: _Stretch | None = None
        folder = job.checkpoint or job.parking
        self._path = None if folder is None else folder / f"{chunk_name(chunk, job.fingerprint)}.safetensors"
        self._held: bytes | None = None
        terms = _Terms(
            job.loss,
            job.data.inputs_VN.device.type,
            job.trace,
            torch.get_float32_matmul_precision(),
            job.autocast,
            chunk_run.SAVE_SECONDS,
            job.checkpoint if executor.shares_disk else None,
            folder if executor.shares_disk else None,
            job.fingerprint,
            job.stay_open and executor.shares_disk and folder is not None,
        )
        self._travels = terms.folder is None
        self._work = executor.put((chunk, terms))

    def advance(self, until: int | None = None, place: int | None = None) -> None:
        """Train to the end of epoch ``until``, or to the end, at a ``place`` of the executor."""
        if self._stretch is not None and self._stretch.outcomes is not None:
            return
        stays = place is not None and place == self.place
        arguments = (self._work, self.shared, self._state(), self._dropped, until, stays)
        stretch: _Stretch = self.executor.call(train_stretch, *arguments, poll=self._poll, place=place)
        self.place = place
        self._keep(stretch.state)
        self._stretch = replace(stretch, state=None)
        if self._stretch.outcomes is not None:
            self._tell(sum(s.config.epochs for s in self.chunk.seats))
            self._held = None

    def standings(self) -> list[Standing]:
        """Return where all members stand."""
        assert self._stretch is not None
        return self._stretch.standings

    def drop(self, those: Collection[int], epoch: int) -> None:
        """Take members (positions in the call) out of training after ``epoch``."""
        mine = {s.at for s in self.chunk.seats} & set(those)
        self._dropped.update(dict.fromkeys(mine, epoch))

    def outcomes(self) -> list[tuple[int, Outcome]]:
        """Return the members' positions and outcomes."""
        assert self._stretch is not None
        assert self._stretch.outcomes is not None
        modules = {seat.at: seat.module for seat in self.chunk.seats}
        return [(at, replace(outcome, template=modules[at])) for at, outcome in self._stretch.outcomes]

    def _state(self) -> bytes | None:
        """Return the newest state that a worker needs: from where it is saved, or from memory."""
        if self._path is None or not self._travels:
            return self._held
        return self._path.read_bytes() if self._path.exists() else None

    def _poll(self, done: int, state: bytes | None) -> bool:
        self._tell(done)
        self._keep(state)
        return self.job.should_stop()

    def _tell(self, done: int) -> None:
        if done > self._told:
            self.job.on_epoch(done - self._told)
            self._told = done

    def _keep(self, state: bytes | None) -> None:
        if state is None:
            return
        if self._path is None:
            self._held = state
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(state)
        os.replace(partial, self._path)


# ---- on the worker ---------------------------------------------------------------------------------------


class _Teller:
    """Tells the line how far the chunk is, and gives it each state that was saved since."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self.path: Path | None = None
        self.done = 0
        self.stopped = False
        self.told_at = 0.0
        self.saved_at = 0

    def watch(self, path: Path) -> None:
        """Watch the file of states; what lies there now is known to the caller."""
        self.path = path
        self.saved_at = path.stat().st_mtime_ns if path.exists() else 0

    def should_stop(self) -> bool:
        return self.stopped

    def on_epoch(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.told_at < _TELL_SECONDS:
            return
        self.told_at = now
        assert self.line is not None
        self.stopped = self.line.tell(self.done)
        if self.path is None:
            return
        saved_at = self.path.stat().st_mtime_ns if self.path.exists() else 0
        if saved_at > self.saved_at:
            self.saved_at = saved_at
            self.line.keep(self.path.read_bytes())


# The chunks that wait at a rung in this worker, by name.
_OPEN: dict[str, tuple[ChunkRun, _Teller]] = {}


def train_stretch(
    line: Line,
    work: tuple[Chunk, _Terms],
    data: tuple[np.ndarray, np.ndarray],
    state: bytes | None,
    dropped: dict[int, int],
    until: int | None,
    stays: bool,
) -> _Stretch:
    """Train a chunk from a state to a rung or to its end, telling ``line`` how far it is.

    ``stays`` says that this worker trained the chunk's last stretch.
    """
    chunk, terms = work
    chunk_run.SAVE_SECONDS = terms.save_seconds
    torch.set_float32_matmul_precision(terms.precision)
    with _folder(terms) as folder, one_thread():
        name = chunk_name(chunk, terms.fingerprint)
        kept = _OPEN.pop(name, None)
        run, teller = kept if stays and kept is not None else _open(chunk, terms, data, folder)
        teller.line, teller.stopped = line, False
        path = folder / f"{name}.safetensors"
        if terms.folder is None:
            latest = line.latest() or state
            if latest is not None:
                path.write_bytes(latest)
            teller.watch(path)
        for at, epoch in dropped.items():
            run.drop([at], epoch)
        run.advance(until)
        standings = run.standings()
        is_through = until is None or all(s.status != "training" for s in standings)
        outcomes = run.outcomes() if is_through else None
        state = path.read_bytes() if terms.folder is None and path.exists() else None
        if outcomes is None:
            if terms.stay_open:
                _OPEN[name] = run, teller
            return _Stretch(state, standings, None)
        return _Stretch(state, standings, [(at, _bare(chunk, o)) for at, o in outcomes])


@contextmanager
def _folder(terms: _Terms) -> Iterator[Path]:
    if terms.folder is not None:
        yield terms.folder
        return
    with tempfile.TemporaryDirectory(prefix="soundfit-") as place:
        yield Path(place)


def _open(
    chunk: Chunk, terms: _Terms, data: tuple[np.ndarray, np.ndarray], folder: Path
) -> tuple[ChunkRun, _Teller]:
    teller = _Teller()
    job = Job(
        _data(data).to(torch.device(terms.device)),
        terms.loss,
        teller.on_epoch,
        teller.should_stop,
        terms.trace,
        folder if terms.folder is None else terms.checkpoint,
        folder,
        terms.fingerprint,
        terms.autocast,
        stay_open=terms.stay_open,
    )
    return ChunkRun(chunk, job), teller


def _data(arrays: tuple[np.ndarray, np.ndarray]) -> BankData:
    # Ray's shared memory is read-only, and so is all that a bank does with its data.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        inputs, targets = (torch.from_numpy(a) for a in arrays)
        return BankData(inputs, targets)


def _bare(chunk: Chunk, outcome: Outcome) -> Outcome:
    """Return an outcome that travels without its template, and without what other members' tensors share."""
    tensors = {name: t.clone() for name, t in outcome.tensors.items()}
    return replace(outcome, bank=chunk.bank, template=nn.Identity(), tensors=tensors)
