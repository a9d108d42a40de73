"""Losses of one member: ``loss(output, target, smoothing) -> scalar``; the bank maps them over members."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LOSSES", "Loss", "MixedCrossEntropy", "ScaledSquaredError", "resolve_loss"]

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


class ScaledSquaredError:
    """Mean squared error in units of a target's deviation, where members' outputs are in the target's own.

    Else a limit on the gradient's norm would mean something else for euros and for cents.
    """

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation
        self.__qualname__ = f"ScaledSquaredError({deviation!r})"

    def __call__(self, output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
        return ((output.reshape(target.shape) - target) / self.deviation).square().mean()


class MixedCrossEntropy:
    """Cross-entropy where a training pass may mix each row with the one before it (Zhang et al. 2018, mixup).

    Outputs of C + 1 columns end in each row's own share λ; its loss is λ · that of its own target plus
    (1 - λ) · that of the row before. Outputs of C columns are plain logits.
    """

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.__qualname__ = f"MixedCrossEntropy({n_classes})"

    def __call__(self, output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
        if output.shape[-1] == self.n_classes:
            return cross_entropy(output, target, smoothing)
        logits, share = output[..., :-1], output[..., -1]
        log_p_BC = torch.log_softmax(logits, dim=-1)
        own = -log_p_BC.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        other = -log_p_BC.gather(-1, target.roll(1, -1).unsqueeze(-1)).squeeze(-1)
        hit = (share * own + (1.0 - share) * other).mean()
        if smoothing is None:
            return hit
        return (1.0 - smoothing) * hit - smoothing * log_p_BC.mean()


LOSSES: dict[str, Loss] = {"mse": mean_squared_error, "cross_entropy": cross_entropy}


def resolve_loss(
    loss: str | Callable[[Tensor, Tensor], Tensor] | MixedCrossEntropy | ScaledSquaredError,
) -> Loss:
    """Return a loss by name, or wrap a user's ``loss(output, target)``."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"a loss is one of {sorted(LOSSES)} or a function, however: {loss=}")
        return LOSSES[loss]
    if isinstance(loss, MixedCrossEntropy | ScaledSquaredError):
        return loss
    function = loss

    def two_arguments(output: Tensor, target: Tensor, smoothing: Tensor | None) -> Tensor:
        return function(output, target)

    return two_arguments
