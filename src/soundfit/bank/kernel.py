"""Kernel: a Triton kernel for a pointwise text over tensors of any strides, compiled once a text.

Knows no recordings and no members.
"""

from __future__ import annotations

import hashlib
import linecache
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from soundfit.bank.pointwise import HALVES, TRITON_TYPES
from soundfit.bank.recorder import Ref

__all__ = ["Kernel", "kernel_of"]

_BLOCK = 1024
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Kernel:
    """A kernel in the place of an operation: called with its tensors, inputs before outputs."""

    source: str
    name: str
    n_elements: int
    strides: tuple[int, ...]
    tags: tuple[Any, ...] = (torch.Tag.pointwise,)

    def launch(self, *tensors: Tensor) -> None:
        """Compute the outputs."""
        self._start(math.ceil(self.n_elements / _BLOCK), 0, tensors)

    def prepare(self, *tensors: Tensor) -> None:
        """Compile and load the kernel by a launch behind the last element: no graph can capture that.

        Triton compiles for what it sees of the numbers (one, a multiple of 16), so they have to be the same.
        """
        self._start(1, -(-self.n_elements // 16) * 16, tensors)

    def _start(self, blocks: int, first: int, tensors: tuple[Tensor, ...]) -> None:
        numbers = (self.n_elements, first, *self.strides)
        _compiled(self.source, self.name)[(blocks,)](*tensors, *numbers, BLOCK=_BLOCK)


def kernel_of(
    shape: tuple[int, ...], loads: Mapping[Ref, str], body: Sequence[str], stores: Mapping[Ref, str]
) -> Kernel:
    """Return the kernel that loads tensors into variables, runs ``body`` and stores variables.

    Inner sizes are part of the text, so that the compiler divides by constants; the outermost one is not:
    members that leave change nothing.
    """
    refs = [*loads, *stores]
    sizes, strides = _collapsed(*_as_stored(shape, [_strides(r, shape) for r in refs]))
    reach = [sum((n - 1) * s for n, s in zip(sizes, own, strict=True)) for own in strides]
    wide = max([*reach, math.prod(sizes)]) > _LARGEST - 2 * _BLOCK
    places, arguments, numbers = _places(strides)
    lines = [f"at = tl.program_id(0){'.to(tl.int64)' if wide else ''} * BLOCK + first + tl.arange(0, BLOCK)"]
    lines += ["inside = at < n", *_axes(sizes)]
    for k, (ref, variable) in enumerate(loads.items()):
        half = ".to(tl.float32)" if ref.dtype in HALVES else ""
        flag = " != 0" if ref.dtype is torch.bool else ""
        lines.append(f"{variable} = tl.load(p{k} + {places[k]}, mask=inside, other=0){half}{flag}")
    lines += body
    for k, (ref, variable) in enumerate(stores.items(), start=len(loads)):
        kind = "int8" if ref.dtype is torch.bool else TRITON_TYPES[ref.dtype].removeprefix("tl.")
        lines.append(f"tl.store(p{k} + {places[k]}, {variable}.to(tl.{kind}), mask=inside)")
    pointers = [f"p{k}" for k in range(len(refs))]
    head = f"({', '.join([*pointers, 'n', 'first', *arguments])}, BLOCK: tl.constexpr):\n"
    text = head + "".join(f"    {line}\n" for line in lines)
    name = f"pointwise_{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    return Kernel(f"def {name}{text}", name, math.prod(shape), tuple(numbers))


def _strides(ref: Ref, shape: tuple[int, ...]) -> list[int]:
    """Return a tensor's strides over a shape that it is broadcast to."""
    own = [0 if n == 1 else s for n, s in zip(ref.size, ref.stride, strict=True)]
    return [0] * (len(shape) - len(ref.size)) + own


def _as_stored(shape: tuple[int, ...], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Return sizes and strides with the axes as the last tensor lies in memory: neighbours are neighbours."""
    order = sorted(range(len(shape)), key=lambda axis: -strides[-1][axis])
    return [shape[axis] for axis in order], [[own[axis] for axis in order] for own in strides]


def _collapsed(shape: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Return sizes and strides without axes of one, and with axes as one where all tensors allow it."""
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        here = [own[axis] for own in strides]
        if sizes and all(k[-1] == s * n for k, s in zip(kept, here, strict=True)):
            sizes[-1] *= n
            for k, s in zip(kept, here, strict=True):
                k[-1] = s
            continue
        sizes.append(n)
        for k, s in zip(kept, here, strict=True):
            k.append(s)
    return sizes or [1], [k or [0] for k in kept]


def _axes(sizes: list[int]) -> list[str]:
    """Return the lines that find an element's place on each axis."""
    lines, left = [], "at"
    for axis in range(len(sizes) - 1, 0, -1):
        lines += [f"i{axis} = {left} % {sizes[axis]}", f"r{axis} = {left} // {sizes[axis]}"]
        left = f"r{axis}"
    return [*lines, f"i0 = {left}"]


def _places(strides: list[list[int]]) -> tuple[list[str], list[str], list[int]]:
    """Return each tensor's offset as a text, and the strides in it that are arguments, by name and value."""
    places, arguments, numbers = [], [], []
    for k, own in enumerate(strides):
        terms = ["i0 * 0"] if not any(own) else []
        for axis, stride in enumerate(own):
            if stride == 1:
                terms.append(f"i{axis}")
            elif stride:
                arguments.append(f"s{k}_{axis}")
                numbers.append(stride)
                terms.append(f"i{axis} * s{k}_{axis}")
        places.append(" + ".join(terms))
    return places, arguments, numbers


@cache
def _compiled(source: str, name: str) -> Any:
    """Return the kernel of a text. Triton reads a function's source again: it is given one to find."""
    import triton
    import triton.language as tl

    file = f"<soundfit {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"tl": tl, "triton": triton, "__name__": f"soundfit.bank.{name}"}
    exec(compile(source, file, "exec"), scope)
    return triton.jit(scope[name])
