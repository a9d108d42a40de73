"""Models that go on where others ended, as a job does that loads its checkpoint: their rows count as well.

Knows records of models and rows; knows no rule.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord

__all__ = ["with_earlier"]

_MOST_PARTS = 16
_NEAR = 0.25  # of the way that a training went


def with_earlier(rows: Rows, root: RootRecord, records: Mapping[int, RootRecord]) -> Rows:
    """Return a model's training rows, and those of the models whose last weights it began with.

    Args:
        rows: that the model itself was trained on.
        root: the model.
        records: of all models of the script.
    """
    earlier = [one for one in records.values() if one is not root and one.train_calls]
    parts, begun = [rows], root.initial
    while begun is not None and len(parts) <= _MOST_PARTS:
        before = next((one for one in reversed(earlier) if _ends_as(one, begun)), None)
        if before is None:
            break
        earlier.remove(before)
        joined = before.train_rows.joined()
        if joined is not None and _alike(joined, rows):
            parts.append(joined)
        begun = before.initial
    inputs = tuple(torch.cat(columns) for columns in zip(*(part.inputs for part in parts), strict=True))
    return Rows(inputs, torch.cat([part.targets for part in parts]))


def _ends_as(record: RootRecord, begun: dict[str, torch.Tensor]) -> bool:
    """Return whether a model's training ended where another's began, and not where its own did.

    Another model is first seen a step or more after its start, so that its weights are some steps on.
    """
    own, first = dict(record.module.named_parameters()), record.initial or {}
    if not own or any(k not in begun or k not in first or begun[k].shape != p.shape for k, p in own.items()):
        return False
    apart = sum(float((begun[k] - p.detach()).square().sum()) for k, p in own.items())
    moved = sum(float((first[k] - p.detach()).square().sum()) for k, p in own.items())
    return apart <= _NEAR**2 * moved and moved > 0


def _alike(a: Rows, b: Rows) -> bool:
    shapes = [[(x.shape[1:], x.dtype) for x in (*rows.inputs, rows.targets)] for rows in (a, b)]
    return shapes[0] == shapes[1]
