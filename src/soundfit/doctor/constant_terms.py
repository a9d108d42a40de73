"""Losses that hang on no parameter and are yet part of the sum that goes backward: found by adding up.

A term whose prediction was detached adds to the loss, and teaches nothing. No graph holds it: that it is part
of the sum shows in the numbers of a few steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from soundfit.doctor.lines import user_place
from soundfit.doctor.seen import LossCall
from soundfit.records import Place

__all__ = ["ConstantTerms"]

_MOST_ROWS = 32
_MOST_TERMS = 4
_CLOSE = 2e-5  # of the largest sum: what single precision leaves open


@dataclass
class _Term:
    kind: str
    value: float
    place: Place


class ConstantTerms:
    """Numbers of a few steps: each loss with a gradient, each without one, and what went backward."""

    def __init__(self) -> None:
        self._now: list[_Term] = []
        self._seen: dict[tuple[str, ...], tuple[list[_Term], list[list[float]]]] = {}

    def saw(self, kind: str, out: torch.Tensor) -> None:
        """Receive a loss without a gradient though gradients are recorded; one call may be told twice."""
        if out.numel() == 1 and len(self._now) <= _MOST_TERMS:
            value = float(out)
            if all(value != term.value for term in self._now):
                self._now.append(_Term(kind, value, user_place()))

    def take(self, loss: torch.Tensor, calls: Sequence[LossCall]) -> None:
        """Receive what goes backward and the losses with a gradient since the last step."""
        terms, self._now = self._now, []
        if not terms or len(terms) > _MOST_TERMS or loss.numel() != 1:
            return
        if len(calls) > 2 * _MOST_TERMS or any(c.output.numel() != 1 for c in calls):
            return
        row = [*(float(c.output.detach()) for c in calls), *(t.value for t in terms), float(loss.detach())]
        _, rows = self._seen.setdefault((*(c.kind for c in calls), "", *(t.kind for t in terms)), (terms, []))
        if len(rows) < _MOST_ROWS and np.isfinite(row).all():
            rows.append(row)

    def facts(self) -> dict[str, Any]:
        """Return a constant term of the sum, its loss, place and weight; nothing where there is none.

        The sum is a straight combination of all losses to within rounding, and without this one it is not.
        """
        for terms, rows in self._seen.values():
            table = np.array(rows)
            if len(table) < table.shape[1] + 2:
                continue
            parts, whole = table[:, :-1], table[:, -1]
            close = _CLOSE * np.abs(whole).max()
            weights, rest = _fitted(parts, whole)
            for k, term in enumerate(terms, parts.shape[1] - len(terms)):
                _, without = _fitted(np.delete(parts, k, axis=1), whole)
                if rest <= close and without > 50 * close:
                    return {
                        "constant_term": {"loss": term.kind, "place": term.place, "weight": float(weights[k])}
                    }
        return {}


def _fitted(parts: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weights of a straight combination, and by how much it is off at most."""
    weights = np.linalg.lstsq(parts, whole, rcond=None)[0] if parts.shape[1] else np.zeros(0)
    return weights, float(np.abs(parts @ weights - whole).max())
