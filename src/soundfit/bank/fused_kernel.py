"""The Triton kernel of :mod:`soundfit.bank.fused`. Importing it needs Triton, part of torch for GPUs."""

# mypy: ignore-errors
# No `from __future__ import annotations`: Triton reads the annotations themselves.

import triton
import triton.language as tl

__all__ = ["adamw_kernel"]


@triton.jit
def _one_minus_power(z):
    """1 - exp(-z), also where z is so small that the difference would lose its digits."""
    series = z * (1.0 - z * (0.5 - z * (1.0 / 6.0 - z * (1.0 / 24.0 - z / 120.0))))
    return tl.where(z < 0.1, series, 1.0 - tl.exp(-z))


@triton.jit
def adamw_kernel(
    params_ptr,
    grads_ptr,
    first_ptr,
    second_ptr,
    steps_ptr,
    rate_ptr,
    decay_ptr,
    rate_scale_ptr,
    decay_scale_ptr,
    n_parameters,
    beta1,
    one_minus_beta1,
    beta2,
    one_minus_beta2,
    minus_log_beta1,
    minus_log_beta2,
    epsilon,
    HAS_RATE_SCALE: tl.constexpr,
    HAS_DECAY_SCALE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (m, b) updates block b of member m."""
    member = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < n_parameters
    at = member.to(tl.int64) * n_parameters + column

    steps = tl.load(steps_ptr + member)
    rate = tl.load(rate_ptr + member)
    decay = tl.load(decay_ptr + member)
    correction1 = _one_minus_power(steps * minus_log_beta1)
    correction2 = tl.sqrt(_one_minus_power(steps * minus_log_beta2))

    param = tl.load(params_ptr + at, mask=inside, other=0.0)
    grad = tl.load(grads_ptr + at, mask=inside, other=0.0)
    first = tl.load(first_ptr + at, mask=inside, other=0.0)
    second = tl.load(second_ptr + at, mask=inside, other=0.0)

    first = beta1 * first + one_minus_beta1 * grad
    second = beta2 * second + one_minus_beta2 * grad * grad
    update = (first / correction1) / (tl.sqrt(second) / correction2 + epsilon)
    if HAS_RATE_SCALE:
        rate = rate * tl.load(rate_scale_ptr + column, mask=inside, other=0.0)
    if HAS_DECAY_SCALE:
        decay = decay * tl.load(decay_scale_ptr + column, mask=inside, other=0.0)
    param = param - rate * (decay * param + update)

    tl.store(params_ptr + at, param, mask=inside)
    tl.store(first_ptr + at, first, mask=inside)
    tl.store(second_ptr + at, second, mask=inside)
