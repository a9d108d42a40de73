"""Picture operations that torch does slowly for many members on a GPU, by Triton kernels.

A first convolution over grey pictures becomes a grouped one of a channel a member under ``vmap``, and the
gradient of pooling reads every window for each pixel: both are bound by memory and reach a small part of its
speed. Each takes the place of an operation of a recording where shapes allow it. Know nothing of members.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from soundfit.bank.recorder import Op, Ref

__all__ = ["substitute"]

aten = torch.ops.aten

_BLOCK = 1024
# Pixels of a block of a convolution, and partial sums of its weights' gradient.
_PIXELS, _SPLITS = 128, 32
_MOST_OUTPUTS, _MOST_TAPS = 64, 32


def substitute(op: Op) -> Callable[..., None] | None:
    """Return what computes an operation, called with its arguments and then its outputs; None to leave it."""
    refs = [a for a in op.args if isinstance(a, Ref)]
    if not refs or any(r.dtype is not torch.float32 for r in refs if r.dtype is not torch.int64):
        return None
    if op.func is aten.max_pool2d_with_indices_backward.default and _windows_are_apart(op):
        return _pool_backward
    if op.func is aten.convolution.default and _is_over_one_channel(op.args, op.args[0], op.args[1]):
        return _convolution
    if op.func is aten.convolution_backward.default:
        grad, x, weight, _, *rest, mask = op.args
        if not mask[0] and mask[1] and _is_over_one_channel((x, weight, None, *rest), x, weight):
            return _weight_gradient if grad.is_dense else None
    return None


def _windows_are_apart(op: Op) -> bool:
    grad, x, kernel, stride, padding, dilation, ceil, index = op.args
    apart = not stride or list(stride) == list(kernel)
    plain = all(p == 0 for p in padding) and all(d == 1 for d in dilation) and not ceil
    return apart and plain and all(r.is_dense for r in (grad, x, index, *op.outs))


def _is_over_one_channel(args: tuple[Any, ...], x: Ref, weight: Ref) -> bool:
    _, _, _, stride, padding, dilation, transposed, _, groups = args
    if transposed or len(x.size) != 4 or groups < 2 or groups != x.size[1] or weight.size[1] != 1:
        return False
    same = len(set(stride)) == 1 and len(set(padding)) == 1 and all(d == 1 for d in dilation)
    few = weight.size[0] // groups <= _MOST_OUTPUTS and math.prod(weight.size[2:]) <= _MOST_TAPS
    return same and few and x.is_dense and weight.is_dense


def _pool_backward(grad: Tensor, x: Tensor, kernel: list[int], *rest: Any) -> None:
    from soundfit.bank.picture_kernel import pool_backward_kernel

    *_, index, out = rest
    n, (height, width) = x.numel(), x.shape[-2:]
    high, wide = (kernel[0], kernel[-1])
    shape = (height, width, high, wide, _BLOCK)
    pool_backward_kernel[(math.ceil(n / _BLOCK),)](grad, index, out, n, *grad.shape[-2:], *shape)


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> None:
    from soundfit.bank.picture_kernel import convolution_kernel

    stride, padding, *_, groups, out = rest
    outputs = len(weight) // groups
    pixels = out.shape[2] * out.shape[3]
    grid = (x.shape[0] * groups, math.ceil(pixels / _PIXELS))
    convolution_kernel[grid](
        x, weight, weight if bias is None else bias, out, groups, outputs, _power(outputs, 1), *x.shape[2:],
        *out.shape[2:], *weight.shape[2:], stride[0], padding[0], bias is not None, _PIXELS,
    )  # fmt: skip


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> None:
    from soundfit.bank.picture_kernel import weight_gradient_kernel

    _, stride, padding, _, _, _, groups, mask, *outs = rest
    outputs, taps = len(weight) // groups, weight.shape[2] * weight.shape[3]
    parts = grad.new_empty(_SPLITS, *weight.shape)
    weight_gradient_kernel[(groups, _SPLITS)](
        x, grad, parts, len(x), groups, outputs, _power(outputs, 16), *x.shape[2:], *grad.shape[2:],
        *weight.shape[2:], _power(taps, 16), stride[0], padding[0], _SPLITS, _PIXELS,
    )  # fmt: skip
    torch.sum(parts, 0, out=outs[0])
    if mask[2]:
        torch.sum(grad, (0, 2, 3), out=outs[1])


def _power(n: int, least: int) -> int:
    """Return the power of two that holds n, and ``least``."""
    return max(least, 1 << (n - 1).bit_length())
