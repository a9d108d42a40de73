"""Losses that were computed and left out of what goes backward: a change that adds them up."""

from __future__ import annotations

import torch

from soundfit.doctor.graph import walk

__all__ = ["LeftOut"]

_MOST_NODES = 20_000


class LeftOut:
    """Remembers the losses of a step, and adds to what goes backward those that are no part of it.

    Does nothing where it is not wanted.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._made: list[torch.Tensor] = []

    def saw(self, loss: torch.Tensor) -> None:
        """Receive a loss; those that are no single number, or hang on no parameter, are nobody's sum."""
        if self.wanted and loss.dim() == 0 and loss.requires_grad:
            self._made.append(loss)

    def whole(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss and the sum of those that it does not hang on, and forget them."""
        if not self._made:
            return loss
        nodes = set(walk(loss.grad_fn, _MOST_NODES))
        missing = [one for one in self._made if one.grad_fn not in nodes]
        self._made.clear()
        for one in missing:
            loss = loss + one
        return loss
