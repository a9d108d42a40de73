"""One retraining of a script in a process of its own, with changes applied; its score on held-out rows.

Run as ``python -m soundfit.doctor.trial SPEC``: reads a spec that the repair wrote, writes the result beside it.
"""

# ruff: noqa: E501

from __future__ import annotations

import copy
import math
import os
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

__all__ = ["centred", "main"]


def main(spec_path: str) -> int:
    """Run the script of a spec; return its exit code."""
    import torch

    from soundfit.doctor.changes import Changes
    from soundfit.doctor.printed import Listener
    from soundfit.doctor.watch import Watch

    spec: dict[str, Any] = torch.load(spec_path, weights_only=False)
    _offset_seeds(int(spec["seed"]))
    watch: Watch | None = None
    changes = Changes(spec["wanted"], spec["facts"], hold_back=spec["hold_back"])
    changes.attach()
    by_print = spec["judge"] and spec["rows"] == "printed"
    if spec["judge"] and changes.bare is None and not by_print:
        watch = Watch()  # outside of the changes: it must see what the script sees
        watch.attach()
    heard = Listener(sys.stdout), Listener(sys.stderr)
    if by_print:
        sys.stdout, sys.stderr = heard
    try:
        code = _executed(spec)
    finally:
        if watch is not None:
            watch.detach()
        changes.detach()
    if by_print:
        torch.save(_judge_printed("\n".join(one.text() for one in heard), spec), spec_path + ".result")
    elif watch is not None:
        torch.save(_judge(watch, changes, spec), spec_path + ".result")
    elif changes.bare is not None and spec["judge"]:
        torch.save(_judge_bare(changes.bare), spec_path + ".result")
    return code


def _executed(spec: dict[str, Any]) -> int:
    """Run the script, its text changed where that is wanted; return its exit code."""
    from soundfit.doctor.rewrite import Orders, rewritten
    from soundfit.doctor.script import execute

    script, wanted = Path(spec["script"]), spec["wanted"]
    if "rewrite" not in wanted:
        return execute(script, spec["args"])
    return execute(
        script, spec["args"], rewrite=lambda tree: rewritten(tree, wanted), given={Orders.name: Orders()}
    )


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


def _judge_printed(text: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the score that the script printed; of the first run under which label it stands as well."""
    from soundfit.doctor.printed import score_to_judge_by, value_of

    label = spec["facts"].get("printed")
    if label is None:
        found = score_to_judge_by(text, losses=True)
        if found is None:
            return {"score": None, "parts": None}
        label, told = found.label, {"printed": found.label, "kind": found.kind}
    else:
        told = {}
    value = value_of(text, label)
    return {"score": value, "parts": None if value is None else [value], "facts": told}


def _judge_bare(bare: Any) -> dict[str, Any]:
    """Return the same of a training without a module's output; of the first one what it told as well."""
    found = bare.survey() if bare.facts.get("survey") else {}
    nothing: dict[str, Any] = {"score": None, "parts": None, "facts": found}
    if found is None:
        return {**nothing, "facts": {}}
    if bare.surveyed is not None:
        found["possible"] = _possible(found, bare.surveyed)
    bare.facts.update(found)
    pair = bare.predictions() if "task" in bare.facts else None
    return nothing if pair is None else {**_scored(bare.facts, *pair), "facts": found}


def _possible(facts: dict[str, Any], rows: Any) -> float:
    """Return what a small sound model reaches on rows held out, NaN where none fits the kind of score."""
    from soundfit.doctor.reference import fit_reference
    from soundfit.doctor.rows import Rows

    if facts["uneven"] or facts["ranked"] or facts["directions"]:
        return math.nan
    targets = (rows.targets > 0).float() if facts["signs"] else rows.targets
    try:
        made = fit_reference(facts["task"], Rows(rows.inputs, targets), seconds=4.0)
    except Exception:  # rows that no small model can take
        return math.nan
    return math.nan if made is None else float(made.held_out)


def _judge(watch: Any, changes: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the score on the rows that judge and each row's own part of it."""
    import torch

    task = spec["facts"]["task"]
    pairs: list[tuple[Any, Any]] = []
    if spec["rows"] != "evaluation":
        pairs = _predicted(watch, changes, everything=spec["rows"] == "all")
    else:
        for root in watch.roots.values():
            made = root.last_evaluated(task.is_numbers)
            pairs = pairs if made is None else [made]
        named = [one for root in watch.roots.values() for one in root.eval_named[-96:]]
        if named and task.is_classification and not spec["facts"].get("through", True):
            last = named[-1][0]  # the output is no prediction: what the script itself made of it is
            hits = torch.cat([(a == b).reshape(-1) for s, a, b in named if s == last]).double()
            return {"score": float(hits.mean()), "parts": hits.tolist()}
    if not pairs:
        return {"score": None, "parts": None}
    return _scored(spec["facts"], torch.cat([a for a, _ in pairs]).float(), torch.cat([b for _, b in pairs]))


def _scored(facts: dict[str, Any], p: Any, y: Any) -> dict[str, Any]:
    from soundfit.doctor.scores import even_rows, rank_rows, row_scores, score

    task = facts["task"]
    if facts.get("ranked"):
        ranks = rank_rows(p, y)
        return {"score": float(ranks.mean()), "parts": ranks.tolist()}
    if p.numel() == y.numel() == len(p) == len(y):
        p = p.reshape(y.shape)
    value = score(task, p, y)
    parts = row_scores(task, p, y)
    if parts is None:
        return {"score": None, "parts": None}
    if facts.get("uneven"):
        parts = even_rows(task, parts, y)
        value = float(parts.double().mean())
    return {"score": value if value == value else None, "parts": centred(parts, value).tolist()}


def centred(parts: Any, value: float) -> Any:
    """Return each row's part so that their mean is the score, and gains of parts are gains of scores.

    R² is a mean over columns and never less than -1, rows' parts are of all columns together and may be -20.
    """
    import torch

    parts = parts.double()
    mean = float(parts.mean())
    if value != value or mean == value:
        return parts
    return torch.full_like(parts, value) if value <= -1.0 else parts - mean + value


def _predicted(watch: Any, changes: Any, *, everything: bool) -> list[tuple[Any, Any]]:
    """Return what the trained model makes of the rows held out of training, or of ``everything``, and their targets."""
    import torch

    from soundfit.doctor.call import output_of

    found = _all_rows(watch, changes) if everything else _held_rows(watch, changes)
    if found is None or changes.root is None:
        return []
    rows, call = found
    if call.output is None:
        call = replace(call, output=changes.facts.get("output"))
    net = copy.deepcopy(changes.root).eval()
    changes.hold_back = 0.0
    changes.attach()
    try:
        with torch.no_grad():
            parts = torch.arange(len(rows)).split(512)
            p = torch.cat([output_of(call(net, [x[i] for x in rows.inputs])) for i in parts])
            p = call.amounts(p, changes.facts["task"].is_numbers)
    except Exception:  # a model that needs more than these inputs, as a state of as many rows
        return []
    finally:
        changes.detach()
    return [(p, rows.targets)]


def _held_rows(watch: Any, changes: Any) -> tuple[Any, Any] | None:
    """Return the rows that taught nothing: what losses set aside, else, for a loss by hand, from those watched."""
    import torch

    from soundfit.doctor.held_back import held_back
    from soundfit.doctor.rows import Rows

    if changes.held and changes.call is not None and not changes.facts.get("by_places"):
        shape = changes.held[-1][1].shape[1:]  # outputs of the same kind of loss may have other widths
        held = [(x, y) for x, y in changes.held if y.shape[1:] == shape]
        inputs = tuple(torch.cat(one) for one in zip(*(x for x, _ in held), strict=True))
        return Rows(inputs, torch.cat([y for _, y in held])).unique(), changes.call
    found = _all_rows(watch, changes)
    if found is not None and (changes.facts.get("custom_loss") or changes.facts.get("by_places")):
        index = held_back(found[0].inputs, changes.hold_back).nonzero().reshape(-1)
        if len(index) >= 20:
            return found[0].take(index), found[1]
    return None


def _all_rows(watch: Any, changes: Any) -> tuple[Any, Any] | None:
    """Return the rows that taught, and how the model is called with them."""
    for root in watch.roots.values():
        seen = root.train_rows.joined() if root.module is changes.root else None
        if seen is not None and root.call is not None:
            return seen, root.call
    return None


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main(sys.argv[1]))
