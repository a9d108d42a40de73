"""Ray: jobs as tasks of a Ray cluster, started on this machine or joined by its address.

Ray begins a task again where its worker or its machine dies; the job then asks for the newest state that
the attempt before had kept. A small actor, the desk, lies between callers and jobs: jobs leave word there,
callers look.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import TracebackType
from typing import Any

from soundfit.errors import UsageError
from soundfit.executors.executor import Line, Poll
from soundfit.records.said import say

__all__ = ["RayExecutor"]

_LOOK_SECONDS = 0.25
_RETRIES = 8
_STARTS = 4
# More threads than this would only wait: Ray queues what is beyond.
_MOST_SLOTS = 256
_PACKAGES = ("soundfit", "torch", "numpy")


class RayExecutor:
    """A Ray cluster as an executor; a context manager.

    Args:
        address: of a running cluster, as ``ray.init`` takes it (``auto``, ``HOST:6379``); one of this
            machine's cores is started, and ended afterwards, if None.
        workers: jobs at a time; all cores (or GPUs) of the cluster by default.
        gpus: whether a job takes one GPU, instead of one core alone.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None, *, workers: int | None = None, gpus: bool = False) -> None:
        self.address, self.gpus = address, gpus
        self._workers = workers
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._retries = 0
        self._own = False
        self._ray = _import_ray()

    def __enter__(self) -> RayExecutor:
        ray = self._ray
        if not ray.is_initialized():
            self._own = True
            _start(ray, self.address, self._workers)
        self._work = ray.remote(_work)
        # With the caller, whose machine may not be lost anyway.
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        desk = ray.remote(_Desk).options(num_cpus=0, max_concurrency=64, scheduling_strategy=here)
        self._desk = desk.remote()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            self._ray.shutdown()
        else:
            self._ray.kill(self._desk)

    @property
    def slots(self) -> int:
        """Jobs that run at a time."""
        if self._workers is not None:
            return self._workers
        resources = self._ray.cluster_resources()
        return max(1, min(int(resources.get("GPU" if self.gpus else "CPU", 1)), _MOST_SLOTS))

    @property
    def shares_disk(self) -> bool:
        """Whether workers read and write the caller's files."""
        return False

    @property
    def retries(self) -> int:
        """Jobs that were begun again because their worker died."""
        return self._retries

    def put(self, value: Any) -> Any:
        """Bring a value where all workers can read it: once per machine, not once per job."""
        return self._ray.put(value)

    def call(self, job: Callable[..., Any], *arguments: Any, poll: Poll, place: int | None = None) -> Any:
        """Run ``job(line, *arguments)`` on a worker, wait for it, and return what it returned."""
        ray, key = self._ray, next(self._numbers)
        options = {"num_cpus": 1, "num_gpus": 1 if self.gpus else 0, "max_retries": _RETRIES}
        task = self._work.options(**options).remote(job, self._desk, key, _versions(), *arguments)
        stopped = False
        try:
            while True:
                ready, _ = ray.wait([task], timeout=_LOOK_SECONDS)
                if ready:
                    return ray.get(task)
                done, state = ray.get(self._desk.look.remote(key))
                if poll(done, state) and not stopped:
                    stopped = True
                    ray.get(self._desk.stop.remote(key))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from error
            raise
        except BaseException:
            ray.cancel(task, force=True)
            raise
        finally:
            with self._lock:
                self._retries += ray.get(self._desk.close.remote(key))


def _import_ray() -> Any:
    # Ray reads these when it is imported: no word to the outside, no colours in our progress.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError:
        raise UsageError(
            "--executor ray needs Ray",
            received="an environment without it",
            fix="pip install 'soundfit[ray]', or leave --executor out to train on this machine",
        ) from None
    return ray


def _start(ray: Any, address: str | None, workers: int | None) -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = {"num_cpus": workers or usable, "include_dashboard": False, "address": "local"}
    options = own if address is None else {"address": address}
    try:
        if address is not None:
            _knock(address)
        for attempt in range(_STARTS):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
                return
            except Exception as error:
                # On a busy machine Ray gives up on its own processes after half a minute.
                if "timed out during startup" not in str(error) or attempt == _STARTS - 1:
                    raise
                ray.shutdown()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            "--ray-address is the address of a Ray cluster that runs",
            received=f"{address!r}: {str(error).strip().splitlines()[0][:200]}",
            fix="start one by 'ray start --head', or leave the option out to start one on this machine",
        ) from error


def _knock(address: str) -> None:
    """Fail at once where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _PACKAGES}


# ---- on the workers --------------------------------------------------------------------------------------


def _work(job: Callable[..., Any], desk: Any, key: int, versions: dict[str, str], *arguments: Any) -> Any:
    here = _versions()
    if here != versions:
        raise UsageError(
            say("All machines of a Ray cluster have the same versions of {list}", list=", ".join(_PACKAGES)),
            received=say(
                "{versions} where the command runs and {here} on a worker", versions=versions, here=here
            ),
            fix="install the same versions everywhere",
        )
    return job(_DeskLine(desk, key), *arguments)


class _DeskLine(Line):
    """A job's line to its caller, by way of the desk."""

    def __init__(self, desk: Any, key: int) -> None:
        self.desk, self.key = desk, key

    def latest(self) -> bytes | None:
        state: bytes | None = self._get(self.desk.begin.remote(self.key, os.getpid()))
        return state

    def tell(self, done: int) -> bool:
        return bool(self._get(self.desk.tell.remote(self.key, done)))

    def keep(self, state: bytes) -> None:
        self._get(self.desk.keep.remote(self.key, state))

    def _get(self, reference: Any) -> Any:
        import ray

        return ray.get(reference)


@dataclass
class _Note:
    """What the desk knows of one job."""

    attempts: int = 0
    worker: int = 0
    done: int = 0
    state: bytes | None = None
    is_fresh: bool = False
    stop: bool = False


class _Desk:
    """Where jobs leave word and callers look."""

    def __init__(self) -> None:
        self.notes: dict[int, _Note] = {}

    def begin(self, key: int, worker: int) -> bytes | None:
        note = self.notes.setdefault(key, _Note())
        note.attempts += 1
        note.worker = worker
        return note.state

    def tell(self, key: int, done: int) -> bool:
        note = self.notes.setdefault(key, _Note())
        note.done = max(note.done, done)
        return note.stop

    def keep(self, key: int, state: bytes) -> None:
        note = self.notes.setdefault(key, _Note())
        note.state, note.is_fresh = state, True

    def look(self, key: int) -> tuple[int, bytes | None]:
        note = self.notes.setdefault(key, _Note())
        state = note.state if note.is_fresh else None
        note.is_fresh = False
        return note.done, state

    def stop(self, key: int) -> None:
        self.notes.setdefault(key, _Note()).stop = True

    def close(self, key: int) -> int:
        return max(0, self.notes.pop(key, _Note()).attempts - 1)

    def workers(self) -> list[int]:
        """Return the process of each job at work that has kept a state."""
        return [note.worker for note in self.notes.values() if note.state is not None]
