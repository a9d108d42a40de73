"""After the script: turn a watch into a Trace, by an examination of each output that a loss judges.

Knows torch and the watch; knows no rule. Everything runs on copies and under a generator of its own.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from soundfit.doctor.case import Case
from soundfit.doctor.draws import same_draws
from soundfit.doctor.examination import Examination
from soundfit.doctor.heads import Head, heads_of
from soundfit.doctor.watch import Watch
from soundfit.records import Trace

__all__ = ["examine"]


def examine(watch: Watch, *, seconds: float = 25.0) -> Trace:
    """Return the Trace of a watched training with all facts that rules read.

    Args:
        watch: a detached watch.
        seconds: soft limit for reference models and replays.
    """
    looked: Examination | None = None
    with same_draws(), torch.enable_grad():
        try:
            looked = Examination(watch, time.process_time() + seconds)
            facts = _with_heads(watch, looked, seconds)
        except Exception as error:  # a script of a kind nobody thought of ends as it would without a doctor
            watch.stumble(error)
            facts = {} if looked is None else looked.found
    return watch.recording.trace(facts)


def _with_heads(watch: Watch, looked: Examination, seconds: float) -> dict[str, Any]:
    """Return the facts of what the last loss judges, or of an output that learned badly."""
    heads = heads_of(looked.root)
    if not heads or looked.together:
        return looked.facts()
    ways: list[tuple[float, Head | None]] = [(h.size, h) for h in heads]
    ways.append((float(looked.root.extra["size"]), None))  # type: ignore[union-attr]
    each = seconds * max(0.4, 1 / len(ways))
    main: dict[str, Any] = {}
    for _, head in sorted(ways, key=lambda way: -way[0]):
        watch.head = head
        one = Examination(watch, time.process_time() + each)
        found = one.facts()
        if Case(watch.recording.trace(found)).sick:
            looked.found = found
            return found
        main = found if head is None else main
    watch.head = None
    return main
