"""Threads: one torch thread while a bank trains on a small machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]

#: Up to this many cores a bank trains on one thread.
SMALL_MACHINE = 4


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread inside, where the machine is small; restore the number after.

    A bank's matrix products are small: two OpenMP threads win little on them, and on a busy machine
    each waits at barriers for the other's turn on a core (×93 in one measurement).
    """
    before = torch.get_num_threads()
    if (os.cpu_count() or 1) <= SMALL_MACHINE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
