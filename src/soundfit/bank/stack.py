"""Stack: the parameters and buffers of M modules on a leading axis.

All parameters live in one flat matrix ``params_MP`` (the optimiser sees a single tensor); the modules'
own shapes are views into it. Knows no loss, no optimiser and no rows.

Shape legend of this package: M members, P parameters of one member, N rows, B batch, F features,
C outputs, V views of the inputs (one per fold), T steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Slot", "Stack", "stack_modules"]


# Rows of whole vector registers: a kernel's leftovers, which may round differently, then never fall on
# one member and not on another, and a member's bits do not depend on how many others there are.
ROW = 16


@dataclass(frozen=True)
class Slot:
    """Where one named parameter stands in a member's flat vector."""

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass
class Stack:
    """M modules of one architecture as tensors.

    Attributes:
        template: a module of the architecture; its own values are never read.
        slots: the parameters' places, in the module's order.
        params_MP: all trainable parameters, float32, and zeros up to a multiple of :data:`ROW`.
        buffers: each buffer, and each frozen parameter, on a leading axis of M.
        mutated: names of the buffers that a training pass changes (BatchNorm statistics, counters).
    """

    template: nn.Module
    slots: tuple[Slot, ...]
    params_MP: Tensor
    buffers: dict[str, Tensor]
    mutated: tuple[str, ...]

    @property
    def size(self) -> int:
        """M, the number of members."""
        return self.params_MP.shape[0]

    def views(self) -> dict[str, Tensor]:
        """Return each parameter as a view ``(M, *shape)`` of ``params_MP``."""
        m = self.params_MP.shape[0]
        return {s.name: self.params_MP[:, s.start : s.start + s.size].view(m, *s.shape) for s in self.slots}

    def select(self, rows: Tensor) -> Stack:
        """Return the stack of the members at ``rows`` (a copy)."""
        buffers = {name: b.index_select(0, rows) for name, b in self.buffers.items()}
        return Stack(self.template, self.slots, self.params_MP.index_select(0, rows), buffers, self.mutated)

    def to(self, device: torch.device) -> Stack:
        """Return the stack on a device; itself where it is there."""
        if self.params_MP.device == device:
            return self
        buffers = {name: b.to(device) for name, b in self.buffers.items()}
        return Stack(
            _moved(self.template, device), self.slots, self.params_MP.to(device), buffers, self.mutated
        )

    def members(self) -> list[dict[str, Tensor]]:
        """Return each member's parameters and buffers by name, as views."""
        apart = {name: t.unbind(0) for name, t in {**self.views(), **self.buffers}.items()}
        return [{name: rows[i] for name, rows in apart.items()} for i in range(self.size)]


def stack_modules(modules: Sequence[nn.Module], *, sample: Tensor, device: torch.device) -> Stack:
    """Stack modules of one architecture; ``sample`` (B, …) is a batch to rehearse a training pass with.

    Raises:
        ValueError: the modules differ in parameter names or shapes, or have none.
    """
    first = modules[0]
    slots, start = [], 0
    for name, parameter in first.named_parameters():
        if not parameter.requires_grad:
            continue
        slots.append(Slot(name, tuple(parameter.shape), start))
        start += parameter.numel()
    if not slots:
        raise ValueError("a member has at least one trainable parameter, however: the module has none")
    rows = []
    for i, module in enumerate(modules):
        parameters = dict(module.named_parameters())
        shapes = {n: tuple(p.shape) for n, p in parameters.items()}
        if any(shapes.get(s.name) != s.shape for s in slots) or len(shapes) != len(list(first.parameters())):
            raise ValueError(
                "members of one bank have one architecture, however: "
                f"module {i} has parameters {shapes}, module 0 {[(s.name, s.shape) for s in slots]}"
            )
        row = torch.cat([parameters[s.name].detach().reshape(-1).float() for s in slots])
        rows.append(torch.nn.functional.pad(row, (0, -len(row) % ROW)))
    constants = [_constants(m) for m in modules]
    buffers = {name: torch.stack([c[name] for c in constants]).to(device) for name in constants[0]}
    return Stack(
        _moved(first, device),
        tuple(slots),
        torch.stack(rows).to(device),
        buffers,
        _mutated_buffers(first, sample),
    )


def _moved(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy on a device in which two names of one buffer are still that: ``to`` parts them."""
    moved = copy.deepcopy(module).to(device)
    places: dict[int, Tensor | None] = {}
    for layer, target in zip(module.modules(), moved.modules(), strict=True):
        for name, buffer in layer._buffers.items():
            if buffer is not None:
                target._buffers[name] = places.setdefault(id(buffer), target._buffers[name])
    return moved


def _constants(module: nn.Module) -> dict[str, Tensor]:
    """Return what a member brings and no optimiser changes: buffers and frozen parameters."""
    frozen = {n: p.detach() for n, p in module.named_parameters() if not p.requires_grad}
    return {**frozen, **{n: b.detach() for n, b in module.named_buffers()}}


def _mutated_buffers(module: nn.Module, sample: Tensor) -> tuple[str, ...]:
    """Name the buffers that one training pass changes, by rehearsal on a copy."""
    trial = copy.deepcopy(module).to(sample.device).train()
    before = {name: (b._version, b.clone()) for name, b in trial.named_buffers()}
    state = torch.random.get_rng_state()
    with torch.no_grad():
        trial(sample)
    torch.random.set_rng_state(state)
    after = dict(trial.named_buffers())
    # Some operations change a tensor without counting it as a new version (native_batch_norm).
    return tuple(
        name
        for name, (version, value) in before.items()
        if after[name]._version != version or not torch.equal(after[name], value)
    )
