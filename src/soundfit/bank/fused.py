"""Fused AdamW: one pass over all members' parameters, as a Triton kernel for GPUs.

torch's fused AdamW takes one rate and one decay for all: with rates of each member's own it needs a pass
before it and one after. Here each member's rate, decay and number of steps are read inside, so that
parameters, gradient and both moments are touched once. Where Triton is missing or cannot compile the kernel,
:func:`why_not` says so and the optimiser goes torch's way. Knows no losses and no rows.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

__all__ = ["available", "fused_adamw_", "give_up", "why_not"]

_BLOCK = 1024
_reason: str | None = None
_kernel: object = None


def why_not() -> str:
    """Return why the kernel is not used on a GPU; empty while nothing speaks against it."""
    return _reason or ""


def give_up(error: Exception) -> None:
    """Never use the kernel again in this process, and say why once."""
    global _reason
    first_line = (str(error).strip().splitlines() or [""])[0]
    _reason = f"{type(error).__name__}: {first_line[:200]}"
    warnings.warn(f"fused AdamW is not available ({_reason}); training goes on without", RuntimeWarning, 2)


def available(device: torch.device) -> bool:
    """Return whether members on a device may be updated by the kernel."""
    global _reason
    if device.type != "cuda" or _reason is not None:
        return False
    try:
        _compiled()
    except ImportError:
        _reason = "Triton is not installed"
        return False
    return True


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
    """Return the kernel, built when it is first asked for: Triton is no requirement."""
    global _kernel
    if _kernel is None:
        from soundfit.bank.fused_kernel import adamw_kernel

        _kernel = adamw_kernel
    return _kernel
