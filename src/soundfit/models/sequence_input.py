"""Sequence input: from rows of steps as data hold them to what sequence nets read.

A batch is (B, T, F + 1): each row aligned at its *end*, NaN where a value is missing, and as the last
feature 1 where a step is present, 0 in the padding before it. Knows no nets.

Shape legend: B batch, T steps, F features, I inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MOST_SPREADS", "SequenceInput", "reversal", "reversed_in_time"]

# A value further out says no more than one at this distance, and would swamp all others.
MOST_SPREADS = 20.0


class SequenceInput(nn.Module):
    """Standardise each feature, put 0 for what is missing or padding, and say what was missing.

    Centres and spreads are buffers, fitted on a member's own training rows, so that members of several
    folds read one tensor. Features in ``missing`` get one more input, 1 where the value is not there.

    Shape:
        - Input: (B, T, F + 1); output: (T, I + 1, B) with I = F + len(missing), the presence last.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[9.0, 0.0], [4.0, 1.0], [float("nan"), 1.0]]])
        >>> SequenceInput([2.0], [2.0], missing=[0])(x)[:, :, 0].tolist()
        [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self, center: Sequence[float], spread: Sequence[float], *, missing: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(center, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32))
        self.missing = [int(i) for i in missing]

    @property
    def n_outputs(self) -> int:
        """I, the inputs a step."""
        return len(self.center) + len(self.missing)

    def forward(self, x: Tensor) -> Tensor:
        """Return inputs and presence (T, I + 1, B)."""
        x = x.permute(1, 2, 0)
        there = x[:, -1:] > 0.5
        x = (x[:, :-1] - self.center.unsqueeze(1)) / self.spread.unsqueeze(1)
        unknown = torch.isnan(x)
        parts = [torch.where(there & ~unknown, x, 0.0).clamp(-MOST_SPREADS, MOST_SPREADS)]
        if self.missing:
            parts.append((there & unknown[:, self.missing]).to(x.dtype))
        return torch.cat([*parts, there.to(x.dtype)], dim=1)


def reversal(present: Tensor) -> Tensor:
    """Return for each row its steps (T, 1, B) in reverse, within the sequence alone."""
    steps = len(present)
    at = torch.arange(steps, device=present.device).view(steps, 1, 1)
    length = present.sum(0, keepdim=True).long()
    # Padding stays where it is; the sequence occupies the last ``length`` steps.
    return torch.where(present > 0, 2 * steps - 1 - length - at, at)


def reversed_in_time(x: Tensor, order: Tensor) -> Tensor:
    """Return x (T, H, B) with each row's steps in the order of :func:`reversal`."""
    return x.gather(0, order.expand(x.shape))
