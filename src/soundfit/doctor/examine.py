"""After the script: turn a watch into a Trace, by an examination of each output that a loss judges.

Knows torch and the watch; knows no rule. Everything runs on copies and under a generator of its own.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.case import Case
from soundfit.doctor.collated import parted_labels
from soundfit.doctor.draws import same_draws
from soundfit.doctor.examination import Examination
from soundfit.doctor.heads import Head, heads_of
from soundfit.doctor.pace import clock
from soundfit.doctor.seen import main_root
from soundfit.doctor.watch import Watch
from soundfit.executors.threads import one_thread
from soundfit.records import Trace

__all__ = ["examine"]


def examine(watch: Watch, *, seconds: float = 25.0) -> Trace:
    """Return the Trace of a watched training with all facts that rules read.

    Args:
        watch: a detached watch.
        seconds: soft limit for reference models and replays.
    """
    looked: Examination | None = None
    facts: dict[str, Any] = {}
    with same_draws(), one_thread(), torch.enable_grad():
        try:
            ways = _ways(watch)
            for head in ways:
                watch.head = head
                looked = Examination(watch, clock() + seconds * max(0.4, 1 / len(ways)))
                found = looked.facts()
                others = len(ways) > 1 and not looked.together
                sick = others and Case(watch.recording.trace(found)).sick
                facts = found if head is None or sick else facts
                if sick:
                    break
            else:
                watch.head = None
            facts["collated"] = parted_labels(watch.loaders)
        except Exception as error:  # a script of a kind nobody thought of ends as it would without a doctor
            watch.stumble(error)
            facts = {} if looked is None else looked.found
    return watch.recording.trace(facts)


def _ways(watch: Watch) -> list[Head | None]:
    """Return the outputs to ask about, large losses first; None is what the last loss of a step judges."""
    root = main_root(watch.roots.values())
    heads = heads_of(root)
    if root is None or not heads:
        return [None]
    larger = [h for h in heads if h.size > float(root.extra["size"])]
    return [*larger, None, *heads[len(larger) :]]
