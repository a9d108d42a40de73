"""Does a model that is to tell the next token see it? That token is changed, and what it tells compared.

Knows records of models and rows; knows no rule.
"""

from __future__ import annotations

import torch

from soundfit.doctor.behaviour import Question
from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord
from soundfit.doctor.shifts import shift_of

__all__ = ["looks_ahead"]

_MOST_ROWS = 32


def looks_ahead(root: RootRecord, rows: Rows) -> float | None:
    """Return the share of rows whose output changes with the very token that it is to tell.

    None where targets are not the tokens one place on, or the model cannot be asked.
    """
    call = root.call
    if call is None or call.places is None or root.extra.get("composite"):
        return None
    k = next((k for k, x in enumerate(rows.inputs) if shift_of(x, rows.targets) == 1), None)
    if k is None:
        return None
    part = rows.take(torch.arange(min(len(rows), _MOST_ROWS)))
    x = part.inputs[k]
    place = min(part.targets.shape[1], x.shape[1] - call.places.first - 1) - 1
    asked = part.targets[:, place] >= 0
    changed = x.clone()
    ahead = place + call.places.first + 1  # where the token stands that this place is to tell
    changed[:, ahead] = x[:, ahead].roll(1)
    asked &= changed[:, ahead] != x[:, ahead]
    if int(asked.sum()) < 4:
        return None
    other = tuple(changed if i == k else z for i, z in enumerate(part.inputs))
    try:
        ask = Question(root)
        base, again, moved = (
            ask(inputs).reshape(len(part), -1, part.targets.shape[1])[:, :, place]
            for inputs in (part.inputs, part.inputs, other)
        )
    except Exception:  # a model that will not run outside its script tells nothing
        return None
    if not torch.equal(base, again) or not bool(torch.isfinite(base).all()):
        return None
    far = (moved - base).abs().amax(1) > 1e-4 * (1e-12 + float(base.std()))
    return float(far[asked].float().mean())
