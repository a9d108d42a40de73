"""Sequences read the wrong way: a model that sees the token it is to tell, one that reads from row to row.

Knows records of models and rows; knows no rule.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from soundfit.doctor.behaviour import Question, behaviour
from soundfit.doctor.rows import Rows, dealt_across
from soundfit.doctor.seen import RootRecord
from soundfit.doctor.shifts import shift_of

__all__ = ["looks_ahead", "read_across"]

_MOST_ROWS = 32


def looks_ahead(root: RootRecord, rows: Rows) -> float | None:
    """Return the share of rows whose output changes with the very token that it is to tell.

    None where targets are not the tokens one place on, or the model cannot be asked.
    """
    call = root.call
    if call is None or call.places is None or root.extra.get("composite"):
        return None
    next_one = call.places.first + 1
    k = next((k for k, x in enumerate(rows.inputs) if shift_of(x, rows.targets) == next_one), None)
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


def read_across(root: RootRecord) -> dict[str, float] | None:
    """Return how often slices come back where a model takes rows for places, None where it does not.

    ``across``: the share along what it takes for places, in other batches; ``along``: along its rows. What
    was kept of such a model is turned: its rows are those that were dealt.
    """
    rows = root.train_rows.joined()
    if root.call is None or not root.call.second or rows is None or len(rows) < 2:
        return None
    along, across = dealt_across(root.train_rows)
    if not across > 0.3 or not along < 0.05 * across:
        return None
    if behaviour(root, rows, len(rows), []).get("others", 1.0) > 0.02:
        return None  # what it takes for rows hangs together: it turns them itself
    for store in (root.train_rows, root.eval_rows):
        store.turn()
    places = root.call.places and replace(root.call.places, second=False)
    root.batch_sizes = Counter(len(batch) for batch in root.train_rows.batches)
    root.call = replace(root.call, second=(), places=places)
    return {"along": along, "across": across}
