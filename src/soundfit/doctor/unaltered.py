"""A dataset's rows without what is drawn anew each time they are fetched: could they teach more?

Knows datasets and replays; knows no watch and no rule.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from soundfit.doctor.neutral import neutral_draws
from soundfit.doctor.pace import clock
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.replay import Recipe, replay
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task

__all__ = ["unaltered"]

Tensor = torch.Tensor
_MOST_ROWS = 6000
_FEWEST = 200
_LOOKED_AT = 8  # rows that are fetched twice, to see whether anything is drawn


def unaltered(
    loaders: Sequence[Any],
    recipe: Recipe | None,
    task: Task,
    seen: Rows,
    evaluation: Rows | None,
    *,
    seconds: float,
) -> dict[str, float]:
    """Return what the script's own training reaches on its evaluation rows when it learns unaltered rows.

    Args:
        loaders: of the script.
        recipe: how the script trained.
        task: what is predicted.
        seen: rows that were trained on: the dataset is known by their form.
        evaluation: rows of the script's own evaluation.
        seconds: of processor time for fetching, and as much for learning.

    Returns:
        ``score`` on the evaluation rows and the number of ``rows`` learned; empty where nothing is drawn when
        rows are fetched, or rows are not what the model was given.
    """
    if recipe is None or evaluation is None or len(evaluation) < 40 or len(seen.inputs) != 1:
        return {}
    for loader in loaders:
        try:
            rows = _fetched(loader.dataset, seen, seconds)
            made = None if rows is None else _replayed(recipe, task, rows, evaluation, seconds)
        except Exception:  # a dataset that gives no rows outside of its script
            continue
        if rows is not None:
            return {} if made is None or math.isnan(made) else {"score": made, "rows": len(rows)}
    return {}


def _replayed(recipe: Recipe, task: Task, rows: Rows, evaluation: Rows, seconds: float) -> float | None:
    n = len(rows)
    both = Rows(
        (torch.cat([rows.inputs[0], evaluation.inputs[0]]),), torch.cat([rows.targets, evaluation.targets])
    )
    split = torch.arange(n), torch.arange(n, len(both))
    made = replay(recipe, task, both, {}, seconds=seconds, split=split)
    return None if made is None else float(made.held_out)


def _fetched(dataset: Any, seen: Rows, seconds: float) -> Rows | None:
    """Return a dataset's rows as they are without draws; None where nothing is drawn."""
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        return None
    deadline, n = clock() + seconds, len(dataset)
    places = torch.linspace(0, n - 1, min(n, _MOST_ROWS)).round().long().unique().tolist()
    if len(places) < _FEWEST:
        return None
    looked = places[:: max(1, len(places) // _LOOKED_AT)]
    with contextlib.redirect_stdout(io.StringIO()):
        pairs = [(_row(dataset[i], seen), _row(dataset[i], seen)) for i in looked]
        if any(a is None or b is None for a, b in pairs):
            return None
        if all(torch.equal(a[0], b[0]) for a, b in pairs if a is not None and b is not None):
            return None
        found: list[tuple[Tensor, Tensor]] = []
        replaced = Replaced()
        neutral_draws(replaced.put, lambda: True)
        try:
            for i in places:
                row = _row(dataset[i], seen)
                late = clock() > deadline
                if row is None or (late and len(found) < _FEWEST):
                    return None
                if late:
                    break
                found.append(row)
        finally:
            replaced.restore()
    return Rows((torch.stack([x for x, _ in found]),), torch.stack([y for _, y in found]))


def _row(item: Any, seen: Rows) -> tuple[Tensor, Tensor] | None:
    """Return the input and the target of a dataset's item, where they have the form of the rows seen."""
    parts = [x if isinstance(x, Tensor) else torch.as_tensor(x) for x in pytree.tree_leaves(item) if _able(x)]
    if len(parts) != 2:
        return None
    x, y = parts[0], parts[1]
    if x.shape != seen.inputs[0].shape[1:] or x.dtype != seen.inputs[0].dtype:
        return None
    if y.numel() != seen.targets[0].numel():
        return None
    return x, y.reshape(seen.targets.shape[1:]).to(seen.targets.dtype)


def _able(x: Any) -> bool:
    return isinstance(x, Tensor | int | float) or hasattr(x, "__array__")
