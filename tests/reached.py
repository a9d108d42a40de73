"""Which parameters of a net no gradient ever reaches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def parameters_never_reached(net: nn.Module, x: Tensor, y: Tensor, *, n_steps: int = 3) -> list[str]:
    """Train a few steps and name the parameters whose gradient was exactly 0 in all of them.

    A part that starts at zero, so that a net starts simple, must not stay there for ever: one step may have
    no gradient for what lies behind it, the next ones do.
    """
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    left = {name for name, _ in net.named_parameters()}
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        left -= {n for n, p in net.named_parameters() if p.grad is not None and bool(p.grad.any())}
    return sorted(left)
