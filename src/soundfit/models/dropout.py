"""CounterDropout: dropout whose rate is a buffer and whose mask is a function of (seed, step, position)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from soundfit.models.counter import STRIDE, stir, uniform16

__all__ = ["CounterDropout", "replace_dropout"]


@runtime_checkable
class Reseeded(Protocol):
    """Another layer that draws by counter."""

    def reseed(self, seed: int) -> None:
        """Draw from another seed."""
        ...


class CounterDropout(nn.Module):
    """Dropout (Srivastava et al. 2014, inverted scaling) that a bank can stack.

    The rate ``p``, the ``seed`` and the ``step`` (training passes so far) are buffers, so each member
    has its own, and the mask is drawn by counter: the same alone and in a bank.

    Shape:
        - Input: any shape; output: the same.

    Example:
        >>> import torch
        >>> drop = CounterDropout(0.5, seed=1)
        >>> x = torch.ones(4, 8)
        >>> sorted(set(drop(x).flatten().tolist()))
        [0.0, 2.0]
        >>> bool((drop.eval()(x) == x).all())
        True
    """

    p: Tensor
    seed: Tensor
    step: Tensor

    def __init__(self, p: float, *, seed: int = 0) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"a dropout rate is at least 0 and below 1, however: {p=}")
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("seed", torch.tensor(stir(seed), dtype=torch.int32))
        self.register_buffer("step", torch.zeros((), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training mode; the identity in evaluation mode."""
        if not self.training:
            return x
        self.step.add_(1)
        draw = uniform16(self.seed + self.step * STRIDE, x.numel()).reshape(x.shape)
        # Compared as whole numbers: mixed types would cost a conversion of every draw.
        threshold = torch.ceil(self.p * 65536.0 - 32768.0).to(torch.int16)
        scale = torch.reciprocal(1.0 - self.p).to(x.dtype)
        return x * ((draw >= threshold).to(x.dtype) * scale)


def replace_dropout(module: nn.Module, *, seed: int) -> int:
    """Replace each ``nn.Dropout`` in ``module`` by a :class:`CounterDropout` of its rate.

    Layers get consecutive seeds. A rate of 0 stays: other members of the bank may drop there.
    Returns the number of layers replaced.
    """
    n = 0
    for name, child in list(module.named_children()):
        if type(child) is nn.Dropout:
            setattr(module, name, CounterDropout(child.p, seed=seed * 1009 + n))
            n += 1
        elif isinstance(child, CounterDropout):
            child.seed.fill_(stir(seed * 1009 + n))
            n += 1
        elif isinstance(child, Reseeded):
            child.reseed(seed * 1009 + n)
            n += 1
        else:
            n += replace_dropout(child, seed=seed * 31 + n + 1)
    return n
