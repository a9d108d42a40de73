"""StudyResult: the members that answered one question, and their answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.records.config import Config
from soundfit.records.member import MemberResult

__all__ = ["StudyResult"]


@dataclass(frozen=True)
class StudyResult:
    """What a study measured.

    ``scores_CK`` and ``training_scores_CK`` hold each configuration's score on each fold (mean over
    seeds; NaN where it was not measured). ``chosen`` is the position of the configuration that
    ``rule`` picked. ``predictions`` are out-of-fold outputs of the chosen configuration, one row per
    table row (NaN for rows never validated).
    """

    question: str
    metric: str
    greater_is_better: bool
    configurations: tuple[Config, ...]
    parameters: tuple[int, ...]
    members: tuple[MemberResult, ...]
    scores_CK: NDArray[np.float64]
    training_scores_CK: NDArray[np.float64]
    chosen: int
    rule: str
    banks: int
    seconds: float
    predictions: NDArray[np.float64] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def chosen_config(self) -> Config:
        """The configuration that the rule picked."""
        return self.configurations[self.chosen]
