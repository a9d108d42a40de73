"""Short trainings of the script's own model on the rows it showed, with one thing changed: what cures it?

Knows the model, its first weights, its optimiser and the rows; everything runs on copies, under a generator
of its own, after the script has ended.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from soundfit.doctor.call import Call, output_of
from soundfit.doctor.pace import clock
from soundfit.doctor.plain_step import plain_step
from soundfit.doctor.reference import parted
from soundfit.doctor.remodel import draw_anew
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, evened, row_scores, score

__all__ = ["Recipe", "Replayed", "arguments", "replay"]

Tensor = torch.Tensor
F = nn.functional

# Optimisers that step all weights of a net in one call. Not SGD: that call takes no sparse gradients.
_FUSED = (torch.optim.Adam, torch.optim.AdamW)
# Arguments of losses that weigh classes.
_WEIGHT = {
    "cross_entropy": "weight",
    "nll_loss": "weight",
    "binary_cross_entropy_with_logits": "pos_weight",
}


@dataclass
class Recipe:
    """How the script trained: model, first weights, loss, optimiser, batch size, steps, rates per step."""

    module: nn.Module
    call: Call
    initial: dict[str, Tensor]
    training: bool
    loss: str | None
    reduction: str
    loss_kwargs: dict[str, Any]
    activation: str | None
    optimiser: type[torch.optim.Optimizer]
    settings: dict[str, Any]
    names: frozenset[str] | None
    batch_size: int
    steps: int
    rates: list[float] = field(default_factory=list)
    negated: bool = False
    keeps_gradients: bool = False


@dataclass
class Replayed:
    """Scores of a replay on rows held out and on rows fitted, and whether time cut it short."""

    held_out: float
    fitted: float
    steps: int
    cut: bool
    outputs_spread: float = math.nan
    evened: float = math.nan
    parts: Tensor | None = None


def arguments(kind: str | None, described: dict[str, Any]) -> dict[str, Any]:
    """Return the loss's arguments as its first call had them, the weights of classes among them."""
    made = dict(described.get("kwargs", {}))
    name = _WEIGHT.get(kind or "")
    listed = described.get(f"{name}s") if name else None
    if name and listed:
        made[name] = torch.tensor(listed)
    return made


def replay(
    recipe: Recipe,
    task: Task,
    rows: Rows,
    change: dict[str, Any],
    *,
    seconds: float = 2.0,
    seed: int = 3,
    split: tuple[Tensor, Tensor] | None = None,
) -> Replayed | None:
    """Train a copy with ``change`` and return its scores; None where the model cannot be copied or run.

    ``split``: rows to fit on and rows to judge on; a fixed share is held out when None.

    Changes: ``rate`` (factor), ``set_rate``, ``adam`` (rate), ``scale_inputs``, ``scale_targets``,
    ``sound_loss``, ``fresh``, ``longer`` (factor), ``no_decay``, ``no_dropout``, ``all_parameters``,
    ``zero_gradients``, ``descend``, ``train_mode``, ``flat_rate``, ``batch_size``, ``clip``.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _replay(recipe, task, rows, change, seconds, split)
    except Exception:  # a model that will not run outside its script gives no evidence
        return None


def _replay(
    recipe: Recipe,
    task: Task,
    rows: Rows,
    change: dict[str, Any],
    seconds: float,
    split: tuple[Tensor, Tensor] | None,
) -> Replayed:
    net = copy.deepcopy(recipe.module).cpu()
    net.load_state_dict(recipe.initial)
    for parameter in net.parameters():
        parameter.grad = None
    if change.get("fresh"):
        draw_anew(net)
    if change.get("no_dropout"):
        for module in net.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
    net.train(recipe.training or bool(change.get("train_mode")))
    if split is not None:
        fit, held = split
    else:
        fit, held = parted(rows)
    if change.get("scale_inputs"):
        rows = Rows(tuple(_scaled(x, fit) for x in rows.inputs), rows.targets)
    opt = _optimiser(recipe, net, change)
    base = [g["lr"] for g in opt.param_groups]
    taught = [p for g in opt.param_groups for p in g["params"]]
    steps = max(1, round(recipe.steps * change.get("longer", 1)))
    size = min(change.get("batch_size", recipe.batch_size), len(fit))
    deadline = clock() + seconds
    order, at, done = fit[torch.randperm(len(fit))], 0, 0
    center, width = (
        _target_scale(recipe, net, task, rows.take(fit)) if change.get("scale_targets") else (0.0, 1.0)
    )
    keeps = recipe.keeps_gradients and not change.get("zero_gradients")
    for step in range(steps):
        if at + size > len(order):
            order, at = fit[torch.randperm(len(fit))], 0
        index = order[at : at + size]
        at += size
        if recipe.rates and not change.get("flat_rate") and "adam" not in change:
            part = recipe.rates[min(len(recipe.rates) - 1, step * len(recipe.rates) // steps)]
            for g, lr in zip(opt.param_groups, base, strict=True):
                g["lr"] = lr * part
        if not keeps:
            for parameter in taught:
                parameter.grad = None
        out = output_of(recipe.call(net, [x[index] for x in rows.inputs]))
        out = recipe.call.amounts(out, task.is_numbers)
        target = rows.targets[index]
        if width != 1.0 or center != 0.0:
            target = (target.float() - center) / width
        another = bool(change.get("sound_loss")) and recipe.call.outer != "rate"  # counts have theirs
        loss = _loss(recipe, task, out, target, sound=another or recipe.loss is None)
        if recipe.negated and not change.get("descend"):
            loss = -loss
        loss.backward()
        if change.get("clip"):
            nn.utils.clip_grad_norm_(net.parameters(), float(change["clip"]))
        plain_step(opt)
        done = step + 1
        if done % 16 == 0 and clock() > deadline:
            break
    net.eval()
    with torch.no_grad():
        p = torch.cat(
            [
                output_of(recipe.call(net, [x[i] for x in rows.inputs]))
                for i in torch.arange(len(rows)).split(512)
            ]
        )
        p = recipe.call.amounts(p.float(), task.is_numbers) * width + center
    return Replayed(
        score(task, p[held], rows.targets[held]),
        score(task, p[fit], rows.targets[fit]),
        done,
        done < steps,
        float(p.std(0).mean()) if len(p) > 1 else math.nan,
        evened(task, p[held], rows.targets[held]) if task.has_one_class else math.nan,
        row_scores(task, p[held], rows.targets[held]),
    )


def _scaled(x: Tensor, fit: Tensor) -> Tensor:
    if not x.is_floating_point():
        return x
    dims = [0] if x.dim() == 2 else [0, *range(2, x.dim())] if x.dim() == 4 else list(range(x.dim() - 1))
    mean, std = x[fit].mean(dims, keepdim=True), x[fit].std(dims, keepdim=True, correction=0)
    return (x - mean) / torch.where(std > 1e-12, std, torch.ones_like(std))


def _target_scale(recipe: Recipe, net: nn.Module, task: Task, rows: Rows) -> tuple[float, float]:
    """Return mean and spread of the targets; 0 and 1 where the model begins with their mean built in."""
    if not task.is_numbers:
        return 0.0, 1.0
    y = rows.targets.float()
    mean, spread = float(y.mean()), float(y.std()) + 1e-12
    with torch.no_grad():
        some = torch.arange(min(len(rows), 256))
        first = recipe.call.amounts(output_of(recipe.call(net, [x[some] for x in rows.inputs])).float())
    built_in = abs(float(first.mean()) - mean) < 0.5 * spread < abs(mean) and spread < 10.0
    return (0.0, 1.0) if built_in else (mean, spread)


def _optimiser(recipe: Recipe, net: nn.Module, change: dict[str, Any]) -> torch.optim.Optimizer:
    named = list(net.named_parameters())
    if change.get("all_parameters") or "adam" in change:
        for _, p in named:
            p.requires_grad_(True)
        params = [p for _, p in named]
    elif recipe.names is None:
        params = [p for _, p in named]
    else:
        params = [p for name, p in named if name in recipe.names] or [nn.Parameter(torch.zeros(1))]
    if "adam" in change:
        return _fused(torch.optim.Adam, params, {"lr": change["adam"]})
    settings = dict(recipe.settings)
    if change.get("no_decay") and "weight_decay" in settings:
        settings["weight_decay"] = 0.0
    if change.get("descend") and settings.get("maximize"):
        settings["maximize"] = False
    settings["lr"] = change.get("set_rate", float(settings["lr"]) * change.get("rate", 1.0))
    return _fused(recipe.optimiser, params, settings)


def _fused(
    kind: type[torch.optim.Optimizer], params: list[nn.Parameter], settings: dict[str, Any]
) -> torch.optim.Optimizer:
    """Return the optimiser, with one call a step where it has that: a small net's step is mostly calls."""
    own = any(settings.get(name) for name in ("fused", "foreach", "capturable", "differentiable"))
    if kind in _FUSED and not own and all(p.is_floating_point() for p in params):
        settings = {**settings, "fused": True}
    return kind(params, **settings)


def _loss(recipe: Recipe, task: Task, out: Tensor, target: Tensor, *, sound: bool) -> Tensor:
    kind, kwargs = recipe.loss, recipe.loss_kwargs
    if sound:
        return sound_loss(task, recipe.activation, out, target, kwargs.get(_WEIGHT.get(str(kind), "")))
    kwargs = {
        k: v
        for k, v in kwargs.items()
        if k in ("reduction", "label_smoothing", "beta", "delta", "weight", "pos_weight", "log_input")
    }
    if recipe.call.outer == "rate" and task.is_numbers and kind == "poisson_nll_loss":  # a rate by now
        kwargs["log_input"] = False
    inside = _applied_outside(recipe, out)
    if inside is not None:
        out = inside
    if (
        out.shape != target.shape
        and kind not in ("cross_entropy", "nll_loss")
        and out.numel() == target.numel()
    ):
        out = out.reshape(target.shape)
    return getattr(F, str(kind))(out, target, **kwargs)


def _applied_outside(recipe: Recipe, out: Tensor) -> Tensor | None:
    """Apply the activation that the script applied between model and loss."""
    found, over = recipe.activation, 1 if recipe.call.places is not None and out.dim() > 2 else -1
    if found not in ("softmax", "log_softmax", "sigmoid"):
        return None
    bounded = bool((out.detach() >= 0).all()) and bool((out.detach() <= 1).all())
    if found == "softmax" and not bounded:
        return out.softmax(over)
    if found == "log_softmax" and bool((out.detach() > 0).any()):
        return out.log_softmax(over)
    if found == "sigmoid" and not bounded:
        return out.sigmoid()
    return None


def sound_loss(
    task: Task, activation: str | None, out: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return the loss that fits task and output: cross-entropy on classes, squared error on numbers.

    ``weight``: of the classes, or of the positive one, where the script weighs them.
    """
    probabilities = activation in ("softmax", "sigmoid") and bool(
        (out.detach() >= 0).all() & (out.detach() <= 1).all()
    )
    if (
        task.kind == "classes" and task.classes == 2 and out.numel() == len(target)
    ):  # one unit for two classes
        return F.binary_cross_entropy_with_logits(out.reshape(-1), task.labels(target).float())
    if task.kind == "shares":
        logs = out.clamp(min=1e-9).log() if probabilities else out.log_softmax(-1)
        return -(target.float() * logs).sum(-1).mean()
    if task.kind in ("classes", "one-hot") and out.dim() > 1 and out.shape[-1] > 1:
        labels = task.labels(target)
        if probabilities:
            return F.nll_loss((out / out.sum(-1, keepdim=True)).clamp(min=1e-9).log(), labels)
        fits = weight is not None and weight.numel() == out.shape[-1]
        return F.cross_entropy(out, labels, weight if fits else None)
    if task.kind == "sequence":
        logs = out.clamp(min=1e-9).log() if probabilities else out.log_softmax(1)
        return F.nll_loss(logs, target)
    if task.kind in ("binary", "multilabel"):
        if task.kind == "binary" and out.dim() > 1 and out.shape[-1] == 2:
            return F.cross_entropy(out, task.labels(target))
        y = target.float().reshape(out.shape)
        if probabilities:
            return F.binary_cross_entropy(out.clamp(1e-7, 1 - 1e-7), y)
        return F.binary_cross_entropy_with_logits(out, y, pos_weight=weight)
    y = target.float()
    return F.mse_loss(out.reshape(y.shape) if out.numel() == y.numel() else out, y)
