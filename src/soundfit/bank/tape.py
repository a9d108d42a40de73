"""Tape: a recorded function made ready to replay in fixed memory, operation by operation.

All tensors are laid out once: replaying allocates nothing, views cost nothing, values that no longer
matter lend their memory to later ones, and pointwise results overwrite the operand that dies with them.
On a GPU replays are captured as CUDA graphs, many runs in one. Knows nothing of members or training.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from soundfit.bank.fusion import availability, fused_ops
from soundfit.bank.kernel import Kernel
from soundfit.bank.picture_ops import PictureOp, substituted
from soundfit.bank.placement import Whole, placed
from soundfit.bank.recorder import Op, Recording, Ref, map_refs, record, refs_in

__all__ = ["Tape"]

aten = torch.ops.aten

# A CUDA graph holds as many runs as make about this many calls: launching it then costs next to nothing.
GRAPH_CALLS = 1500

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Tape:
    """Record a function at construction (it runs once, for real) and replay it at each call.

    The function takes no arguments: what changes between calls are the *values* of tensors it reads,
    which are changed in place. What it changes in place is changed at each replay; what it returns is
    found in :attr:`outputs`, overwritten by the next replay.

    Raises:
        Exception: whatever the function raises while it runs.
    """

    calls: list[Call]
    outputs: tuple[Tensor, ...]

    def __init__(
        self, function: Callable[[], tuple[Tensor, ...]], *, device: torch.device, fuse: bool | None = None
    ) -> None:
        with _no_collection():
            recording = record(function, device)
        self.device = device
        self._graphs: dict[int, Any] | None = {}
        live = _live_ops(recording, _constant_storages(recording))
        live = _with_shortcuts(recording, _without_identities(recording, live))
        live, wholes = placed(recording, live) if device.type == "cuda" or fuse else (live, {})
        if availability.on(device) if fuse is None else fuse:
            try:
                self._lay_out(recording, fused_ops(recording, substituted(recording, live)), wholes)
            except Exception as error:  # a compiler's error may be of any class
                availability.give_up(error)
            else:
                return
        self._lay_out(recording, live, wholes)

    def _lay_out(self, recording: Recording, live: list[Op], wholes: dict[int, Whole]) -> None:
        """Give every tensor its place and make the calls."""
        memory = _lay_out(recording, live, wholes)
        tensors: dict[Ref, Tensor] = {}

        def tensor_at(ref: Ref) -> Tensor:
            if ref not in tensors:
                tensors[ref] = ref.on(memory.get(ref.storage) or recording.storages[ref.storage])
            return tensors[ref]

        with torch.no_grad():
            for storage, whole in wholes.items():
                whole.start(recording, memory[storage])
            # The first run left its results in the recorder's memory: carry them over before it goes.
            self.outputs = tuple(tensor_at(r) for r in recording.outputs)
            for ref, output in zip(recording.outputs, self.outputs, strict=True):
                if ref.storage in memory:
                    output.copy_(ref.on(recording.storages[ref.storage]))
            self.calls = [call for op in live for call in _calls(op, tensor_at)]

    def replay(self, times: int = 1) -> tuple[Tensor, ...]:
        """Run the function again on the present values, so many times; return :attr:`outputs`."""
        if self.device.type == "cuda":
            at_once = max(1, min(times, GRAPH_CALLS // max(len(self.calls), 1)))
            for runs in (*[at_once] * (times // at_once), *[1] * (times % at_once)):
                self._replay_graph(runs)
        else:
            self._run(times)
        return self.outputs

    def _run(self, times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                for function, args, kwargs in self.calls:
                    function(*args, **kwargs)

    def _replay_graph(self, times: int) -> None:
        """Launch the CUDA graph of so many runs; where it cannot be captured, make the calls one by one."""
        if self._graphs is not None and times not in self._graphs:
            try:
                self._graphs[times] = self._captured(times)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._graphs = None
                warnings.warn(
                    f"an operation cannot be captured in a CUDA graph ({str(error).splitlines()[0][:200]}): "
                    "training goes on without, and slower",
                    RuntimeWarning,
                    stacklevel=2,
                )
        if self._graphs is None:
            self._run(times)
        else:
            self._graphs[times].replay()

    def _captured(self, times: int) -> Any:
        # Capturing runs nothing, so the state advances by exactly the replays.
        graph = torch.cuda.CUDAGraph()
        with _no_collection(), torch.cuda.graph(graph):
            self._run(times)
        return graph


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: freeing what another graph held breaks a capture."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _is_random(op: Op) -> bool:
    return torch.Tag.nondeterministic_seeded in op.func.tags


def _constant_storages(recording: Recording) -> set[int]:
    """Find memory whose values no replay changes: counters, ones, zeros and what follows from them."""
    writers: dict[int, list[int]] = {}
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(recording.ops):
        for s in op.writes:
            writers.setdefault(s, []).append(i)
        for s in op.reads - op.writes:
            readers.setdefault(s, []).append(i)
    constant = {s for s in recording.internal if s in writers}
    changed = True
    while changed:
        changed = False
        for i, op in enumerate(recording.ops):
            if not op.writes & constant:
                continue
            fixed = not _is_random(op) and op.reads - op.writes <= constant and op.writes <= constant
            # Who reads between two writes would see the last one.
            settled = all(max(writers[s]) <= min(readers.get(s, [i])) for s in op.writes & constant)
            if not (fixed and settled):
                constant -= op.writes
                changed = True
    return constant


def _live_ops(recording: Recording, constant: set[int]) -> list[Op]:
    """Drop what is constant and what nobody reads."""
    needed = {r.storage for r in recording.outputs}
    live: list[Op] = []
    for op in reversed(recording.ops):
        if op.writes and op.writes <= constant:
            continue
        if op.writes - recording.internal or op.writes & needed:
            live.append(op)
            needed |= op.reads
    return live[::-1]


def _without_identities(recording: Recording, ops: list[Op]) -> list[Op]:
    """Drop products with one: the result is the other factor, where that keeps its value long enough."""
    first_write: dict[int, list[int]] = {}
    last_use: dict[int, int] = {}
    for i, op in enumerate(ops):
        for s in op.writes:
            first_write.setdefault(s, []).append(i)
        for s in op.reads | op.writes:
            last_use[s] = i
    kept: list[Op] = []
    alias: dict[int, tuple[Ref, Ref]] = {}
    outputs = {r.storage for r in recording.outputs}

    def resolve(ref: Ref) -> Ref:
        while ref.storage in alias:
            moved = _moved(ref, *alias[ref.storage])
            assert moved is not None
            ref = moved
        return ref

    def resolve_number(s: int) -> int:
        while s in alias:
            s = alias[s][1].storage
        return s

    for i, op in enumerate(ops):
        factor = _factor_of_one(recording, op, first_write)
        if factor is not None:
            out, s, source = op.outs[0], op.outs[0].storage, resolve_number(factor.storage)
            end = len(ops) if s in outputs else last_use[s]
            unchanged = not any(i < w <= end for w in first_write.get(source, []))
            uses = [
                r
                for later in ops[i + 1 :]
                for r in refs_in([later.args, list(later.kwargs.values()), later.outs])
                if r.storage == s
            ]
            uses += [r for r in recording.outputs if r.storage == s]
            internal = source in recording.internal or s not in outputs
            if (
                first_write[s] == [i]
                and unchanged
                and internal
                and all(_moved(r, out, factor) is not None for r in uses)
            ):
                alias[s] = (out, factor)
                last_use[source] = max(last_use.get(source, 0), end)
                continue
        kept.append(op)
    recording.outputs = tuple(resolve(r) for r in recording.outputs)
    return [_resolved(op, resolve, resolve_number) for op in kept]


def _factor_of_one(recording: Recording, op: Op, written: dict[int, list[int]]) -> Ref | None:
    """Return x where an operation is ``x * 1``, of one size and type with its result."""
    candidates: list[Any] = []
    if op.func is aten.mul.Scalar and op.args[1] == 1:
        candidates = [op.args[0]]
    elif op.func is aten.mul.Tensor and len(list(refs_in(op.args))) == 2:
        for one, other in (op.args, op.args[::-1]):
            if one.storage in recording.internal and one.storage not in written and _all_ones(recording, one):
                candidates.append(other)
    for x in candidates:
        if x.size == op.outs[0].size and x.dtype == op.outs[0].dtype:
            return x
    return None


def _moved(ref: Ref, old: Ref, new: Ref) -> Ref | None:
    """Return the view of ``new`` that ``ref`` is of ``old`` (tensors of one size); None if there is none."""
    if ref.offset != old.offset or ref.dtype != old.dtype:
        return None
    if (old.stride, old.offset) == (new.stride, new.offset):
        return Ref(new.storage, ref.dtype, ref.size, ref.stride, ref.offset)
    # Each axis of the view has to be an axis of the whole, or one that repeats a single element.
    stride_of = {
        o: (n, size) for o, n, size in zip(old.stride, new.stride, old.size, strict=True) if size > 1
    }
    if len(stride_of) < sum(size > 1 for size in old.size):
        return None
    strides = []
    for size, stride in zip(ref.size, ref.stride, strict=True):
        if size == 1 or stride == 0:
            strides.append(stride if stride == 0 else 1)
        elif stride in stride_of and stride_of[stride][1] == size:
            strides.append(stride_of[stride][0])
        else:
            return None
    return Ref(new.storage, ref.dtype, ref.size, tuple(strides), new.offset)


def _with_shortcuts(recording: Recording, ops: list[Op]) -> list[Op]:
    """Fuse two operations into one where the second alone reads the first.

    A product that is then transposed into new memory is computed transposed; a comparison that is then
    converted to numbers writes numbers.
    """
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(ops):
        for s in op.reads | op.writes:
            readers.setdefault(s, []).append(i)
    kept_storages = {r.storage for r in recording.outputs}
    fused: dict[int, Op] = {}
    dropped: set[int] = set()
    for i, op in enumerate(ops):
        if len(op.outs) != 1 or op.outs[0].storage in kept_storages:
            continue
        out = op.outs[0]
        if len(readers[out.storage]) != 2 or op.writes != {out.storage} or op.func._schema.is_mutable:
            continue
        j = readers[out.storage][1]
        second = ops[j]
        if second.func not in _COPIES or not isinstance(second.args[0], Ref):
            continue
        # What the first one reads has to be as it was when the second one runs.
        if any(w in op.reads for later in ops[i + 1 : j] for w in later.writes):
            continue
        source, target = second.args[0], second.outs[0]
        if op.func is aten.bmm.default and source == _transposed(out) and target.is_dense:
            a, b = op.args
            args: tuple[Any, ...] = (_transposed(b), _transposed(a))
        elif op.func in _COMPARISONS and source == out and target.stride == out.stride:
            args = op.args
        else:
            continue
        fused[j] = Op(op.func, args, op.kwargs, second.outs, op.reads, second.writes)
        dropped.add(i)
    return [fused.get(i, op) for i, op in enumerate(ops) if i not in dropped]


def _transposed(ref: Ref) -> Ref:
    m, rows, columns = ref.size
    size, stride = (m, columns, rows), (ref.stride[0], ref.stride[2], ref.stride[1])
    return Ref(ref.storage, ref.dtype, size, stride, ref.offset)


def _resolved(op: Op, resolve: Callable[[Ref], Ref], resolve_number: Callable[[int], int]) -> Op:
    args = map_refs(op.args, resolve)
    kwargs = {k: map_refs(v, resolve) for k, v in op.kwargs.items()}
    reads, writes = (frozenset(map(resolve_number, storages)) for storages in (op.reads, op.writes))
    return Op(op.func, args, kwargs, tuple(resolve(r) for r in op.outs), reads, writes)


def _all_ones(recording: Recording, ref: Ref) -> bool:
    return bool((ref.on(recording.storages[ref.storage]) == 1).all())


def _lay_out(
    recording: Recording, ops: list[Op], wholes: Collection[int] = ()
) -> dict[int, torch.UntypedStorage]:
    """Give each storage written on the tape its memory, lent on when its last reader is through.

    ``wholes`` have memory that is theirs alone, from one run to the next.
    """
    last: dict[int, int] = {}
    for i, op in enumerate(ops):
        for s in (*op.reads, *op.writes):
            last[s] = i
    kept = {r.storage for r in recording.outputs} | set(wholes)
    slot_of: dict[int, int] = {s: k for k, s in enumerate(wholes)}
    slot_bytes = [recording.storages[s].nbytes() for s in wholes]
    free: list[int] = []
    for i, op in enumerate(ops):
        made = [s for s in dict.fromkeys(r.storage for r in op.outs) if s in op.writes]
        made += [s for s in op.writes if s not in made]
        passed_on: set[int] = set()
        for s in made:
            if s in slot_of or s not in recording.internal:
                continue
            n_bytes = recording.storages[s].nbytes()
            heir = _dying_twin(op, s, i, last, slot_of, kept | passed_on)
            if heir is not None and slot_bytes[slot_of[heir]] >= n_bytes:
                slot_of[s] = slot_of[heir]
                passed_on.add(heir)
                continue
            fitting = [k for k in free if n_bytes <= slot_bytes[k] <= 2 * n_bytes + 64]
            if fitting:
                slot = min(fitting, key=lambda k: slot_bytes[k])
                free.remove(slot)
            else:
                slot = len(slot_bytes)
                slot_bytes.append(n_bytes)
            slot_of[s] = slot
        for s in {*op.reads, *op.writes}:
            if last[s] == i and s in slot_of and s not in kept and s not in passed_on:
                free.append(slot_of[s])
    slots = [torch.empty(n, dtype=torch.uint8, device=recording.device).untyped_storage() for n in slot_bytes]
    return {s: slots[k] for s, k in slot_of.items()}


def _dying_twin(
    op: Op, made: int, i: int, last: dict[int, int], slot_of: dict[int, int], taken: set[int]
) -> int | None:
    """Return a storage that dies at a pointwise operation, of the very layout of its result."""
    if torch.Tag.pointwise not in op.func.tags or len(op.outs) != 1:
        return None
    out = op.outs[0]
    layout = (out.size, out.stride, out.offset, out.dtype.itemsize)
    refs = list(refs_in([op.args, list(op.kwargs.values())]))
    for ref in refs:
        s = ref.storage
        if s == made or s in taken or s not in slot_of or last[s] != i:
            continue
        if all((r.size, r.stride, r.offset, r.dtype.itemsize) == layout for r in refs if r.storage == s):
            return s
    return None


def _calls(op: Op, tensor_at: Callable[[Ref], Tensor]) -> list[Call]:
    """Return the calls that run an operation into its place."""
    if isinstance(op.func, Kernel | PictureOp):
        tensors = (*map_refs(op.args, tensor_at), *map(tensor_at, op.outs))
        op.func.prepare(*tensors)
        return [(op.func.launch, tensors, {})]
    args = map_refs(op.args, tensor_at)
    kwargs = {k: map_refs(v, tensor_at) for k, v in op.kwargs.items()}
    if op.func._schema.is_mutable:
        return [(_direct(op.func), args, kwargs)]
    outs = [tensor_at(r) for r in op.outs]
    if op.func in _COPIES:
        return [(Tensor.copy_, (outs[0], args[0]), {})]
    if op.func in _EQUIVALENTS:
        function, more = _EQUIVALENTS[op.func]
        return [(function, (*args, *more), {"out": outs[0]})]
    if op.func is aten.rsub.Scalar and len(args) == 2:
        whole = torch.tensor(args[1], dtype=outs[0].dtype, device=outs[0].device)
        return [(torch.sub, (whole, args[0]), {"out": outs[0]})]
    out, names = _out_variant(op.func)
    if out is not None and len(names) == len(outs):
        return [(_direct(out), args, {**kwargs, **dict(zip(names, outs, strict=True))})]

    def run_and_copy(*args: Any, **kwargs: Any) -> None:
        result = op.func(*args, **kwargs)
        values = [result] if isinstance(result, Tensor) else [v for v in result if v is not None]
        for target, value in zip(outs, values, strict=True):
            target.copy_(value)

    return [(run_and_copy, args, kwargs)]


_COPIES = {aten.clone.default, aten._to_copy.default, aten.expand_copy.default}
# Operations with no variant that writes into a given tensor, and others of the same values that have one.
_EQUIVALENTS: dict[Any, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    aten.relu.default: (torch.clamp_min, (0,)),
    aten.mul.Scalar: (torch.mul, ()),
    aten.add.Scalar: (torch.add, ()),
    aten.sub.Scalar: (torch.sub, ()),
    aten.div.Scalar: (torch.div, ()),
    aten.__rshift__.Scalar: (torch.bitwise_right_shift, ()),
    aten.__lshift__.Scalar: (torch.bitwise_left_shift, ()),
}
_COMPARISONS = {
    getattr(getattr(aten, name), kind) for name in ("ge", "gt", "le", "lt") for kind in ("Tensor", "Scalar")
}


@cache
def _direct(func: Any) -> Callable[..., Any]:
    """Return the callable beneath an overload's Python wrapper."""
    return getattr(func, "_op", func)


@cache
def _out_variant(func: Any) -> tuple[Any, tuple[str, ...]]:
    """Find the overload of the same arguments that writes into given tensors."""
    wanted = [str(a.type) for a in func._schema.arguments]
    packet = func.overloadpacket
    for name in packet.overloads():
        other = getattr(packet, name)
        written = [a for a in other._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if not written or not all(a.is_out for a in written):
            continue
        rest = [str(a.type) for a in other._schema.arguments if a not in written]
        # The generated ones allocate and copy: no gain over doing so here, and some check less.
        if rest == wanted and torch.Tag.generated not in other.tags:
            return other, tuple(a.name for a in written)
    return None, ()
