"""Pace: time for an examination, counted in work and not in seconds.

A verdict rests on small models and replays that are tried until a limit. Counted in processor seconds, a
machine of half the speed would try half of them, and say other things of the same script.
"""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import nn

from soundfit.doctor.draws import same_draws
from soundfit.executors.threads import one_thread

__all__ = ["clock", "pace"]

# Processor seconds of the work below on the machine on which the doctor's limits were set, and how many
# times longer than it a limit may become.
_USUAL_SECONDS = 0.014
_SLOWEST = 2.0
_STEPS, _TIMES = 40, 3


def clock() -> float:
    """Return processor seconds at the usual pace: on a machine of half the speed they pass half as fast."""
    slower = pace()  # at its first call it takes a while itself
    return time.process_time() / slower


@cache
def pace() -> float:
    """Return how many times longer than usual this machine takes for a small training, from 1 to 2.

    A tenth of a second of work, once a process; the quickest of a few counts, as neighbours only slow it.
    """
    with same_draws(), one_thread(), torch.enable_grad():
        _train()  # what is loaded at first use
        took = min(_train() for _ in range(_TIMES))
    return min(max(took / _USUAL_SECONDS, 1.0), _SLOWEST)


def _train() -> float:
    """Return the processor seconds of some steps on a small network, as replays make them."""
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))
    rows, targets = torch.randn(64, 32), torch.randn(64, 1)
    optimiser = torch.optim.Adam(net.parameters())
    began = time.process_time()
    for _ in range(_STEPS):
        optimiser.zero_grad()
        nn.functional.mse_loss(net(rows), targets).backward()
        optimiser.step()
    return time.process_time() - began
