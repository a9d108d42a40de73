"""Fused AdamW: one pass over all members' parameters, as a Triton kernel for GPUs.

torch's fused AdamW takes one rate and one decay for all: with rates of each member's own it needs a pass
before it and one after. Here each member's rate, decay and number of steps are read inside, so that
parameters, gradient and both moments are touched once. Where Triton is missing or cannot compile the kernel,
:data:`availability` says so and the optimiser goes torch's way. Knows no losses and no rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soundfit.bank.availability import Availability

__all__ = ["availability", "fused_adamw_"]

_BLOCK = 1024
#: Whether members may be updated by the kernel.
availability = Availability("fused AdamW")


def fused_adamw_(
    params_MP: Tensor,
    grads_MP: Tensor,
    first_MP: Tensor,
    second_MP: Tensor,
    steps_M: Tensor,
    rate_M: Tensor,
    decay_M: Tensor,
    *,
    rate_scale_P: Tensor | None = None,
    decay_scale_P: Tensor | None = None,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Update parameters and moments in place by one AdamW step (Loshchilov & Hutter 2019, algorithm 2).

    Args:
        params_MP, grads_MP, first_MP, second_MP: contiguous float32.
        steps_M: steps of each member, this one included.
        rate_M, decay_M: of each member; a parameter's own are these times its scale, where scales are given.
        beta1, beta2, epsilon: of all.
    """
    none = params_MP.new_empty(0)
    torch.ops.soundfit.fused_adamw_(
        params_MP,
        grads_MP,
        first_MP,
        second_MP,
        steps_M,
        rate_M,
        decay_M,
        none if rate_scale_P is None else rate_scale_P,
        none if decay_scale_P is None else decay_scale_P,
        beta1,
        beta2,
        epsilon,
    )


@torch.library.custom_op("soundfit::fused_adamw_", mutates_args=("params", "first", "second"))
def _fused_adamw(
    params: Tensor,
    grads: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    rate: Tensor,
    decay: Tensor,
    rate_scale: Tensor,
    decay_scale: Tensor,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """A torch operation, so that a tape records it like any other."""
    m, p = params.shape
    grid = (m, math.ceil(p / _BLOCK))
    _compiled()[grid](  # type: ignore[index]
        params,
        grads,
        first,
        second,
        steps,
        rate,
        decay,
        rate_scale,
        decay_scale,
        p,
        beta1,
        1.0 - beta1,
        beta2,
        1.0 - beta2,
        -math.log(beta1) if beta1 > 0 else math.inf,
        -math.log(beta2) if beta2 > 0 else math.inf,
        epsilon,
        HAS_RATE_SCALE=rate_scale.numel() > 0,
        HAS_DECAY_SCALE=decay_scale.numel() > 0,
        BLOCK=_BLOCK,
    )


def _compiled() -> object:
    """Return the kernel, imported when it is first asked for: Triton is no requirement."""
    from soundfit.bank.fused_kernel import adamw_kernel

    kernel: object = adamw_kernel
    return kernel
