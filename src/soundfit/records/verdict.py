"""Verdict: what the evidence says about the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soundfit.records.diagnosis import Prescription

__all__ = ["CODES", "Verdict"]

CODES = ("underfitting", "good-fit", "overfitting", "noise-limited", "not-learning", "unstable")


@dataclass(frozen=True)
class Verdict:
    """One of :data:`CODES`, a sentence, the evidence line by line, and what to do next.

    ``confidence`` is from 0 to 1.
    """

    code: str
    text: str
    evidence: tuple[str, ...] = ()
    prescriptions: tuple[Prescription, ...] = ()
    confidence: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of ``run.json``."""
        return {
            "code": self.code,
            "text": self.text,
            "evidence": list(self.evidence),
            "confidence": self.confidence,
            "prescriptions": [_prescription(p) for p in self.prescriptions],
        }


def _prescription(p: Prescription) -> dict[str, Any]:
    """Return the JSON form: ``applied`` where training tried it, with scores before and after."""
    told: dict[str, Any] = {"text": p.text, "applied": p.after is not None}
    if p.after is not None:
        told |= {"before": p.before, "after": p.after, "se": p.se, "kept": p.kept}
    return told
