"""Blind search: what Adam at three rates, standardised or not, would have reached. What a repair is compared with.

Knows an examination and runs of a script; changes nothing else.
"""

# ruff: noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch

from soundfit.doctor.examination import Examination
from soundfit.doctor.replay import replay
from soundfit.doctor.rows import Rows
from soundfit.records.said import say

__all__ = ["Runs", "blind", "blind_by_print"]


class Runs(Protocol):
    """Runs a script with a change."""

    facts: dict[str, Any]

    def run(self, change: dict[str, Any], seed: int, name: str, out: dict[str, Any]) -> dict[str, Any] | None:
        """Retrain once; return a dict with ``score``, or None where nothing could be scored."""


def blind(looked: Examination, judges: str) -> dict[str, Any] | None:
    """Return the best of three Adam rates × standardised or not, on the rows that judge."""
    recipe, task, rows = looked.recipe(), looked.task, looked.rows
    if recipe is None or task is None or rows is None:
        return None
    split = None if judges != "all" else (torch.arange(len(rows)), torch.arange(len(rows)))
    other = looked.eval_rows
    if (
        judges == "evaluation"
        and other is not None
        and [x.shape[1:] for x in other.inputs] == [x.shape[1:] for x in rows.inputs]
        and other.targets[:1].numel() == rows.targets[:1].numel()
    ):
        n = len(rows)
        # They are (n,) where training had (n, 1), say.
        judged = other.targets.reshape(len(other), *rows.targets.shape[1:])
        inputs = tuple(torch.cat([x, z]) for x, z in zip(rows.inputs, other.inputs, strict=True))
        rows = Rows(inputs, torch.cat([rows.targets, judged]))
        split = torch.arange(n), torch.arange(n, len(rows))

    def score(change: dict[str, Any]) -> float | None:
        made = replay(recipe, task, rows, change, seconds=3.0, split=split)
        return None if made is None or math.isnan(made.held_out) else made.held_out

    return _best(score, (False, True))


def blind_by_print(runner: Runs) -> dict[str, Any] | None:
    """Return the best of the same blind trainings by what the script prints, as many as inputs' scales allow."""

    def score(change: dict[str, Any]) -> float | None:
        made = runner.run(change, 0, say("blind search"), {"trials": [], "originals": []})
        return None if made is None else float(made["score"])

    return _best(score, (False, True) if "input_mean" in runner.facts else (False,))


def _best(
    score: Callable[[dict[str, Any]], float | None], scaling: tuple[bool, ...]
) -> dict[str, Any] | None:
    """Return the best of Adam's rates by scaling, with how many had a score; None where none had."""
    found = []
    for rate in (1e-4, 1e-3, 1e-2):
        for scaled in scaling:
            made = score({"adam": rate, **({"scale_inputs": True} if scaled else {})})
            if made is not None:
                found.append({"rate": rate, "standardised": scaled, "score": made})
    return {**max(found, key=lambda one: one["score"]), "trials": len(found)} if found else None
