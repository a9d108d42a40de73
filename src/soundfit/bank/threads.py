"""Threads: one torch thread per worker on a small machine, and chunks side by side on its cores.

A bank's matrix products are small: two OpenMP threads inside one product win little, and on a busy
machine each waits at barriers for the other's turn on a core (×93 in one measurement). Whole chunks on
threads of their own never wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["default_workers", "in_threads", "one_thread"]

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


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread inside; restore the number after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_threads(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    n_workers: int,
    give_up: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Return the results of all jobs in order, up to ``n_workers`` at a time, one torch thread each.

    The first error, or Ctrl-C, ends the wait: jobs that have not begun are dropped, and ``give_up`` is called
    to tell those at work to end early.
    """
    with one_thread():
        if n_workers <= 1 or len(jobs) <= 1:
            return [work(job) for job in jobs]
        # The number of OpenMP threads belongs to each thread: set it in every worker.
        with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(work, job) for job in jobs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                give_up()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
