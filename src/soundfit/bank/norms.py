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
    shape = _over_channels(x)
    if not training and running_mean is not None and running_var is not None:
        scale_C = torch.rsqrt(running_var + eps)
        if weight is not None:
            scale_C = scale_C * weight
        output = (x - running_mean.view(shape)) * scale_C.view(shape)
        return output if bias is None else output + bias.view(shape)
    gain = x.new_ones(x.shape[1]) if weight is None else weight
    shift = x.new_zeros(x.shape[1]) if bias is None else bias
    output, mean_C, variance_C = _OfBatch.apply(x, gain, shift, eps)
    if training and running_mean is not None and running_var is not None:
        n = x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.add_(mean_C.detach() - running_mean, alpha=momentum)
            unbiased_C = variance_C.detach() * (n / max(n - 1, 1))
            running_var.add_(unbiased_C - running_var, alpha=momentum)
    return output


class _OfBatch(torch.autograd.Function):
    """Normalisation with a batch's own statistics, which are returned too; its gradient in closed form.

    Left to autograd, each step of the forward pass would be a pass over the pictures going back: here two
    sums and one pass (Ioffe & Szegedy 2015, section 3).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        shape = _over_channels(x)
        variance_C, mean_C = torch.var_mean(x, _axes(x), correction=0)
        scale_C = torch.rsqrt(variance_C + eps) * weight_C
        output = (x - mean_C.view(shape)) * scale_C.view(shape) + bias_C.view(shape)
        return output, mean_C, variance_C

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight_C, _, ctx.eps = inputs
        _, mean_C, variance_C = output
        ctx.mark_non_differentiable(mean_C, variance_C)
        ctx.save_for_backward(x, weight_C, mean_C, variance_C)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *of_statistics: Any) -> tuple[Tensor | None, ...]:
        x, weight_C, mean_C, variance_C = ctx.saved_tensors
        shape, axes = _over_channels(x), _axes(x)
        n = x.numel() // x.shape[1]
        inverse_C = torch.rsqrt(variance_C + ctx.eps)
        of_bias_C = grad.sum(axes)
        of_weight_C = (grad * (x - mean_C.view(shape))).sum(axes) * inverse_C
        slope_C = of_weight_C * inverse_C / n
        straight = grad - (of_bias_C / n).view(shape) - (x - mean_C.view(shape)) * slope_C.view(shape)
        return straight * (inverse_C * weight_C).view(shape), of_weight_C, of_bias_C, None


def _axes(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _over_channels(x: Tensor) -> tuple[int, ...]:
    return (1, -1, *[1] * (x.dim() - 2))
