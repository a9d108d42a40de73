"""Processes: jobs on workers forked from this process, which inherit what was put before they began.

Threads would share Python's interpreter lock: with operations of ten microseconds each, two of them gained
1.2 times one on two cores, where two processes gain 1.9. Forked workers start in milliseconds and copy no
data. They live as long as the executor; one that dies is replaced, and its job goes on from the newest
state that it had kept.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import torch

from soundfit.executors.executor import Line, Poll

__all__ = ["ProcessExecutor", "can_fork"]

_LOOK_SECONDS = 0.25
_RETRIES = 3


def can_fork() -> bool:
    """Return whether workers may be forked here.

    On Linux without an accelerator: elsewhere system libraries break in forked processes, and torch's
    autograd starts threads for an accelerator that a fork would not have. A daemonic process has no children.
    """
    return (
        sys.platform == "linux"
        and not torch.cuda.is_available()
        and not multiprocessing.current_process().daemon
    )


@dataclass(frozen=True)
class _Placed:
    """Stands for a value that the workers inherited."""

    at: int


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    flag: mmap.mmap
    """One byte in shared memory: 1 asks the job to stop."""


class ProcessExecutor:
    """So many forked workers as an executor; a context manager.

    Args:
        workers: jobs at a time.
    """

    def __init__(self, workers: int) -> None:
        self._slots = workers
        self._placed: list[Any] = []
        self._workers: dict[int, _Worker] = {}
        self._idle = set(range(workers))
        self._turn = threading.Condition()
        self._retries = 0

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            for place in list(self._workers):
                self._end(place)

    @property
    def slots(self) -> int:
        """Jobs that run at a time."""
        return self._slots

    @property
    def shares_disk(self) -> bool:
        """Whether workers read and write the caller's files."""
        return True

    @property
    def retries(self) -> int:
        """Jobs that were begun again because their worker died."""
        return self._retries

    def put(self, value: Any) -> Any:
        """Keep a value for the workers to inherit; nothing is copied.

        Workers that began before end here, and others are forked in their place.

        Raises:
            RuntimeError: a job is at work.
        """
        with self._turn:
            if len(self._idle) < self._slots:
                raise RuntimeError("values are put while no job is at work: workers inherit them")
            for place in list(self._workers):
                self._end(place)
        self._placed.append(value)
        return _Placed(len(self._placed) - 1)

    def call(self, job: Callable[..., Any], *arguments: Any, poll: Poll, place: int | None = None) -> Any:
        """Run ``job(line, *arguments)`` on a worker, wait for it, and return what it returned.

        Raises:
            MemoryError: workers died at this job again and again, as they do where memory runs out.
        """
        with self._turn:
            self._turn.wait_for(lambda: self._idle if place is None else place in self._idle)
            here = min(self._idle) if place is None else place
            self._idle.remove(here)
        state: bytes | None = None
        try:
            for attempt in range(_RETRIES):
                try:
                    kind, value = _await(self._worker(here), pickle.dumps((job, arguments, state)), poll)
                except _Died as died:
                    state = died.state or state
                    with self._turn:
                        self._end(here)
                        self._retries += attempt + 1 < _RETRIES
                    continue
                except BaseException:
                    # The worker is still at it: whoever comes next gets another one.
                    with self._turn:
                        self._end(here)
                    raise
                if kind == "raised":
                    raise value
                return value
            raise MemoryError(
                f"the system ended a worker {_RETRIES} times at the same part of a training, "
                "as it does where memory runs out"
            )
        finally:
            with self._turn:
                self._idle.add(here)
                self._turn.notify_all()

    def _worker(self, place: int) -> _Worker:
        """Return the worker at a place, forked now if there is none."""
        with self._turn, warnings.catch_warnings():
            if place in self._workers:
                return self._workers[place]
            # Python warns of locks that other threads hold at the fork: those of a progress bar, which the
            # worker never takes.
            warnings.simplefilter("ignore", DeprecationWarning)
            context = multiprocessing.get_context("fork")
            ours, theirs = context.Pipe()
            flag = mmap.mmap(-1, 1)
            not_mine = [ours, *(w.line for w in self._workers.values())]
            process = context.Process(target=_work, args=(theirs, flag, self._placed, not_mine), daemon=True)
            process.start()
            theirs.close()
            self._workers[place] = _Worker(process, ours, flag)
            return self._workers[place]

    def _end(self, place: int) -> None:
        worker = self._workers.pop(place, None)
        if worker is not None:
            worker.line.close()
            worker.process.kill()
            worker.process.join()


class _Died(Exception):
    """A worker went away during a job, having kept this state."""

    def __init__(self, state: bytes | None) -> None:
        super().__init__("a worker died")
        self.state = state


def _await(worker: _Worker, request: bytes, poll: Poll) -> tuple[str, Any]:
    """Hand a job to a worker and follow it to its end: what it ``returned`` or ``raised``."""
    done, newest, kept = 0, None, None
    worker.flag[0] = 0
    looked = time.monotonic()
    try:
        worker.line.send_bytes(request)
        while True:
            if worker.line.poll(_LOOK_SECONDS):
                kind, value = pickle.loads(worker.line.recv_bytes())
                if kind in ("returned", "raised"):
                    return kind, value
                if kind == "told":
                    done = value
                else:
                    newest = kept = value
            if time.monotonic() - looked > _LOOK_SECONDS:
                worker.flag[0] = poll(done, newest)
                newest, looked = None, time.monotonic()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise _Died(kept) from None


# ---- in the workers --------------------------------------------------------------------------------------


class _PipeLine(Line):
    """A job's line to its caller, through a pipe and a byte of shared memory."""

    def __init__(self, line: Connection, flag: mmap.mmap, state: bytes | None) -> None:
        self.line, self.flag, self.state = line, flag, state

    def latest(self) -> bytes | None:
        return self.state

    def tell(self, done: int) -> bool:
        self.line.send_bytes(pickle.dumps(("told", done)))
        return bool(self.flag[0])

    def keep(self, state: bytes) -> None:
        self.line.send_bytes(pickle.dumps(("kept", state)))


def _work(line: Connection, flag: mmap.mmap, placed: list[Any], not_mine: list[Connection]) -> None:
    """Do jobs until the caller hangs up."""
    # Ctrl-C reaches the whole group: what is to be done then is the caller's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in not_mine:
        other.close()
    torch.set_num_threads(1)
    try:
        while True:
            job, arguments, state = pickle.loads(line.recv_bytes())
            values = [placed[a.at] if isinstance(a, _Placed) else a for a in arguments]
            line.send_bytes(_answer(job, _PipeLine(line, flag, state), values))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def _answer(job: Callable[..., Any], line: Line, values: list[Any]) -> bytes:
    try:
        return pickle.dumps(("returned", job(line, *values)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        error.add_note("In a worker process:\n" + traceback.format_exc())
        try:
            return pickle.dumps(("raised", error))
        except Exception:  # an error of a class that cannot travel
            return pickle.dumps(("raised", RuntimeError(traceback.format_exc())))
