"""Curve: the answer of a study, as points, one sentence and a few facts. Knows no way to print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from soundfit.records import StudyResult
from soundfit.study.evidence import ROOTS

__all__ = ["Curve", "final_scores", "score_point"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What a study measured.

    Attributes:
        question: ``capacity``, ``learning``, ``regularization``, ``lr`` or ``cv``.
        metric: what ``training`` and ``validation`` of the points are in.
        greater_is_better: its direction.
        points: one record per thing tried, in the order of the study.
        sentence: the conclusion.
        facts: what else was found, JSON-ready.
        result: the study's members, where it trained configurations over folds.
    """

    question: str
    metric: str
    greater_is_better: bool
    points: tuple[Mapping[str, Any], ...]
    sentence: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    result: StudyResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "question": self.question,
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "points": [dict(p) for p in self.points],
            "sentence": self.sentence,
            "facts": dict(self.facts),
        }


def score_point(training: Array, validation: Array, *, level: float = 0.95) -> dict[str, float | None]:
    """Return a point's scores: means over folds (or seeds), SE, and Student's interval of the mean.

    Args:
        training, validation: (K,) scores, one per fold.
        level: of the interval.
    """
    k = len(validation)
    mean = float(np.mean(validation))
    se = float(np.std(validation, ddof=1) / np.sqrt(k)) if k > 1 else None
    reach = float(student.ppf(0.5 + level / 2, k - 1)) * se if se is not None else None
    return {
        "training": float(np.mean(training)),
        "validation": mean,
        "se": se,
        "low": mean - reach if reach is not None else None,
        "high": mean + reach if reach is not None else None,
    }


def final_scores(result: StudyResult, configuration: int) -> tuple[Array, Array]:
    """Return training and validation scores (members,) at the *end* of training, not at the best checkpoint.

    What early stopping hides: with it a model that is far too large looks harmless.
    """
    training, validation = [], []
    for m in result.members:
        if m.member.configuration != configuration or m.validation_loss <= 0:
            continue
        ends = [m.trace.series[f"{rows}_loss"] for rows in ("training", "validation")]
        if not all(len(e) and np.isfinite(e[-1]) for e in ends):
            continue
        shares = [float(e[-1]) / m.validation_loss for e in ends]
        if result.metric in ROOTS:
            shares = [s**0.5 for s in shares]
        training.append(m.validation_score * shares[0])
        validation.append(m.validation_score * shares[1])
    return np.array(training), np.array(validation)


def seeds_of(n: int, first: int = 0) -> Sequence[int]:
    """Return n seeds from ``first`` on."""
    return range(first, first + n)
