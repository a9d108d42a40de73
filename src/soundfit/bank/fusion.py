"""Fusion: neighbouring pointwise operations of a recording become one Triton kernel each.

What lies between two operations of a kernel stays in registers, so a step on a GPU moves fewer bytes and
starts fewer kernels. Operations that :mod:`soundfit.bank.pointwise` does not know stay torch's. Knows nothing
of members or training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from soundfit.bank.availability import Availability
from soundfit.bank.kernel import kernel_of
from soundfit.bank.pointwise import HALVES, TRITON_TYPES, assignment, is_known
from soundfit.bank.recorder import Op, Recording, Ref, refs_in

__all__ = ["availability", "fused_ops", "is_worth_it"]

aten = torch.ops.aten

# What a step takes however small it is, what a GPU moves, and from when kernels pay.
_STEP_SECONDS, _BYTES_A_SECOND, _WORTH_SECONDS = 8e-5, 3e12, 6.0
# Tensors of a kernel: more would fill registers with addresses.
_MOST_TENSORS = 24
# Groups that an operation looks back at for one to join: those before are rarely reached, and time is.
_MOST_LOOKED_AT = 64

#: Whether operations may be fused.
availability = Availability("pointwise fusion")


@dataclass
class _Group:
    """Operations of one shape on their way into a kernel; an operation like others to whoever moves it."""

    shape: tuple[int, ...]
    ops: list[Op] = field(default_factory=list)
    reads: set[int] = field(default_factory=set)
    writes: set[int] = field(default_factory=set)
    # The layouts in which each storage is met: where it is written one, or elements would not meet.
    layouts: dict[int, set[Ref]] = field(default_factory=dict)

    def add(self, op: Op) -> None:
        self.ops.append(op)
        self.reads |= op.reads
        self.writes |= op.writes
        for ref in _refs(op):
            self.layouts.setdefault(ref.storage, set()).add(ref)

    def takes(self, op: Op) -> bool:
        """Return whether the operation's elements meet those of the group, one by one."""
        refs = _refs(op)
        written = self.writes | op.writes
        if len({r for refs in self.layouts.values() for r in refs} | set(refs)) > _MOST_TENSORS:
            return False
        return all(
            (self.layouts.get(s, set()) | {r for r in refs if r.storage == s}) == {ref}
            for ref, s in ((r, r.storage) for r in refs)
            if s in written
        )


def is_worth_it(n_steps: int, elements_a_step: int) -> bool:
    """Return whether so many steps take longer than some seconds, which is what kernels cost to compile.

    ``elements_a_step``: float32 values that a step reads or writes. Measured on an H200: fusion saves a fifth
    to a third of a step, and the kernels of an architecture take 2 to 4 seconds when they are new.
    """
    return n_steps * (_STEP_SECONDS + 4 * elements_a_step / _BYTES_A_SECOND) > _WORTH_SECONDS


def fused_ops(recording: Recording, ops: Sequence[Op]) -> list[Op]:
    """Return the operations with groups of pointwise ones as kernels, in an order of the same results."""
    items: list[Op | _Group] = []
    for op in map(_as_product, ops):
        if not _may_join(recording, op):
            items.append(op)
            continue
        _join(items, op)
    readers: dict[int, int] = {}
    for item in items:
        for s in item.reads:
            readers[s] = readers.get(s, 0) + 1
    kept = {r.storage for r in recording.outputs}
    done: list[Op] = []
    for item in items:
        if isinstance(item, Op):
            done.append(item)
        elif len(item.ops) == 1:
            done.append(item.ops[0])
        else:
            stored = {
                s
                for s in item.writes
                if s not in recording.internal or s in kept or readers.get(s, 0) > (s in item.reads)
            }
            done.append(_kernel(item, stored))
    return done


def _as_product(op: Op) -> Op:
    """Return a matrix product over one column and one row as the pointwise product that it is."""
    if op.func is not aten.bmm.default or op.args[0].size[2] != 1:
        return op
    return Op(aten.mul.Tensor, op.args, op.kwargs, op.outs, op.reads, op.writes)


def _may_join(recording: Recording, op: Op) -> bool:
    if not isinstance(op.func, torch._ops.OpOverload) or not is_known(op):
        return False
    out, refs = op.outs[0], _refs(op)
    here = all(recording.storages[r.storage].device.type == recording.device.type for r in refs)
    aligned = all(r == out for r in refs if r.storage == out.storage)
    return here and aligned and math.prod(out.size) > 0 and op.writes == {out.storage}


def _join(items: list[Op | _Group], op: Op) -> None:
    """Put an operation into the nearest group of its shape that it can reach, or into a new one."""
    shape = op.outs[0].size
    for at in range(len(items) - 1, max(-1, len(items) - 1 - _MOST_LOOKED_AT), -1):
        item = items[at]
        if isinstance(item, _Group) and item.shape == shape and item.takes(op):
            between = items[at + 1 :]
            if all(_commute(op, other) for other in between):
                item.add(op)
                return
            if all(_commute(item, other) for other in between):
                del items[at]
                item.add(op)
                items.append(item)
                return
    group = _Group(shape)
    group.add(op)
    items.append(group)


def _commute(a: Op | _Group, b: Op | _Group) -> bool:
    return not (a.writes & (b.reads | b.writes)) and not (a.reads & b.writes)


def _refs(op: Op) -> list[Ref]:
    """Return the tensors that an operation reads, and its result at the end."""
    # What a copy fills it does not read.
    first = 1 if op.func.overloadpacket.__name__ == "copy_" else 0
    return [*refs_in(op.args[first:]), op.outs[0]]


def _kernel(group: _Group, stored: set[int]) -> Op:
    """Return a group as one operation."""
    loads: dict[Ref, str] = {}
    now: dict[Ref, str] = {}
    body: list[str] = []

    def name(ref: Ref) -> str:
        if ref not in now:
            now[ref] = loads[ref] = f"x{len(loads)}"
        return now[ref]

    for op in group.ops:
        text, out = assignment(op, name), op.outs[0]
        if out.dtype in HALVES:
            text = f"({text}).to({TRITON_TYPES[out.dtype]}).to(tl.float32)"
        now[out] = f"y{len(body)}"
        body.append(f"{now[out]} = {text}")
    results = {op.outs[0].storage: op.outs[0] for op in group.ops if op.outs[0].storage in stored}
    stores = {ref: now[ref] for ref in results.values()}
    kernel = kernel_of(group.shape, loads, body, stores)
    reads, writes = (frozenset(r.storage for r in refs) for refs in (loads, stores))
    return Op(kernel, tuple(loads), {}, tuple(stores), reads, writes)
