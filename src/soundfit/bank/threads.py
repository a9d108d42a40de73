"""Threads: one torch thread per worker on a small machine, and chunks side by side on its cores.

A bank's matrix products are small: two OpenMP threads inside one product win little, and on a busy
machine each waits at barriers for the other's turn on a core (×93 in one measurement). Whole chunks on
threads of their own never wait for each other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

from soundfit.executors.threads import one_thread

__all__ = ["at_places", "default_workers"]

#: Up to this many cores, each worker trains on one torch thread.
SMALL_MACHINE = 8

Job = TypeVar("Job")
Result = TypeVar("Result")


def default_workers(device: torch.device) -> int:
    """Return how many chunks to train side by side: one per usable core, at most eight; one on a GPU."""
    if device.type != "cpu":
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, SMALL_MACHINE))


def at_places(
    work: Callable[[Job, int], Result],
    jobs: Sequence[Job],
    n_places: int,
    place_of: Callable[[Job], int | None] = lambda _: None,
    give_up: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Return the results of ``work(job, place)`` in order, ``n_places`` at a time, one torch thread each.

    Each place does first the jobs that want it, then those that want none, then the last ones of others.
    The first error, or Ctrl-C, ends the wait: jobs that have not begun are dropped, and ``give_up`` is called
    to tell those at work to end early.
    """
    with one_thread():
        if n_places <= 1 or len(jobs) <= 1:
            return [work(job, 0) for job in jobs]
        results: dict[int, Result] = {}
        left = list(range(len(jobs)))
        lock = threading.Lock()

        def take(place: int) -> int | None:
            with lock:
                wanted = [place_of(jobs[at]) for at in left]
                for wish in (place, None):
                    if wish in wanted:
                        return left.pop(wanted.index(wish))
                return left.pop() if left else None

        def follow(place: int) -> None:
            while (at := take(place)) is not None:
                results[at] = work(jobs[at], place)

        # The number of OpenMP threads belongs to each thread: set it in every worker.
        with ThreadPoolExecutor(n_places, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(follow, place) for place in range(n_places)]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                give_up()
                with lock:
                    left.clear()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [results[at] for at in range(len(jobs))]
