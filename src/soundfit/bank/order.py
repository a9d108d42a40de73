"""Order: which training rows a member reads at each step of an epoch, as a function of (seed, epoch).

Like a ``DataLoader`` with ``shuffle=True, drop_last=True``, but drawn by counter: the same order on every
device, alone and in a bank, and after a restart. Members with the same rows and order seed form one
*stream* and read the same batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soundfit.models.counter import key_of, stir, uniform16

__all__ = ["epoch_order", "steps_per_epoch"]


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Full batches in ``n_rows``; at least one (of all rows)."""
    return max(1, n_rows // batch_size)


def epoch_order(n_rows: int, batch_size: int, *, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Return positions (S, B) among ``n_rows`` training rows for one epoch.

    ``B`` is ``min(batch_size, n_rows)``; the rows left over are drawn in other epochs.
    """
    batch = min(batch_size, n_rows)
    steps = steps_per_epoch(n_rows, batch)
    scalars = torch.tensor([stir(seed), epoch], dtype=torch.int32, device=device)
    key = key_of(scalars[0], scalars[1])
    # Two 16-bit draws a row make ties rare; a stable sort makes the rest reproducible.
    high, low = uniform16(key, 2 * n_rows).to(torch.int32).split(n_rows)
    order = torch.sort(high * 65536 + low, stable=True).indices
    return order[: steps * batch].view(steps, batch)
