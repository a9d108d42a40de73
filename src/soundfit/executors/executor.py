"""Executor: the interface between whoever has jobs and a place of many workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Executor", "Line", "Poll"]

# What the caller is told while it waits: how far the job is, and its newest state where there is one.
# It returns whether the job should stop.
Poll = Callable[[int, bytes | None], bool]


class Line(Protocol):
    """A job's line to its caller."""

    def latest(self) -> bytes | None:
        """Return the newest state that an earlier attempt at this job kept; None at the first."""

    def tell(self, done: int) -> bool:
        """Say how far the job is; return whether it should stop."""

    def keep(self, state: bytes) -> None:
        """Keep a state from which the job could go on elsewhere."""


class Executor(Protocol):
    """Runs jobs on workers, several at a time."""

    @property
    def slots(self) -> int:
        """Jobs that run at a time."""

    @property
    def shares_disk(self) -> bool:
        """Whether workers read and write the caller's files."""

    @property
    def retries(self) -> int:
        """Jobs that were begun again because their worker died."""

    def put(self, value: Any) -> Any:
        """Bring a value where all workers can read it, and return what stands for it in ``call``."""

    def call(self, job: Callable[..., Any], *arguments: Any, poll: Poll, place: int | None = None) -> Any:
        """Run ``job(line, *arguments)`` on a worker, wait for it, and return what it returned.

        ``place`` asks for one of the ``slots``, where workers remember what they did; any if None.

        Safe to call from several threads. What the job raises is raised here.
        """
