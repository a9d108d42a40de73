"""Triton kernels of :mod:`soundfit.bank.picture_ops`. Importing it needs Triton, part of torch for GPUs."""

# mypy: ignore-errors
# No `from __future__ import annotations`: Triton reads the annotations themselves.

import triton
import triton.language as tl

__all__ = ["convolution_kernel", "pool_backward_kernel", "weight_gradient_kernel"]


@triton.jit
def pool_backward_kernel(
    grad_ptr,
    index_ptr,
    out_ptr,
    n,
    pooled_height,
    pooled_width,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each pixel takes its window's gradient if it was the largest there; windows do not overlap."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    place = at % (HEIGHT * WIDTH)
    row = place // WIDTH // KERNEL_HEIGHT
    column = place % WIDTH // KERNEL_WIDTH
    seen = inside & (row < pooled_height) & (column < pooled_width)
    source = (at // (HEIGHT * WIDTH) * pooled_height + row) * pooled_width + column
    largest = tl.load(index_ptr + source, mask=seen, other=-1)
    grad = tl.load(grad_ptr + source, mask=seen, other=0.0)
    tl.store(out_ptr + at, tl.where(largest == place, grad, 0.0), mask=inside)


@triton.jit
def convolution_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    n_groups,
    N_OUTPUTS: tl.constexpr,
    PADDED_OUTPUTS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (k, p): block p of the pixels of plane k = batch row · groups + group, of one input channel."""
    plane = tl.program_id(0).to(tl.int64)
    group = plane % n_groups
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < OUT_HEIGHT * OUT_WIDTH
    row = pixel // OUT_WIDTH * STRIDE - PADDING
    column = pixel % OUT_WIDTH * STRIDE - PADDING
    channel = tl.arange(0, PADDED_OUTPUTS)
    real = channel < N_OUTPUTS
    total = tl.zeros([PADDED_OUTPUTS, BLOCK], dtype=tl.float32)
    if HAS_BIAS:
        total += tl.load(bias_ptr + group * N_OUTPUTS + channel, mask=real, other=0.0)[:, None]
    for k in tl.static_range(KERNEL_HEIGHT * KERNEL_WIDTH):
        y = row + k // KERNEL_WIDTH
        x = column + k % KERNEL_WIDTH
        seen = inside & (y >= 0) & (y < HEIGHT) & (x >= 0) & (x < WIDTH)
        value = tl.load(x_ptr + plane * (HEIGHT * WIDTH) + y * WIDTH + x, mask=seen, other=0.0)
        at = (group * N_OUTPUTS + channel) * (KERNEL_HEIGHT * KERNEL_WIDTH) + k
        total += tl.load(weight_ptr + at, mask=real, other=0.0)[:, None] * value[None, :]
    to = (plane * N_OUTPUTS + channel[:, None]) * (OUT_HEIGHT * OUT_WIDTH) + pixel[None, :]
    tl.store(out_ptr + to, total, mask=real[:, None] & inside[None, :])


@triton.jit
def weight_gradient_kernel(
    x_ptr,
    grad_ptr,
    out_ptr,
    n_rows,
    n_groups,
    N_OUTPUTS: tl.constexpr,
    PADDED_OUTPUTS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    PADDED_KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (g, s): the sum over batch rows s, s + SPLITS, … of group g; out is (SPLITS, groups, …)."""
    group = tl.program_id(0)
    split = tl.program_id(1)
    channel = tl.arange(0, PADDED_OUTPUTS)
    real = channel < N_OUTPUTS
    tap = tl.arange(0, PADDED_KERNEL)
    is_tap = tap < KERNEL_HEIGHT * KERNEL_WIDTH
    total = tl.zeros([PADDED_OUTPUTS, PADDED_KERNEL], dtype=tl.float32)
    for batch_row in range(split, n_rows, SPLITS):
        plane = (batch_row * n_groups + group).to(tl.int64)
        for start in range(0, OUT_HEIGHT * OUT_WIDTH, BLOCK):
            pixel = start + tl.arange(0, BLOCK)
            inside = pixel < OUT_HEIGHT * OUT_WIDTH
            from_ = (plane * N_OUTPUTS + channel[:, None]) * (OUT_HEIGHT * OUT_WIDTH) + pixel[None, :]
            grad = tl.load(grad_ptr + from_, mask=real[:, None] & inside[None, :], other=0.0)
            y = (pixel // OUT_WIDTH * STRIDE - PADDING)[:, None] + (tap // KERNEL_WIDTH)[None, :]
            x = (pixel % OUT_WIDTH * STRIDE - PADDING)[:, None] + (tap % KERNEL_WIDTH)[None, :]
            seen = inside[:, None] & is_tap[None, :] & (y >= 0) & (y < HEIGHT) & (x >= 0) & (x < WIDTH)
            value = tl.load(x_ptr + plane * (HEIGHT * WIDTH) + y * WIDTH + x, mask=seen, other=0.0)
            total = tl.dot(grad, value, total, input_precision="ieee")
    n_taps = KERNEL_HEIGHT * KERNEL_WIDTH
    to = ((split * n_groups + group) * N_OUTPUTS + channel[:, None]) * n_taps + tap[None, :]
    tl.store(out_ptr + to, total, mask=real[:, None] & is_tap[None, :])
