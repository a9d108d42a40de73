"""Shard: one process's part of every batch, where several processes train the same members together.

Data-parallel training as in DDP (Li et al. 2020, "PyTorch Distributed"): each process computes the gradients
of its rows, they are averaged over all processes, and every process takes the same step. For single models
so large that members side by side do not fill the machines. Knows no members.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Shard", "joined", "rank_of_launcher"]


@dataclass(frozen=True)
class Shard:
    """Process ``rank`` of ``size``; the process group is torch's default one."""

    rank: int
    size: int

    def part(self, index_KB: Tensor) -> Tensor:
        """Return this process's rows of a batch (K, B): every ``size``-th.

        Raises:
            ValueError: a batch has fewer rows than there are processes.
        """
        if index_KB.shape[1] < self.size:
            raise ValueError(
                "a batch has at least one row for each process, however: "
                f"{index_KB.shape[1]} rows and {self.size} processes"
            )
        return index_KB[:, self.rank :: self.size]

    def average_(self, tensors: Sequence[Tensor], batch: int) -> None:
        """Average tensors over processes in place, each weighed by its share of the ``batch`` rows."""
        share = len(range(self.rank, batch, self.size)) / batch
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            if tensor.is_floating_point():
                by_dtype.setdefault(tensor.dtype, []).append(tensor)
        for alike in by_dtype.values():
            # One message a step, as DDP's buckets: for small members its delay is the whole cost.
            sent = torch.cat([tensor.reshape(-1) for tensor in alike]).mul_(share)
            dist.all_reduce(sent)
            parts = torch.split(sent, [tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process; all processes ask at the same places."""
        votes = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(votes)
        return bool(votes > 0)


def rank_of_launcher() -> int | None:
    """Return this process's rank where ``torchrun`` started several; None elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return None
    return int(os.environ["RANK"])


@contextmanager
def joined(device: torch.device) -> Iterator[Shard | None]:
    """Join the processes that ``torchrun`` started, while the block runs; None where there is one process."""
    rank = rank_of_launcher()
    if rank is None:
        yield None
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Shard(rank, dist.get_world_size())
    finally:
        dist.destroy_process_group()
