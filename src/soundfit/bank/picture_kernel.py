"""Triton kernels of :mod:`soundfit.bank.picture_ops`. Importing it needs Triton, part of torch for GPUs."""

# mypy: ignore-errors
# No `from __future__ import annotations`: Triton reads the annotations themselves.

import triton
import triton.language as tl

__all__ = ["pool_backward_kernel", "pool_kernel", "thin_convolution_kernel", "weight_gradient_kernel"]


@triton.jit
def pool_kernel(
    x_ptr,
    out_ptr,
    index_ptr,
    n,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The largest value of each window, NaN before all, and its place in the plane; of equals the first."""
    pooled_height: tl.constexpr = HEIGHT // KERNEL_HEIGHT
    pooled_width: tl.constexpr = WIDTH // KERNEL_WIDTH
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    place = at % (pooled_height * pooled_width)
    line = place // pooled_width * KERNEL_HEIGHT
    column = place % pooled_width * KERNEL_WIDTH
    first = at // (pooled_height * pooled_width) * (HEIGHT * WIDTH)
    largest = tl.load(x_ptr + first + line * WIDTH + column, mask=inside, other=0.0)
    where = line * WIDTH + column
    for k in tl.static_range(1, KERNEL_HEIGHT * KERNEL_WIDTH):
        here = (line + k // KERNEL_WIDTH) * WIDTH + column + k % KERNEL_WIDTH
        value = tl.load(x_ptr + first + here, mask=inside, other=0.0)
        better = (value > largest) | (value != value)
        largest = tl.where(better, value, largest)
        where = tl.where(better, here, where)
    tl.store(out_ptr + at, largest, mask=inside)
    tl.store(index_ptr + at, where.to(tl.int64), mask=inside)


@triton.jit
def pool_backward_kernel(
    grad_ptr,
    index_ptr,
    pooled_ptr,
    out_ptr,
    n,
    row_stride,
    group_stride,
    N_CHANNELS: tl.constexpr,
    N_ROWS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    RECTIFIED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each pixel takes its window's gradient if it was the largest there; windows do not overlap.

    Planes are (group, row, channel) in the pooled tensors; the result lies at the strides of groups and rows.
    RECTIFIED: what was pooled came out of a ReLU, whose gradient is taken along.
    """
    pooled_height: tl.constexpr = HEIGHT // KERNEL_HEIGHT
    pooled_width: tl.constexpr = WIDTH // KERNEL_WIDTH
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    place = at % (HEIGHT * WIDTH)
    plane = at // (HEIGHT * WIDTH)
    line = place // WIDTH // KERNEL_HEIGHT
    column = place % WIDTH // KERNEL_WIDTH
    seen = inside & (line < pooled_height) & (column < pooled_width)
    source = (plane * pooled_height + line) * pooled_width + column
    largest = tl.load(index_ptr + source, mask=seen, other=-1)
    grad = tl.load(grad_ptr + source, mask=seen, other=0.0)
    if RECTIFIED:
        pooled = tl.load(pooled_ptr + source, mask=seen, other=0.0)
        grad = tl.where(pooled <= 0.0, 0.0, grad)
    outer = plane // N_CHANNELS
    to = outer // N_ROWS * group_stride + outer % N_ROWS * row_stride
    to += plane % N_CHANNELS * (HEIGHT * WIDTH) + place
    tl.store(out_ptr + to, tl.where(largest == place, grad, 0.0), mask=inside)


@triton.jit
def thin_convolution_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    n_groups,
    x_row_stride,
    x_channel_stride,
    x_line_stride,
    x_column_stride,
    N_INPUTS: tl.constexpr,
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
    """Program (k, p): block p of the pixels of batch row k // groups, group k % groups; few channels."""
    plane = tl.program_id(0).to(tl.int64)
    row = plane // n_groups
    group = plane % n_groups
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < OUT_HEIGHT * OUT_WIDTH
    top = pixel // OUT_WIDTH * STRIDE - PADDING
    left = pixel % OUT_WIDTH * STRIDE - PADDING
    channel = tl.arange(0, PADDED_OUTPUTS)
    real = channel < N_OUTPUTS
    total = tl.zeros([PADDED_OUTPUTS, BLOCK], dtype=tl.float32)
    if HAS_BIAS:
        total += tl.load(bias_ptr + group * N_OUTPUTS + channel, mask=real, other=0.0).to(tl.float32)[:, None]
    n_taps: tl.constexpr = KERNEL_HEIGHT * KERNEL_WIDTH
    for k in tl.static_range(N_INPUTS * n_taps):
        y = top + k % n_taps // KERNEL_WIDTH
        x = left + k % KERNEL_WIDTH
        seen = inside & (y >= 0) & (y < HEIGHT) & (x >= 0) & (x < WIDTH)
        first = row * x_row_stride + (group * N_INPUTS + k // n_taps) * x_channel_stride
        place = y * x_line_stride + x * x_column_stride
        value = tl.load(x_ptr + first + place, mask=seen, other=0.0).to(tl.float32)
        at = (group * N_OUTPUTS + channel) * (N_INPUTS * n_taps) + k
        total += tl.load(weight_ptr + at, mask=real, other=0.0).to(tl.float32)[:, None] * value[None, :]
    to = (plane * N_OUTPUTS + channel[:, None]) * (OUT_HEIGHT * OUT_WIDTH) + pixel[None, :]
    tl.store(out_ptr + to, total, mask=real[:, None] & inside[None, :])


@triton.jit
def weight_gradient_kernel(
    x_ptr,
    grad_ptr,
    out_ptr,
    n_rows,
    n_groups,
    height,
    width,
    out_height,
    out_width,
    x_row_stride,
    x_channel_stride,
    x_line_stride,
    x_column_stride,
    N_INPUTS: tl.constexpr,
    N_OUTPUTS: tl.constexpr,
    KERNEL_HEIGHT: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    PRECISION: tl.constexpr,
    SPLITS: tl.constexpr,
    PADDED_OUTPUTS: tl.constexpr,
    PADDED_WEIGHTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (g, s): group g's gradient, summed over blocks s, s + SPLITS, … of all batch rows' pixels.

    A weight's number is that of its input channel times the taps, plus its tap; out is (SPLITS, groups, …).
    """
    group = tl.program_id(0)
    split = tl.program_id(1)
    n_taps: tl.constexpr = KERNEL_HEIGHT * KERNEL_WIDTH
    n_weights: tl.constexpr = N_INPUTS * n_taps
    output = tl.arange(0, PADDED_OUTPUTS)
    real = output < N_OUTPUTS
    weight = tl.arange(0, PADDED_WEIGHTS)
    known = weight < n_weights
    down = weight % n_taps // KERNEL_WIDTH
    right = weight % KERNEL_WIDTH
    area = out_height * out_width
    n_pixels = n_rows * area
    from_weight = (group * N_INPUTS + weight // n_taps) * x_channel_stride
    from_output = (group * N_OUTPUTS + output) * area
    total = tl.zeros([PADDED_OUTPUTS, PADDED_WEIGHTS], dtype=tl.float32)
    for start in range(split * BLOCK, n_pixels, SPLITS * BLOCK):
        pixel = start + tl.arange(0, BLOCK)
        inside = pixel < n_pixels
        row = pixel // area
        place = pixel % area
        at = (row * n_groups * N_OUTPUTS * area + place)[None, :] + from_output[:, None]
        grad = tl.load(grad_ptr + at, mask=real[:, None] & inside[None, :], other=0.0)
        y = (place // out_width * STRIDE - PADDING)[None, :] + down[:, None]
        x = (place % out_width * STRIDE - PADDING)[None, :] + right[:, None]
        seen = known[:, None] & inside[None, :] & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        from_ = (row * x_row_stride)[None, :] + from_weight[:, None] + y * x_line_stride + x * x_column_stride
        value = tl.load(x_ptr + from_, mask=seen, other=0.0)
        total = tl.dot(grad, tl.trans(value), total, input_precision=PRECISION)
    to = ((split * n_groups + group) * N_OUTPUTS + output)[:, None] * n_weights + weight[None, :]
    tl.store(out_ptr + to, total, mask=real[:, None] & known[None, :])
