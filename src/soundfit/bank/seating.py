"""Seating: sort members into banks of one architecture, and cut banks into chunks that train in lockstep.

Knows no training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from soundfit.bank.alone import is_fast_alone
from soundfit.bank.architecture import architecture_key
from soundfit.bank.chunk import (
    MemberNeed,
    activation_elements,
    chunk_bounds,
    held_elements,
    members_at_once,
    usable_bytes,
)
from soundfit.bank.evaluation import rows_in_a_pass
from soundfit.bank.loss import Loss
from soundfit.bank.order import steps_per_epoch
from soundfit.bank.probe import why_loop
from soundfit.bank.rows import BankData, MemberRows
from soundfit.models.dropout import replace_dropout
from soundfit.records import Config

__all__ = ["Chunk", "Seat", "seat_banks", "seat_chunks", "stay_in_memory"]

MakeModule = Callable[[Config], nn.Module]


@dataclass(frozen=True)
class Seat:
    """A member on its way into a bank; ``at`` is its position in the study."""

    at: int
    config: Config
    rows: MemberRows
    seed: int
    module: nn.Module

    @property
    def batch(self) -> int:
        """Rows in a batch."""
        return min(self.config.batch_size, len(self.rows.train))

    @property
    def n_steps(self) -> int:
        """Steps in an epoch."""
        return steps_per_epoch(len(self.rows.train), self.batch)


@dataclass(frozen=True)
class Chunk:
    """Members that train in lockstep: a bank, or part of one.

    ``loop_reason``: why not in a batch. ``member_bytes``: what each needs at the peak, estimated.
    ``alone``: one member, which is faster by itself.
    """

    bank: int
    seats: tuple[Seat, ...]
    loop_reason: str = ""
    member_bytes: int = 0
    alone: bool = False

    def halves(self) -> tuple[Chunk, Chunk]:
        """Return the chunk in two."""
        middle = len(self.seats) // 2
        return (
            replace(self, seats=self.seats[:middle]),
            replace(self, seats=self.seats[middle:]),
        )


def seat_banks(
    make_module: MakeModule, configs: Sequence[Config], rows: Sequence[MemberRows], seeds: Sequence[int]
) -> list[list[Seat]]:
    """Sort members into banks: one architecture, batch size, optimiser and number of steps each."""
    banks: dict[object, list[Seat]] = {}
    with torch.random.fork_rng(devices=[]):
        for at, (config, member_rows, seed) in enumerate(zip(configs, rows, seeds, strict=True)):
            _seed(seed)
            module = make_module(config)
            replace_dropout(module, seed=seed)
            seat = Seat(at, config, member_rows, seed, module)
            optimizer = (config.optimizer, config.get("beta2", 0.999))
            key = (architecture_key(module), seat.batch, seat.n_steps, optimizer)
            banks.setdefault(key, []).append(seat)
    return [sorted(seats, key=lambda s: (s.rows.stream, s.at)) for seats in banks.values()]


def _seed(seed: int) -> None:
    """Seed torch's generators, those of a GPU only where one is in use: for later it would be costly."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def seat_chunks(
    bank: int,
    seats: Sequence[Seat],
    data: BankData,
    loss: Loss,
    *,
    memory_bytes: int | None,
    at_once: int | None,
) -> list[Chunk]:
    """Cut a bank into chunks of at most ``at_once`` members, or of what cache and memory suggest."""
    first = seats[0]
    device = data.inputs_VN.device
    # A copy: the members stay where they were made.
    module = copy.deepcopy(first.module).to(device)
    sample = data.sample(max(2, first.batch))
    if is_fast_alone(module, device):
        resident = 64 * sum(p.numel() for p in module.parameters())
        return [Chunk(bank, (seat,), member_bytes=resident, alone=True) for seat in seats]
    few = min(len(sample), 8)
    loop_reason = why_loop(module, sample[:few], data.targets_VN[0, :few], loss)
    elements = activation_elements(module, sample)
    a_pass = rows_in_a_pass(elements // len(sample), device)
    exam_rows = min(a_pass, 2 * max(len(first.rows.validation), 32))
    need = MemberNeed(
        sum(p.numel() for p in module.parameters()),
        elements,
        n_inputs=sample.numel(),
        exam_batches=exam_rows / len(sample),
        n_held=held_elements(module, sample),
    )
    if at_once is None:
        at_once = members_at_once(need, device=device, memory_bytes=memory_bytes)
    bounds = chunk_bounds([s.rows.stream for s in seats], at_once)
    return [Chunk(bank, tuple(seats[a:b]), loop_reason, need.peak_bytes) for a, b in bounds]


def stay_in_memory(chunks: Sequence[Chunk], device: torch.device, memory_bytes: int | None) -> bool:
    """Return whether all chunks may be open at once: they wait for each other at the rungs of a race."""
    needed = sum(c.member_bytes * len(c.seats) for c in chunks)
    return needed <= (memory_bytes if memory_bytes is not None else usable_bytes(device))
