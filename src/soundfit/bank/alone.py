"""Alone: members one by one by plain autograd, for modules whose operations fill a core on their own.

Convolutions on a CPU gain nothing from a batch of members, and lose their memory layout under ``vmap``.
The same numbers as :class:`Program`, to floating-point tolerance.
"""

from __future__ import annotations

import torch

from soundfit.bank.program import LoopProgram

__all__ = ["AloneProgram", "is_fast_alone"]


def is_fast_alone(module: torch.nn.Module, device: torch.device) -> bool:
    """Return whether a module says that it is fast alone (``fast_alone``), and this is a CPU."""
    return device.type == "cpu" and bool(getattr(module, "fast_alone", False))


class AloneProgram(LoopProgram):
    """A loop for modules that draw by counter: nothing is seeded, and workers never wait for each other."""

    seeded = False
