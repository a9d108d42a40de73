"""Chunks: how many members train in lockstep, so that what a step touches stays in cache and in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = [
    "CACHE_BYTES",
    "MemberNeed",
    "activation_elements",
    "chunk_bounds",
    "held_elements",
    "members_at_once",
    "usable_bytes",
]

# What a step may touch on a CPU. Measured on nets of 465 to 100,000 parameters: the best chunk lies
# between 4 and 8 MB for all of them (a few L2 caches; the last level takes the overflow).
CACHE_BYTES = 6_000_000
# Parameters, gradient, two moments and the optimiser's scratch.
_TENSORS_A_STEP = 5
# And, resident but not touched in a step: best and last good state (3), copies while they are taken, the
# modules that members came as. Measured peaks on MLPs and a CNN lie 20 to 40 % below.
_TENSORS_RESIDENT = 16
# Recording a step keeps all that it makes: each activation, its gradient, masks and copies between.
_RECORDED_ACTIVATIONS = 5
_EXAM_ACTIVATIONS = 3


def activation_elements(module: nn.Module, sample: Tensor) -> int:
    """Return the number of output elements of all leaf layers for a batch, found by a rehearsal."""
    total = 0

    def count(_: nn.Module, __: object, output: object) -> None:
        nonlocal total
        if isinstance(output, Tensor):
            total += output.numel()

    leaves = [m for m in module.modules() if not list(m.children())]
    _rehearse(module, sample, [leaf.register_forward_hook(count) for leaf in leaves])
    return total


def held_elements(module: nn.Module, sample: Tensor) -> int:
    """Return what layers keep of a batch for the gradient beside their outputs, as far as they say so.

    A layer over many steps hands out its last state and keeps all of them: it has ``held_elements(input)``.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal total
        held: Any = layer.held_elements
        total += held(inputs[0])

    layers = [m for m in module.modules() if hasattr(m, "held_elements")]
    if layers:
        _rehearse(module, sample, [layer.register_forward_pre_hook(count) for layer in layers])
    return total


def _rehearse(module: nn.Module, sample: Tensor, hooks: Sequence[RemovableHandle]) -> None:
    """Pass a batch through a module in evaluation mode, then take its hooks and the mode back."""
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(sample)
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class MemberNeed:
    """What one member needs.

    Attributes:
        n_parameters: of one member.
        n_activations: output elements of all its layers for a batch.
        n_inputs: elements of a batch of inputs, of which each member may have its own.
        exam_batches: rows of one pass of an evaluation, in batches.
        n_held: elements that its layers keep beside their outputs; read step by step, so that they need
            memory and no cache.
    """

    n_parameters: int
    n_activations: int
    n_inputs: int = 0
    exam_batches: float = 0.0
    n_held: int = 0

    @property
    def step_bytes(self) -> int:
        """What a step touches: each activation is written forward and again as a gradient."""
        return 4 * (_TENSORS_A_STEP * self.n_parameters + 2 * self.n_activations)

    @property
    def peak_bytes(self) -> int:
        """What is held at the peak while the member's bank trains."""
        activations = max(_RECORDED_ACTIVATIONS, _EXAM_ACTIVATIONS * self.exam_batches) * self.n_activations
        inputs = 2 * max(1.0, self.exam_batches) * self.n_inputs
        held = _RECORDED_ACTIVATIONS * self.n_held
        return 4 * int(_TENSORS_RESIDENT * self.n_parameters + activations + held + inputs)


def usable_bytes(device: torch.device) -> int:
    """Return the memory that a training may fill: most of what a GPU has free, a quarter of a machine's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * 0.8)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    except (AttributeError, ValueError, OSError):  # not every system tells
        return 2**31


def members_at_once(need: MemberNeed, *, device: torch.device, memory_bytes: int | None = None) -> int:
    """Return how many members to train in lockstep.

    On a CPU as many as fit in :data:`CACHE_BYTES`, on any device as many as fit in the memory that a training
    may fill. Never more than ``memory_bytes`` allows; at least one.
    """
    peak = need.peak_bytes
    limit = usable_bytes(device) // peak
    if device.type != "cuda":
        limit = min(limit, CACHE_BYTES // need.step_bytes)
    if memory_bytes is not None:
        limit = min(limit, memory_bytes // peak)
    return max(1, limit)


def chunk_bounds(streams: Sequence[object], at_once: int) -> list[tuple[int, int]]:
    """Cut members, sorted by stream, into runs of at most ``at_once`` of nearly equal length.

    Where a stream alone fills half a chunk or more, chunks do not cross streams: its members then
    read one shared batch.
    """
    n = len(streams)
    runs: list[tuple[int, int]] = []
    start = 0
    for stop in range(1, n + 1):
        if stop == n or streams[stop] != streams[start]:
            runs.append((start, stop))
            start = stop
    if at_once <= 2 * min(b - a for a, b in runs):
        return [piece for a, b in runs for piece in _equal_pieces(a, b, at_once)]
    return _equal_pieces(0, n, at_once)


def _equal_pieces(start: int, stop: int, at_once: int) -> list[tuple[int, int]]:
    n_pieces = math.ceil((stop - start) / at_once)
    edges = [start + round(i * (stop - start) / n_pieces) for i in range(n_pieces + 1)]
    return list(pairwise(edges))
