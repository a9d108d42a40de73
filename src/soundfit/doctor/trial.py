"""One retraining of a script in a process of its own, with changes applied; its score on held-out rows.

Run as ``python -m soundfit.doctor.trial SPEC``: reads a spec that the repair wrote, writes the result beside it.
"""

# ruff: noqa: E501

from __future__ import annotations

import copy
import os
import random
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(spec_path: str) -> int:
    """Run the script of a spec; return its exit code."""
    import torch

    from soundfit.doctor.changes import Changes
    from soundfit.doctor.script import execute
    from soundfit.doctor.watch import Watch

    spec: dict[str, Any] = torch.load(spec_path, weights_only=False)
    _offset_seeds(int(spec["seed"]))
    watch: Watch | None = None
    changes = Changes(spec["wanted"], spec["facts"], hold_back=spec["hold_back"])
    changes.attach()
    if spec["judge"]:  # outside of the changes: it must see what the script sees
        watch = Watch()
        watch.attach()
    try:
        code = execute(Path(spec["script"]), spec["args"])
    finally:
        if watch is not None:
            watch.detach()
        changes.detach()
    if watch is not None:
        torch.save(_judge(watch, changes, spec), spec_path + ".result")
    return code


def _offset_seeds(offset: int) -> None:
    """Make every seed that the script sets another one, the same for both sides of a pair."""
    import numpy as np
    import torch

    np.random.seed(1000 * offset + 1)  # noqa: NPY002 forks would share one state
    random.seed(1000 * offset + 1)
    torch.manual_seed(1000 * offset)
    if offset == 0:
        return
    torch_seed, numpy_seed, python_seed = torch.manual_seed, np.random.seed, random.seed
    default_rng = np.random.default_rng
    torch.manual_seed = lambda seed: torch_seed(int(seed) + 1000 * offset)
    np.random.seed = lambda seed=None: numpy_seed(seed + 1000 * offset if isinstance(seed, int) else seed)
    random.seed = lambda a=None, version=2: python_seed(a + 1000 * offset if isinstance(a, int) else a)
    np.random.default_rng = lambda seed=None: default_rng(
        seed + 1000 * offset if isinstance(seed, int) else seed
    )


def _judge(watch: Any, changes: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the score on held-out rows and each row's own part of it."""
    import torch

    from soundfit.doctor.scores import even_rows, row_scores, score

    task = spec["facts"]["task"]
    pairs: list[tuple[Any, Any]] = []
    if spec["hold_back"] and changes.root is not None:
        rows = _held_rows(watch, changes)
        if rows is not None:
            net = copy.deepcopy(changes.root).eval()
            changes.root, changes.hold_back = net, 0.0
            changes.attach()
            with torch.no_grad():
                p = torch.cat([net(*(x[i] for x in rows.inputs)) for i in torch.arange(len(rows)).split(512)])
            changes.detach()
            pairs = [(p, rows.targets)]
    else:
        roots = [r for r in watch.roots.values() if r.eval_scores]
        for root in roots:
            last = root.eval_scores[-1][0]
            shape = root.eval_scores[-1][1].shape[1:]
            pairs = [(a, b) for s, a, b in root.eval_scores if s == last and a.shape[1:] == shape]
        named = [one for root in watch.roots.values() for one in root.eval_named[-96:]]
        if named and task.is_classification and not spec["facts"].get("through", True):
            last = named[-1][0]  # the output is no prediction: what the script itself made of it is
            hits = torch.cat([(a == b).reshape(-1) for s, a, b in named if s == last]).double()
            return {"score": float(hits.mean()), "parts": hits.tolist()}
    if not pairs:
        return {"score": None, "parts": None}
    p, y = torch.cat([a for a, _ in pairs]).float(), torch.cat([b for _, b in pairs])
    value = score(task, p, y)
    parts = row_scores(task, p, y)
    if parts is None:
        return {"score": None, "parts": None}
    if spec["facts"].get("uneven"):
        parts = even_rows(task, parts, y)
        value = float(parts.double().mean())
    return {"score": value if value == value else None, "parts": parts.double().tolist()}


def _held_rows(watch: Any, changes: Any) -> Any:
    """Return the rows that taught nothing: what losses set aside, else, for a loss by hand, from those watched."""
    import torch

    from soundfit.doctor.changes import held_back
    from soundfit.doctor.rows import Rows

    if changes.held:
        return Rows(
            (torch.cat([x for x, _ in changes.held]),), torch.cat([y for _, y in changes.held])
        ).unique()
    for root in watch.roots.values():
        seen = root.train_rows.joined() if root.module is changes.root else None
        if seen is not None and changes.facts.get("custom_loss"):
            index = held_back(seen.inputs[0], changes.hold_back).nonzero().reshape(-1)
            if len(index) >= 20:
                return seen.take(index)
    return None


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main(sys.argv[1]))
