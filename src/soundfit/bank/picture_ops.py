"""Picture operations that torch does slowly for many members on a GPU, by Triton kernels.

Under ``vmap`` a first convolution becomes one in groups of a channel or three, for which libraries have slow
ways only, and the gradient of pooling reads every window for each pixel. Each of these operations of a
recording is replaced where shapes allow it. Know nothing of members.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from soundfit.bank.recorder import Op, Recording, Ref

__all__ = ["PictureOp", "substituted"]

aten = torch.ops.aten

_BLOCK = 1024
# Pixels of a block of a convolution.
_PIXELS = 128
# Weights of an output, and outputs, of a convolution that is bound by memory alone.
_MOST_WEIGHTS, _MOST_OUTPUTS = 32, 64
# Programs that fill a GPU several times over, and partial sums of a weight's gradient.
_PROGRAMS, _MOST_SPLITS = 4096, 64
_LARGEST = 2**31 - 2 * _BLOCK

Launch = Callable[..., None]


@dataclass(frozen=True)
class PictureOp:
    """What takes an operation's place: launched with its arguments and then its results."""

    launch: Launch
    tags: tuple[Any, ...] = ()

    def prepare(self, *tensors: Any) -> None:
        """Compile, for no graph captures that; what this writes is written again by each run."""
        self.launch(*tensors)


def substituted(recording: Recording, ops: Sequence[Op]) -> list[Op]:
    """Return the operations, those replaced that a kernel does."""
    found = []
    for op in _with_rectified_pools(recording, ops):
        launch = _launch(op)
        found.append(op if launch is None else _replaced(op, launch))
    return found


def _replaced(op: Op, launch: Launch) -> Op:
    return Op(PictureOp(launch), op.args, op.kwargs, op.outs, op.reads, op.writes)


def _launch(op: Op) -> Launch | None:
    if op.func is aten.max_pool2d_with_indices.default and _is_apart(op.args[1:], op.args[0], *op.outs):
        return _pool
    if op.func is aten.max_pool2d_with_indices_backward.default and _is_backward_of_apart(op):
        return _pool_backward
    if op.func is aten.convolution.default and _is_thin(op.args) and _lie_well(op.args[1], op.outs[0]):
        return _convolution
    if op.func is aten.convolution_backward.default:
        grad, x, weight, _, *rest, mask = op.args
        of_weights_alone = not mask[0] and mask[1]
        if of_weights_alone and _is_thin((x, weight, None, *rest)) and _lie_well(grad, weight, *op.outs):
            return _weight_gradient
    return None


# ---- pooling ---------------------------------------------------------------------------------------


def _is_apart(how: Sequence[Any], *refs: Ref) -> bool:
    """Return whether windows do not overlap; ``how`` is kernel, stride, padding, dilation, ceil as given."""
    usual: tuple[Any, ...] = ((), (0,), (1,), False)
    kernel, stride, padding, dilation, ceil = (*how, *usual[len(how) - 1 :])
    plain = all(p == 0 for p in padding) and all(d == 1 for d in dilation) and not ceil
    apart = not stride or list(stride) == list(kernel)
    return apart and plain and _is_float(refs[0]) and _lie_well(*refs)


def _is_backward_of_apart(op: Op) -> bool:
    grad, x, *how, index = op.args
    return _is_apart(how, grad, x, index, *op.outs)


def _is_float(ref: Ref) -> bool:
    return ref.dtype in (torch.float32, torch.bfloat16)


def _lie_well(*refs: Ref) -> bool:
    return all(r.is_dense and math.prod(r.size) < _LARGEST for r in refs)


def _pool(x: Tensor, kernel: list[int], *rest: Any) -> None:
    from soundfit.bank.picture_kernel import pool_kernel

    *_, out, index = rest
    n = out.numel()
    shape = (*x.shape[-2:], kernel[0], kernel[-1], _BLOCK)
    pool_kernel[(math.ceil(n / _BLOCK),)](x, out, index, n, *shape)


def _pool_backward(grad: Tensor, x: Tensor, kernel: list[int], *rest: Any) -> None:
    *_, index, out = rest
    _pool_gradient(grad, index, grad, out, kernel, (1, x.shape[0]), (0, math.prod(x.shape[1:])), False)


def _pool_gradient(
    grad: Tensor,
    index: Tensor,
    pooled: Tensor,
    out: Tensor,
    kernel: Sequence[int],
    outer: tuple[int, int],
    strides: tuple[int, int],
    rectified: bool,
) -> None:
    """Launch; ``outer`` are groups and rows, in the order of the planes, and ``strides`` the result's."""
    from soundfit.bank.picture_kernel import pool_backward_kernel

    n, (height, width) = out.numel(), out.shape[-2:]
    groups, rows = outer
    channels = n // (groups * rows * height * width)
    pool_backward_kernel[(math.ceil(n / _BLOCK),)](
        grad, index, pooled, out, n, strides[1], strides[0], channels, rows, height, width,
        kernel[0], kernel[-1], rectified, _BLOCK,
    )  # fmt: skip


def _with_rectified_pools(recording: Recording, ops: Sequence[Op]) -> list[Op]:
    """Return the operations with the gradients of pooling and of the ReLU before it as one.

    Only a window's largest value has a gradient, and it is the pooled value: whether the ReLU let it pass is
    read there, and what the ReLU made is not kept for it.
    """
    uses: dict[int, list[Op]] = {}
    for op in ops:
        for s in op.reads | op.writes:
            uses.setdefault(s, []).append(op)
    outputs = {r.storage for r in recording.outputs}
    merged: dict[int, Op | None] = {}
    for op in ops:
        if op.func is not aten.max_pool2d_with_indices_backward.default or not _is_backward_of_apart(op):
            continue
        out = op.outs[0]
        later = [o for o in uses[out.storage] if o is not op]
        pool = next((o for o in _writers(uses, op.args[-1].storage) if _is_pool_of(o, op)), None)
        if pool is None or len(later) != 1 or out.storage in outputs:
            continue
        (mask,) = later
        if mask.func is not aten.threshold_backward.default or mask.args[2] != 0:
            continue
        layout = _outer_layout(mask.args[0], mask.outs[0], out)
        once = all(len(_writers(uses, r.storage)) == 1 for r in (op.args[0], pool.args[0], *pool.outs))
        if layout is None or not once or not _are_equal(uses, mask.args[1], pool.args[0], mask.args[0]):
            continue
        launch = _rectified(op.args[2], *layout)
        args = (op.args[0], op.args[-1], pool.outs[0])
        merged[id(mask)] = Op(
            PictureOp(launch), args, {}, mask.outs, frozenset(r.storage for r in args), mask.writes
        )
        merged[id(op)] = None
    kept = (merged.get(id(op), op) for op in ops)
    return [op for op in kept if op is not None]


def _is_pool_of(op: Op, backward: Op) -> bool:
    forward = op.func is aten.max_pool2d_with_indices.default
    return forward and op.args[0] == backward.args[1] and op.outs[1] == backward.args[-1]


def _writers(uses: dict[int, list[Op]], storage: int) -> list[Op]:
    return [op for op in uses.get(storage, []) if storage in op.writes]


def _are_equal(uses: dict[int, list[Op]], gate: Ref, pooled: Ref, as_gate: Ref) -> bool:
    """Return whether the ReLU's result is what was pooled: itself, or what it was copied from.

    ``as_gate`` is the pool's gradient as the ReLU's backward reads it: a view of the pooled layout.
    """
    view = Ref(pooled.storage, pooled.dtype, as_gate.size, as_gate.stride, as_gate.offset)
    if gate == view:
        return True
    if len(_writers(uses, gate.storage)) != 1:
        return False
    (copy,) = _writers(uses, pooled.storage)
    return copy.func is aten.clone.default and copy.args[0] == gate and copy.outs[0] == view


def _outer_layout(source: Ref, target: Ref, pooled: Ref) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return groups and rows, and the target's strides over them; None where the planes lie otherwise."""
    if len(source.size) not in (4, 5) or not source.is_dense or source.offset != pooled.offset:
        return None
    if source.size != target.size or target.offset:
        return None
    height, width = target.size[-2:]
    if target.stride[-3:] != (height * width, width, 1):
        return None
    if len(source.size) == 4:
        return (1, target.size[0]), (0, target.stride[0])
    return (target.size[0], target.size[1]), (target.stride[0], target.stride[1])


def _rectified(kernel: Sequence[int], outer: tuple[int, int], strides: tuple[int, int]) -> Launch:
    def launch(grad: Tensor, index: Tensor, pooled: Tensor, out: Tensor) -> None:
        _pool_gradient(grad, index, pooled, out, kernel, outer, strides, True)

    return launch


# ---- convolution -----------------------------------------------------------------------------------


def _is_thin(args: tuple[Any, ...]) -> bool:
    """Return whether a convolution is one of groups of few channels, alike in both directions."""
    x, weight, _, stride, padding, dilation, transposed, _, groups = args
    if transposed or len(x.size) != 4 or groups < 2 or x.dtype != weight.dtype or not _is_float(x):
        return False
    alike = len(set(stride)) == 1 and len(set(padding)) == 1 and all(d == 1 for d in dilation)
    few = math.prod(weight.size[1:]) <= _MOST_WEIGHTS and weight.size[0] // groups <= _MOST_OUTPUTS
    return alike and few and math.prod(x.size) < _LARGEST


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> None:
    from soundfit.bank.picture_kernel import thin_convolution_kernel

    stride, padding, *_, groups, out = rest
    outputs = len(weight) // groups
    grid = (x.shape[0] * groups, math.ceil(out.shape[2] * out.shape[3] / _PIXELS))
    thin_convolution_kernel[grid](
        x, weight, weight if bias is None else bias, out, groups, *x.stride(), weight.shape[1], outputs,
        _power(outputs, 1), *x.shape[2:], *out.shape[2:], *weight.shape[2:], stride[0], padding[0],
        bias is not None, _PIXELS,
    )  # fmt: skip


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> None:
    from soundfit.bank.picture_kernel import weight_gradient_kernel

    _, stride, padding, _, _, _, groups, mask, *outs = rest
    outputs, own = len(weight) // groups, math.prod(weight.shape[1:])
    pixels = _PIXELS // 2
    most = math.ceil(len(x) * grad.shape[2] * grad.shape[3] / (4 * pixels))
    splits = max(1, min(_PROGRAMS // groups, _MOST_SPLITS, most))
    parts = torch.empty(splits, *weight.shape, dtype=torch.float32, device=grad.device)
    fast = x.dtype is torch.bfloat16 or torch.backends.cudnn.allow_tf32
    weight_gradient_kernel[(groups, splits)](
        x, grad, parts, len(x), groups, *x.shape[2:], *grad.shape[2:], *x.stride(), weight.shape[1], outputs,
        *weight.shape[2:], stride[0], padding[0], "tf32" if fast else "ieee", splits, _power(outputs, 16),
        _power(own, 16), pixels,
    )  # fmt: skip
    outs[0].copy_(parts.sum(0))
    if mask[2]:
        torch.sum(grad, (0, 2, 3), out=outs[1])


def _power(n: int, least: int) -> int:
    """Return the power of two that holds n, and ``least``."""
    return max(least, 1 << (n - 1).bit_length())
