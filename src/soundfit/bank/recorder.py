"""Recorder: what tensor operations a function runs, below ``vmap`` and autograd, as a flat list.

Each tensor is noted by where it lies (storage, offset, size, stride), so aliasing is exact: a view is no
operation at all, and whoever replays the list knows which operations touch the same memory. Knows
nothing of members or training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Op", "Recording", "Ref", "map_refs", "record", "refs_in"]

aten = torch.ops.aten

# Operations that change arguments without saying so in their schema, and which arguments.
_HIDDEN_WRITES: dict[Any, tuple[int, ...]] = {
    aten.native_batch_norm.default: (3, 4),
    aten.cudnn_batch_norm.default: (3, 4),
}
# Operations that read a shape, not values.
_SHAPE_ONLY = {
    "empty_like", "ones_like", "zeros_like", "full_like", "new_empty", "new_zeros", "new_ones", "new_full",
    "new_empty_strided",
}  # fmt: skip
# Operations that give memory and write nothing into it: whoever replays lays memory out anyway.
_NO_VALUES = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}


@dataclass(frozen=True)
class Ref:
    """A tensor by where it lies: the number of its storage, and the view of it."""

    storage: int
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def is_dense(self) -> bool:
        """Whether it lies in the order of its axes, without gaps."""
        expected = 1
        for size, stride in zip(reversed(self.size), reversed(self.stride), strict=True):
            if size > 1 and stride != expected:
                return False
            expected *= size
        return True

    def on(self, storage: torch.UntypedStorage) -> Tensor:
        """Return the view that it is, of a storage."""
        empty = torch.empty(0, dtype=self.dtype, device=storage.device)
        return empty.set_(storage, self.offset, self.size, self.stride)


@dataclass
class Op:
    """One operation: arguments and outputs by reference, and the storages it reads and writes."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outs: tuple[Ref, ...]
    reads: frozenset[int]
    writes: frozenset[int]


@dataclass
class Recording:
    """What ran: operations in order, storages by number, and which the function made itself."""

    ops: list[Op] = field(default_factory=list)
    storages: list[torch.UntypedStorage] = field(default_factory=list)
    internal: set[int] = field(default_factory=set)
    outputs: tuple[Ref, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def refs_in(value: Any) -> Iterator[Ref]:
    """Yield the references in nested arguments."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from refs_in(v)


def map_refs(value: Any, change: Callable[[Ref], Any]) -> Any:
    """Return nested arguments with each reference changed."""
    if isinstance(value, Ref):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map_refs(v, change) for v in value)
    return value


def record(function: Callable[[], tuple[Tensor, ...]], device: torch.device) -> Recording:
    """Run ``function`` once, for real, and return what it ran; its outputs are ``recording.outputs``."""
    mode = _Mode(device)
    # Backward operations have to run in this thread, where the mode sees them.
    with torch.autograd.set_multithreading_enabled(False), mode:
        outputs = function()
    mode.recording.outputs = tuple(mode.ref(t) for t in outputs)
    return mode.recording


class _Mode(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch wraps the method for its compiler, whose import takes longer than most banks.
        return False

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.recording = Recording(device=device)
        self.number: dict[int, int] = {}

    def ref(self, tensor: Tensor, *, internal: bool = False) -> Ref:
        storage = tensor.untyped_storage()
        key = storage._cdata
        number = self.number.get(key)
        if number is None:
            number = self.number[key] = len(self.recording.storages)
            # Kept alive, so that no later tensor takes its address while recording.
            self.recording.storages.append(storage)
            if internal:
                self.recording.internal.add(number)
        size, stride = tuple(tensor.shape), tuple(tensor.stride())
        return Ref(number, tensor.dtype, size, stride, int(tensor.storage_offset()))

    def _refs(self, value: Any, *, internal: bool = False) -> Any:
        if isinstance(value, Tensor):
            return self.ref(value, internal=internal)
        if isinstance(value, (list, tuple)):
            return type(value)(self._refs(v, internal=internal) for v in value)
        return value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        arg_refs = self._refs(tuple(args))
        kwarg_refs = {k: self._refs(v) for k, v in kwargs.items()}
        n_known = len(self.recording.storages)
        outs = tuple(refs_in(self._refs([result], internal=True)))
        read = [r.storage for r in refs_in([arg_refs, list(kwarg_refs.values())])]
        written = _written(func, arg_refs, kwarg_refs)
        made = {r.storage for r in outs if r.storage >= n_known}
        if not written and not made and all(r.storage in read for r in outs):
            return result  # a view
        if func.overloadpacket.__name__ in _NO_VALUES:
            return result
        reads = frozenset() if func.overloadpacket.__name__ in _SHAPE_ONLY else frozenset(read)
        self.recording.ops.append(
            Op(func, arg_refs, kwarg_refs, outs, reads, frozenset(made | {r.storage for r in written}))
        )
        return result


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Ref]:
    """Return the arguments that an operation changes."""
    found = [r for i in _HIDDEN_WRITES.get(func, ()) if i < len(args) for r in refs_in(args[i])]
    if func._schema.is_mutable:
        for i, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[i] if i < len(args) else kwargs.get(argument.name)
                found.extend(refs_in([value]))
    return found
