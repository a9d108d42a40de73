"""Member: one model in training, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from soundfit.records.config import Config
from soundfit.records.trace import Trace

__all__ = ["Member", "MemberResult"]


@dataclass(frozen=True)
class Member:
    """Fold × configuration × seed."""

    fold: int
    configuration: int
    seed: int
    config: Config


@dataclass(frozen=True)
class MemberResult:
    """A trained member: scores at its best checkpoint (``best_epoch`` from 1) and its trace.

    ``status`` is ``done``, ``stopped-early``, ``dropped`` (left the search at a rung), ``interrupted`` (cut
    short by the user or the budget; no configuration with such a member is chosen) or ``failed``
    (non-finite more often than rollback allows; its scores are then NaN).
    """

    member: Member
    status: str
    best_epoch: int
    epochs: int
    training_score: float
    validation_score: float
    training_loss: float
    validation_loss: float
    trace: Trace
