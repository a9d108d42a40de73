"""Order: which training rows a member reads at each step of an epoch, as a function of (seed, epoch).

Like a ``DataLoader`` with ``shuffle=True, drop_last=True``, but drawn by counter: the same order on every
device, alone and in a bank, and after a restart. Members with the same rows and order seed form one
*stream* and read the same batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soundfit.models.counter import key_of, stir, uniform16

__all__ = ["epoch_order", "epoch_orders", "steps_per_epoch"]


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Full batches in ``n_rows``; at least one (of all rows)."""
    return max(1, n_rows // batch_size)


def epoch_order(n_rows: int, batch_size: int, *, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Return positions (S, B) among ``n_rows`` training rows for one epoch.

    ``B`` is ``min(batch_size, n_rows)``; the rows left over are drawn in other epochs.
    """
    seeds_K = torch.tensor([stir(seed)], dtype=torch.int32, device=device)
    return epoch_orders(n_rows, batch_size, seeds_K=seeds_K, epoch=epoch)[0]


def epoch_orders(n_rows: int, batch_size: int, *, seeds_K: Tensor, epoch: int) -> Tensor:
    """Return positions (K, S, B) for K streams of ``n_rows`` rows each, from their stirred seeds."""
    batch = min(batch_size, n_rows)
    steps = steps_per_epoch(n_rows, batch)
    step = torch.full((), epoch, dtype=torch.int32, device=seeds_K.device)
    keys_K1 = key_of(seeds_K, step).unsqueeze(1)
    # Two 16-bit draws a row make ties rare; a stable sort makes the rest reproducible.
    high_KN, low_KN = uniform16(keys_K1, 2 * n_rows).to(torch.int32).split(n_rows, dim=1)
    order_KN = torch.sort(high_KN * 65536 + low_KN, dim=1, stable=True).indices
    return order_KN[:, : steps * batch].reshape(-1, steps, batch)
