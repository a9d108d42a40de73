"""Alone: members one by one by plain autograd, for modules whose operations fill a core on their own.

Convolutions on a CPU gain nothing from a batch of members, and lose their memory layout under ``vmap``.
The same numbers as :class:`Program`, to floating-point tolerance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soundfit.bank.program import LoopProgram, Own, Tensors

__all__ = ["AloneProgram", "is_fast_alone"]


def is_fast_alone(module: torch.nn.Module, device: torch.device) -> bool:
    """Return whether a module says that it is fast alone (``fast_alone``), and this is a CPU."""
    return device.type == "cpu" and bool(getattr(module, "fast_alone", False))


class AloneProgram(LoopProgram):
    """A loop for modules that draw by counter: nothing is seeded, and workers never wait for each other."""

    def exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights: Tensor, *, own: Own
    ) -> Tensor:
        """Return weighted sums (M, E) of the rows' losses; see :meth:`Program.exam`."""
        self.template.eval()
        sums = []
        for i in range(len(weights)):
            x_B, y_B = (t[i] if each else t for t, each in zip((x, y), own, strict=True))
            p, b = tuple(t[i] for t in params), tuple(t[i] for t in buffers)
            sums.append(self._member_exam(p, b, x_B, y_B, weights[i]))
        return torch.stack(sums)

    def _losses(
        self,
        leaves: Tensors,
        buffers: Tensors,
        x: Tensor,
        y: Tensor,
        smoothing_M: Tensor | None,
        own: Own,
        keys_M: Tensor | None,
    ) -> tuple[Tensor, Tensors]:
        return self._one_by_one(leaves, buffers, x, y, smoothing_M, own)
