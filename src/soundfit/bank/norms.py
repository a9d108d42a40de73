"""Batch normalisation in plain tensor operations, where members on a GPU share a pass.

``vmap`` hands all members' channels to the library's own kernels, which change running statistics behind a
recording's back and want one type throughout. Written out, its operations are recorded and fused like all
others, and are the same on every device. Knows no members.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["PlainNorms", "batch_norm"]


class PlainNorms(TorchFunctionMode):
    """Compute ``torch.nn.functional.batch_norm`` by :func:`batch_norm` while the block runs."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.batch_norm:
            return batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what ``torch.nn.functional.batch_norm`` does (Ioffe & Szegedy 2015), in float32.

    Shape:
        - input: (B, C, …); the others (C,). While training, running statistics are updated in place.

    Example:
        >>> x = torch.randn(8, 3, 4)
        >>> torch.allclose(batch_norm(x, None, None, training=True).mean((0, 2)), torch.zeros(3), atol=1e-6)
        True
    """
    x = input.float()
    axes = [0, *range(2, x.dim())]
    shape = (1, -1, *[1] * (x.dim() - 2))
    if training or running_mean is None or running_var is None:
        mean_C = x.mean(axes)
        centred = x - mean_C.view(shape)
        variance_C = centred.square().mean(axes)
        if training and running_mean is not None and running_var is not None:
            n = x.numel() // x.shape[1]
            with torch.no_grad():
                running_mean.add_(mean_C.detach() - running_mean, alpha=momentum)
                unbiased_C = variance_C.detach() * (n / max(n - 1, 1))
                running_var.add_(unbiased_C - running_var, alpha=momentum)
    else:
        centred, variance_C = x - running_mean.view(shape), running_var
    scale_C = torch.rsqrt(variance_C + eps)
    if weight is not None:
        scale_C = scale_C * weight
    output = centred * scale_C.view(shape)
    return output if bias is None else output + bias.view(shape)
