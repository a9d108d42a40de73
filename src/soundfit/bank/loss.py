"""Losses of one member: ``loss(output, target, smoothing) -> scalar``; the bank maps them over members."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LOSSES", "Loss", "resolve_loss"]

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def mean_squared_error(output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
    """Mean of squared differences; output and target (B, C). ``smoothing`` is not used."""
    return torch.nn.functional.mse_loss(output.reshape(target.shape), target)


def cross_entropy(output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
    """Softmax cross-entropy of logits (B, C) against class codes (B,), with label smoothing.

    Smoothing as in Szegedy et al. 2016: the target is ``(1 - s) · one-hot + s / C``. Computed as
    torch's ``cross_entropy`` does, but with ``s`` as a tensor, so that each member has its own; None
    where nobody smooths.
    """
    log_p_BC = torch.log_softmax(output, dim=-1)
    if smoothing is None:
        return -log_p_BC.gather(-1, target.unsqueeze(-1)).mean()
    hit = -log_p_BC.gather(-1, target.unsqueeze(-1)).mean()
    spread = -log_p_BC.mean()
    return (1.0 - smoothing) * hit + smoothing * spread


LOSSES: dict[str, Loss] = {"mse": mean_squared_error, "cross_entropy": cross_entropy}


def resolve_loss(loss: str | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Return a loss by name, or wrap a user's ``loss(output, target)``."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"a loss is one of {sorted(LOSSES)} or a function, however: {loss=}")
        return LOSSES[loss]
    function = loss

    def two_arguments(output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
        return function(output, target)

    return two_arguments
