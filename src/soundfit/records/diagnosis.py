"""Symptom, Diagnosis, Prescription: a measured sign, its named cause, and the change that should cure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundfit.records.finding import Severity

__all__ = ["Diagnosis", "Place", "Prescription", "Symptom"]


@dataclass(frozen=True)
class Place:
    """Where: layer name, the user's file and line, step; each may be unknown."""

    module: str | None = None
    file: str | None = None
    line: int | None = None
    step: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"module": self.module, "file": self.file, "line": self.line, "step": self.step}


@dataclass(frozen=True)
class Symptom:
    """A sign measured on a trace; ``strength`` from 0 to 1, ``evidence`` the numbers behind it."""

    code: str
    strength: float
    message: str
    where: Place = Place()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prescription:
    """A change that should cure a cause: words, an edit of the user's line, a change at run time.

    Where it was tried: validation score before and after, the standard error of their difference, and
    whether the change was kept.
    """

    text: str
    patch: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    before: float | None = None
    after: float | None = None
    se: float | None = None
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"text": self.text, "patch": self.patch}


@dataclass(frozen=True)
class Diagnosis:
    """A named cause with its evidence."""

    code: str
    severity: Severity
    cause: str
    confidence: float
    where: Place = Place()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    prescription: Prescription = Prescription("")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of ``doctor --json``."""
        return {
            "code": self.code,
            "severity": self.severity,
            "cause": self.cause,
            "confidence": round(float(self.confidence), 3),
            "where": self.where.to_dict(),
            "evidence": dict(self.evidence),
            "prescription": self.prescription.to_dict(),
        }
