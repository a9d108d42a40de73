"""Plain numbers about a watched training: inputs, targets, order, weights, modules, optimisers.

Each function reads a part of a watch and returns a JSON-like mapping; none trains anything.
"""

# ruff: noqa: E501

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soundfit.doctor.foreign import hidden_weights
from soundfit.doctor.origin import (
    divides_bytes,
    dropped_result,
    left_behind,
    ranks_alone,
    shuffled_apart,
    starts_anew,
)
from soundfit.doctor.rows import Rows, retargeted
from soundfit.doctor.scores import Task
from soundfit.doctor.seen import OptimiserRecord, RootRecord, any_of
from soundfit.doctor.source import selection_by_test
from soundfit.doctor.watch import Watch
from soundfit.records import Place

__all__ = [
    "idle_facts", "input_facts", "module_facts", "optimiser_facts", "order_facts", "origin_facts", "selection_facts", "target_facts", "unregistered_facts", "weight_facts",
]  # fmt: skip

Tensor = torch.Tensor

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def input_facts(inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return scale, spread and oddities of the inputs; per column for matrices."""
    x = inputs[0]
    out: dict[str, Any] = {"kind": "codes", "dims": x.dim(), "shape": list(x.shape[1:])}
    if not x.is_floating_point():
        if not x.is_complex() and x.dim() > 1 and x.numel():
            out["codes"] = len(x[:4096].unique())
        return out
    out["kind"] = "float"
    finite = torch.isfinite(x)
    out["nonfinite"] = float((~finite).float().mean())
    x = torch.nan_to_num(x.float(), nan=0.0, posinf=0.0, neginf=0.0)
    flat = x.reshape(x.shape[0], -1)
    if flat.shape[1] == 0:
        return out
    std, mean = torch.std_mean(flat, 0, correction=0)
    out |= {
        "mean": float(flat.mean()), "std": float(flat.std(correction=0)), "max": float(flat.abs().max()),
        "column_std_max": float(std.max()), "column_std_min": float(std[std > 0].min()) if bool((std > 0).any()) else 0.0,
        "column_mean_max": float(mean.abs().max()), "constant": float((std <= 1e-8 * (1 + mean.abs())).float().mean()),
        "rms": float(flat.pow(2).mean().sqrt()), "row_spread": float(std.mean()),
        "outlier": float(((flat - mean).abs() / (std + 1e-12)).max()),
        "heavy": float(((flat - mean).abs() / (std + 1e-12)).amax(0).median()),
        "binary": bool(((flat == 0) | (flat == 1)).all()),
    }  # fmt: skip
    return out


def target_facts(task: Task, rows: Rows) -> dict[str, Any]:
    """Return scale of numeric targets, or shares of classes; which inputs came with several targets."""
    targets, y = rows.targets, rows.targets.float()
    several, spread, share = retargeted(rows)
    out: dict[str, Any] = {
        "nonfinite": float((~torch.isfinite(y)).float().mean()),
        "dtype": str(targets.dtype).removeprefix("torch."),
        "shape": list(targets.shape[1:]), "retargeted": several, "retargeted_spread": spread, "retargeted_share": share,
    }  # fmt: skip
    y = y[torch.isfinite(y)]
    if y.numel() == 0:
        return out
    out |= {
        "mean": float(y.mean()), "std": float(y.std(correction=0)), "min": float(y.min()), "max": float(y.max()),
        "values": len(y.unique()), "integers": bool((y == y.round()).all()),
        "low": float(torch.quantile(y.reshape(-1)[:100_000], 0.05)), "high": float(torch.quantile(y.reshape(-1)[:100_000], 0.95)),
    }  # fmt: skip
    if targets.dim() == 2 and targets.shape[1] > 1:
        out["off_simplex"] = float(((targets.float().sum(1) - 1).abs() > 0.05).float().mean())
    if task.kind in ("classes", "binary", "one-hot"):
        labels = task.labels(targets)
        labels = labels[labels >= 0]
        shares = torch.bincount(labels, minlength=max(task.classes, 1)).float()
        out["shares"] = [round(float(s), 4) for s in (shares / shares.sum())[:64]]
        out["present"] = int((shares > 0).sum())
    return out


def order_facts(task: Task, root: RootRecord) -> dict[str, Any]:
    """Return whether batches repeat, and whether classes come in blocks."""
    head = root.train_rows.head
    out: dict[str, Any] = {"batches": len(head), "distinct": len({round(s, 6) for s, _ in head})}
    if task.kind in ("classes", "binary") and len(head) >= 4:
        labels = [task.labels(y) for _, y in head]
        whole = torch.cat(labels)
        kinds = len(whole.unique())
        sizes = min(len(y) for y in labels)
        pure = [float(torch.bincount((y - whole.min()).clamp(min=0)).max()) / len(y) for y in labels]
        base = float(torch.bincount((whole - whole.min()).clamp(min=0)).max()) / len(whole)
        out |= {"purity": sum(pure) / len(pure), "base": base, "kinds": kinds, "size": sizes}
        first = [float(y.float().mean()) for y in labels]
        out["mean_spread"] = float(torch.tensor(first).std())
    elif task.kind == "regression" and len(head) >= 8 and head[0][1].numel() >= 4:
        means = torch.tensor([float(y.float().mean()) for _, y in head])
        whole = torch.cat([y.reshape(-1).float() for _, y in head])
        expected = float(whole.std()) / math.sqrt(head[0][1].numel()) + 1e-12
        out["mean_spread_ratio"] = float(means.std()) / expected
    return out


def weight_facts(watch: Watch, root: RootRecord) -> dict[str, Any]:
    """Return, per weight matrix at the start: constant or not, gain (std times root of fan-in); and what moved."""
    out: dict[str, Any] = {"matrices": [], "embeddings": [], "still_norms": []}
    if root.initial is None:
        return out
    now = root.module.state_dict()
    moved, size, count = 0.0, 0.0, 0
    params = dict(root.module.named_parameters())
    for name, w in root.initial.items():
        if not w.is_floating_point() or name not in params or now[name].shape != w.shape:
            continue
        count += 1
        after = now[name].detach().cpu().float()
        start = w.detach().cpu().float()
        delta = float((after - start).norm())
        moved += float(bool(delta > 0) or not math.isfinite(delta))
        size += 1
        owner = root.module.get_submodule(name.rpartition(".")[0]) if "." in name else root.module
        if w.dim() < 2:
            if isinstance(owner, _NORMS) and name.endswith("weight") and not _ever_speaks(owner, start):
                out["still_norms"].append({"name": name, "place": watch.births.get(id(owner))})
            continue
        fan_in = start[0].numel()
        if isinstance(owner, nn.Embedding):
            out["embeddings"].append({
                "name": name, "std": float(start.std()) if start.numel() > 1 else 0.0, "width": start.shape[1],
                "moved": delta > 0 or not math.isfinite(delta),
                "place": watch.births.get(id(owner)),
            })  # fmt: skip
            continue
        rows_equal = bool(start.shape[0] > 1 and (start - start[:1]).abs().max() == 0)
        spectral = float(torch.linalg.matrix_norm(after.reshape(after.shape[0], -1)[:512, :512], 2)) if bool(
            torch.isfinite(after).all()) else math.inf  # fmt: skip
        out["matrices"].append({
            "name": name, "std": float(start.std()) if start.numel() > 1 else 0.0, "units": start.shape[0],
            "constant": bool(start.numel() > 1 and float(start.max() - start.min()) == 0.0), "rows_equal": rows_equal,
            "gain": float(start.pow(2).mean().sqrt()) * math.sqrt(fan_in), "place": watch.births.get(id(owner)),
            "mean": float(start.mean()), "change": delta / (float(start.norm()) + 1e-12), "norm": float(start.norm()),
            "after": float(after.norm()), "spectral": spectral, "kind": type(owner).__name__,
        })  # fmt: skip
    out["moved"] = moved / size if size else math.nan
    grads = [p.grad for p in root.module.parameters() if p.grad is not None]
    out["gradients_finite"] = all(bool(torch.isfinite(g).all()) for g in grads)
    out["after_norm_ratio"] = math.nan
    if out["matrices"]:
        a, b = sum(m["after"] for m in out["matrices"]), sum(m["norm"] for m in out["matrices"])
        out["after_norm_ratio"] = a / (b + 1e-12)
    return out


def _ever_speaks(norm: nn.Module, scale_at_start: torch.Tensor) -> bool:
    """Return whether a norm's scale or shift was other than 0, at the start or at the end."""
    shift = getattr(norm, "bias", None)
    now = [t for t in (norm.weight, shift) if isinstance(t, torch.Tensor)]
    return bool(scale_at_start.any()) or any(bool(t.detach().any()) for t in now)


def module_facts(watch: Watch, root: RootRecord) -> dict[str, Any]:
    """Return the layers by kind, with batch norm, dropout and activation modules and where they were built."""
    modules = list(root.module.named_modules())
    place = watch.births.get
    calls = root.train_calls - root.train_calls_in_eval_mode
    norms = [
        {"name": n, "momentum": m.momentum, "place": place(id(m)), "track": m.track_running_stats, "eps": m.eps,
         "uses": int(m.num_batches_tracked) / calls if calls > 0 and m.num_batches_tracked is not None else 0.0,
         "var": float(m.running_var.mean()) if m.running_var is not None else math.nan}
        for n, m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]  # fmt: skip
    drops = [
        {"name": n, "p": m.p, "place": place(id(m))}
        for n, m in modules
        if isinstance(m, nn.modules.dropout._DropoutNd)
    ]
    acts = [
        {"name": n, "kind": type(m).__name__, "place": place(id(m))}
        for n, m in modules if type(m).__module__ == "torch.nn.modules.activation"
    ]  # fmt: skip
    linears = [m for _, m in modules if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]
    widths = [m.out_features if isinstance(m, nn.Linear) else m.out_channels for m in linears]
    last = next((m for m in reversed([m for _, m in modules]) if isinstance(m, nn.Linear)), None)
    return {
        "batchnorm": norms, "dropout": drops, "activations": acts, "linears": len(linears), "widths": widths,
        "embeddings": max((m.num_embeddings for _, m in modules if isinstance(m, nn.Embedding | nn.EmbeddingBag)), default=0),
        "recurrent": any(isinstance(m, nn.RNNBase) for _, m in modules),
        "normalised": any("Norm" in type(m).__name__ for _, m in modules),
        "parameters": sum(p.numel() for p in root.module.parameters()),
        "sequence": watch.recording.facts.get("sequence", []),
        "sequence_first": any(getattr(m, "batch_first", None) is False for _, m in modules),
        "sequence_place": next((place(id(m)) for _, m in modules if getattr(m, "batch_first", None) is False), None),
        "last_place": place(id(last)) if last is not None else None,
        "last_out": last.out_features if last is not None else 0,
        "first_place": place(id(linears[0])) if linears else None,
        "handmade": sum(1 for _, m in modules if next(m.children(), None) is None
                        and not type(m).__module__.startswith("torch.nn") and next(m.parameters(), None) is not None),
    }  # fmt: skip


def stale_copy(watch: Watch) -> dict[str, Any] | None:
    """Return the evaluated copy of a trained model whose batch norm knows no statistics though its weights moved.

    An average of weights (EMA) is such a copy where only its parameters are averaged.
    """
    for root in watch.roots.values():
        norms = [
            m
            for m in root.module.modules()
            if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
        ]
        if root.train_calls or not root.eval_calls or not norms or root.module.training:
            continue
        if any(m.num_batches_tracked is None or int(m.num_batches_tracked) for m in norms):
            continue
        if any(_taken_over(root, other) for other in watch.roots.values() if other.train_calls):
            return {"place": root.eval_place, "norms": len(norms), "model": type(root.module).__name__}
    return None


def _taken_over(copied: RootRecord, trained: RootRecord) -> bool:
    """Return whether one model is of the other's form, with weights that are not its first ones, and the other knows statistics."""
    first, state = trained.initial or {}, copied.module.state_dict()
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in state.items()}:
        return False
    moved = any(not torch.equal(state[n].cpu(), first[n].cpu()) for n, _ in copied.module.named_parameters())
    buffers = trained.module.named_buffers()
    return moved and any(n.endswith("num_batches_tracked") and int(b) for n, b in buffers)


def unregistered_facts(watch: Watch) -> dict[str, Any]:
    """Return layers that a model calls and does not hold, which no optimiser holds either, and whether gradients reach them."""
    held = {id(p) for o in watch.optimisers.values() for p in o.parameters}
    held |= {id(p) for r in watch.roots.values() for p in r.module.parameters()}
    found = {
        kind: (place, module)
        for kind, (place, module) in watch.unregistered.items()
        if not any(id(p) in held for p in module.parameters())
    }
    hidden = [
        (part, name)
        for root in watch.roots.values()
        for part, name, leaf in hidden_weights(root.module)
        if leaf.grad is not None and id(leaf) not in held
    ]
    return {
        "hidden": [name for _, name in hidden],
        "hidden_place": _assigned(hidden[0][1], watch.births.get(id(hidden[0][0]), Place()))
        if hidden
        else None,
        "unregistered": {kind: place for kind, (place, _) in found.items()},
        "unregistered_taught": any(p.grad is not None for _, m in found.values() for p in m.parameters()),
    }


def _text(place: Place) -> str:
    """Return the text of the file that a place is in, nothing where there is none."""
    try:
        return Path(place.file).read_text(encoding="utf-8", errors="replace") if place.file else ""
    except OSError:  # a notebook's cell
        return ""


def _assigned(name: str, place: Place) -> Place:
    """Return the line of a file in which an attribute is set, the place itself where none does."""
    for number, line in enumerate(_text(place).splitlines(), start=1):
        if re.match(rf"\s*self\.{name}\s*(:[^=]+)?=[^=]", line):
            return Place(file=place.file, line=number)
    return place


def selection_facts(place: Place) -> dict[str, Any] | None:
    """Return where the script's text chooses by a score on test rows, None where it does not."""
    found = selection_by_test(_text(place))
    if found is None:
        return None
    where = Place(file=place.file, line=found.line)
    return {"place": where, "score": found.score, "chosen": found.chosen}


def origin_facts(place: Place) -> dict[str, Place]:
    """Return where the script's text shuffles apart what belongs together, divides by 255, drops an activation's result."""
    text = _text(place)
    found = {
        "shuffled_apart": shuffled_apart(text), "divides_bytes": divides_bytes(text),
        "dropped_result": dropped_result(text), "left_behind": left_behind(text), "starts_anew": starts_anew(text),
        "ranks_alone": ranks_alone(text),
    }  # fmt: skip
    return {name: Place(file=place.file, line=line) for name, line in found.items() if line is not None}


def idle_facts(watch: Watch) -> dict[str, Any] | None:
    """Return the optimiser that never steps while others do, though its parameters get gradients; None without one.

    Parameters that another optimiser steps, or that something else moves, are not left waiting.
    """
    records = list(watch.optimisers.values())
    stepped = {id(p) for o in records if o.steps for p in o.parameters}
    for record in records:
        held = record.parameters
        waits = not record.steps and record.untaken >= 3 and not any(id(p) in stepped for p in held)
        if stepped and waits and record.now() == record.as_was:
            return {"class": type(record.optimiser).__name__, "place": record.place, "looks": record.untaken,
                    "elements": sum(p.numel() for p in held)}  # fmt: skip
    return None


def _reached(watch: Watch, parameter: torch.Tensor, record: OptimiserRecord) -> bool:
    """Return whether a gradient came to a parameter since an optimiser began: in an earlier phase is another matter."""
    return watch.updates.reached.get(id(parameter), -1) >= record.began


def _untaught(watch: Watch) -> dict[str, Any] | None:
    """Return an optimiser of torch's that steps on, and none of whose parameters ever has a gradient."""
    for one in watch.optimisers.values():
        taught = [p for p in one.parameters if p.requires_grad]
        plain = type(one.optimiser).__module__.startswith("torch.optim")
        if plain and one.steps >= 20 and taught and not any(_reached(watch, p, one) for p in taught):
            names = {id(p): n for r in watch.roots.values() for n, p in r.module.named_parameters()}
            return {"class": type(one.optimiser).__name__, "place": one.place, "steps": one.steps,
                    "parameters": [names[id(p)] for p in taught if id(p) in names][:8]}  # fmt: skip
    return None


def output_facts(watch: Watch, root: RootRecord | None, kind: str | None) -> dict[str, Any]:
    """Return which of several judged outputs is examined, counted from 1, of how many and by which loss.

    With it the largest of the other losses, in sizes of this one: it may drown what this one teaches.
    """
    if root is None or (not root.heads and watch.head is None):
        return {}
    head, (main, count) = watch.head, root.extra.get("outputs", (None, 0))
    at = main if head is None else head.record.call.output if head.record.call is not None else None
    others = [(h.size, h.kind, h.loss["place"]) for k, h in root.heads.items() if k != at]
    last = root.extra.get("kind")
    if head is not None and last in watch.losses:
        others.append((float(root.extra["size"]), last, watch.losses[last]["place"]))
    size, other, place = max(others, key=lambda one: one[0], default=(0.0, None, None))
    own = float(root.extra["size"]) if head is None else head.size
    return {
        "judged_output": {
            "number": None if at is None else at + 1, "count": count, "loss": kind,
            "times": size / max(own, 1e-12), "largest": other, "place": place,
        }
    }  # fmt: skip


def optimiser_facts(watch: Watch, main: OptimiserRecord | None) -> dict[str, Any]:
    """Return settings of the main optimiser, and which parameters of the trained models any of them holds."""
    out: dict[str, Any] = {"known": bool(watch.optimisers)}
    if main is None:
        return out
    first = main.first[0] if main.first else {}
    # An optimiser of an earlier phase teaches nothing any more.
    late = [o for o in watch.optimisers.values() if o is main or not o.steps or o.ended > main.began]
    held = {id(p) for o in late for p in o.parameters}
    ever = {id(p) for o in watch.optimisers.values() for p in o.parameters}
    stepped = {id(p) for o in watch.optimisers.values() if o.steps >= 20 for p in o.parameters}
    # Nor is a model of an earlier phase, a fold's say, still taught.
    trained = [
        r for r in watch.roots.values()
        if r.train_calls and (any_of(r.module.parameters(), held) or not any_of(r.module.parameters(), ever))
    ]  # fmt: skip
    unreached, aimed, unreached_elements = [], [], 0
    inside, frozen, forgotten, forgotten_elements, total, frozen_elements = 0, [], [], 0, 0, 0
    counted: set[int] = set()  # models may share parts
    for root in trained:
        for name, p in root.module.named_parameters():
            if id(p) in counted:
                continue
            counted.add(id(p))
            total += p.numel()
            if not p.requires_grad:
                frozen.append(name)
                frozen_elements += p.numel()
            elif id(p) in held:
                inside += p.numel()
                if not _reached(watch, p, main):
                    unreached.append(name)
                    unreached_elements += p.numel()
                    never = id(p) not in watch.updates.reached
                    aimed += [name] if never and id(p) in watch.updates.aimed and id(p) in stepped else []
            else:
                forgotten.append(name)
                forgotten_elements += p.numel()
    known = {id(p) for r in watch.roots.values() for p in r.module.parameters()}
    main_held = main.parameters
    lost = {tuple(p.shape) for p in main_held if id(p) not in known and p.grad is None and p.requires_grad}
    anew = [
        n
        for r in trained
        for n, p in r.module.named_parameters()
        if n in forgotten and tuple(p.shape) in lost
    ]
    out |= {
        "class": type(main.optimiser).__name__, "place": main.place, "steps": main.steps,
        "lr": float(first.get("lr", math.nan)), "weight_decay": float(first.get("weight_decay", 0.0) or 0.0),
        "momentum": float(first.get("momentum", 0.0) or 0.0), "maximize": bool(first.get("maximize", False)),
        "inside": inside, "total": total, "frozen": frozen[:20], "forgotten": forgotten[:20],
        "forgotten_elements": forgotten_elements, "frozen_elements": frozen_elements,
        "unreached": unreached[:20], "unreached_elements": unreached_elements, "left_out": aimed[:20],
        "untaught": _untaught(watch), "replaced": anew[:20] if len(anew) > 1 or anew == forgotten else [],
        "stale": bool(main_held) and bool(trained) and not any(id(p) in known for p in main_held) and inside == 0,
        "taught": any(_reached(watch, p, main) for p in main_held), "groups": len(main.first), "zeroed": all(o.grads_were_zeroed for o in watch.optimisers.values()),
        "betas": first.get("betas"), "handmade": not type(main.optimiser).__module__.startswith("torch.optim"),
        "without_gradient": sum(1 for p in main_held if p.grad is None and p.requires_grad) / max(len(main_held), 1),
    }  # fmt: skip
    return out
