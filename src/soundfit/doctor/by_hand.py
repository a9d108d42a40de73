"""Changes to updates that a script makes by hand: they read gradients, so it is the gradients that are changed.

A rate that multiplies a gradient is changed by changing the gradient. Knows no model and no loss.
"""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

__all__ = ["ByHand"]

Tensor = torch.Tensor


class ByHand:
    """Comes before and after each backward pass of a script that has no optimiser.

    Args:
        wanted: names and values of changes (``rate``, ``zero_grad``, ``clip``, ``adam``).
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.adam: torch.optim.Adam | None = None
        self._held: tuple[int, ...] = ()

    def before(self, loss: Tensor, leaves: Iterable[Tensor]) -> Tensor:
        """Clear what was left of earlier gradients; return the loss, times the factor of the rate."""
        if self.wanted.get("zero_grad") or "adam" in self.wanted:
            for leaf in leaves:
                leaf.grad = None
        return (
            loss * float(self.wanted["rate"]) if "rate" in self.wanted and "adam" not in self.wanted else loss
        )

    def after(self, leaves: Iterable[Tensor]) -> None:
        """Clip the gradients, or step by Adam and leave gradients of 0 for the script's own update."""
        reached = [x for x in leaves if x.grad is not None]
        if not reached:
            return
        if self.wanted.get("clip"):
            torch.nn.utils.clip_grad_norm_(reached, float(self.wanted["clip"]))
        if "adam" not in self.wanted:
            return
        held = tuple(id(x) for x in reached)
        if self.adam is None or held != self._held:
            self.adam, self._held = torch.optim.Adam(reached, lr=float(self.wanted["adam"])), held
        self.adam.step()
        for leaf in reached:
            if leaf.grad is not None:
                leaf.grad.zero_()
