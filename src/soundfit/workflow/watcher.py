"""Watcher: how a training tells its caller where it is, and asks whether to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Watcher"]


@dataclass(frozen=True)
class Watcher:
    """How a training tells its caller where it is, and asks whether to go on."""

    on_stage: Callable[[str], None] = lambda name: None
    on_total: Callable[[int], None] = lambda n: None
    on_epoch: Callable[[int], None] = lambda n: None
    interrupted: Callable[[], bool] = lambda: False
    on_kept: Callable[[], None] = lambda: None
    """Called once what is done from now on is kept: from here an interruption can be patient."""
