"""Finding: one thing that the data audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CODES", "Finding", "Severity"]

Severity = Literal["error", "warning", "note"]

CODES = (
    "duplicate-rows",
    "near-duplicates",
    "grouped-rows",
    "time-order",
    "target-leak",
    "target-parts",
    "id-column",
    "constant-column",
    "label-conflict",
    "class-imbalance",
    "rare-class",
    "train-test-drift",
    "mixed-types",
    "infinite-values",
    "missing-target",
    "missing-informative",
    "outliers",
    "free-text",
    "broken-pictures",
    "empty-sequences",
    "sequence-lengths",
    "missing-steps",
)


@dataclass(frozen=True)
class Finding:
    """What was found, how bad it is, where, and what to do.

    ``rows`` are positions in the file, from 0 (the first ones, at most 20); ``n_rows`` counts all.
    ``severity`` is ``error`` when the score would be a lie, else ``warning`` or ``note``.
    """

    code: str
    severity: Severity
    message: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    fix: str = ""
    n_rows: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form used by ``run.json`` and ``audit --json``."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "columns": list(self.columns),
            "rows": list(self.rows),
            "fix": self.fix,
        }
