"""What a watch has seen: calls of losses, optimisers and models, as records. Knows no hook and no rule."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer

from soundfit.doctor.rows import RowStore
from soundfit.records import Place

__all__ = ["LossCall", "OptimiserRecord", "RootRecord", "first_tensor", "tensors"]


@dataclass
class LossCall:
    """One call of a loss function: what met what, and how."""

    kind: str
    prediction: torch.Tensor
    target: torch.Tensor
    output: torch.Tensor
    reduction: str
    kwargs: dict[str, Any]


@dataclass
class OptimiserRecord:
    """An optimiser that the script built."""

    optimiser: Optimizer
    place: Place
    steps: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    grads_were_zeroed: bool = True


@dataclass
class RootRecord:
    """A module that the script called itself (not through another module)."""

    module: torch.nn.Module
    place: Place
    initial: dict[str, torch.Tensor] | None = None
    initial_training: bool = True
    train_calls: int = 0
    train_calls_in_eval_mode: int = 0
    eval_calls: int = 0
    eval_calls_in_train_mode: int = 0
    eval_place: Place = field(default_factory=Place)
    batch_sizes: dict[int, int] = field(default_factory=dict)
    train_rows: RowStore = field(default_factory=RowStore)
    eval_rows: RowStore = field(default_factory=RowStore)
    eval_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    train_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def tensors(tree: Any) -> list[torch.Tensor]:
    """Return the tensors in nested tuples, lists and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [x for value in tree.values() for x in tensors(value)]
    if isinstance(tree, list | tuple):
        return [x for value in tree for x in tensors(value)]
    return []


def first_tensor(tree: Any) -> torch.Tensor | None:
    with contextlib.suppress(IndexError):
        return tensors(tree)[0]
    return None
