"""Outcome: what came of one member. Knows no metrics."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from soundfit.bank.bank import Bank
from soundfit.bank.evaluation import exam_groups, member_outputs
from soundfit.bank.race import Standing
from soundfit.bank.seating import Chunk
from soundfit.bank.stack import Stack
from soundfit.records import Trace

__all__ = ["Outcome", "outcomes_of", "standings_of"]


@dataclass
class Outcome:
    """What came of one member: best checkpoint (:attr:`module`), losses at it, status and trace."""

    template: nn.Module
    """A module of the member's architecture; its own values are never read."""
    tensors: dict[str, Tensor]
    """The parameters and buffers of the best checkpoint, on the host."""
    status: str
    best_epoch: int
    epochs: int
    training_loss: float
    validation_loss: float
    rollbacks: int
    n_parameters: int
    bank: int
    trace: Trace
    validation_outputs: Tensor
    """Outputs (n, C) on the member's validation rows at the best checkpoint, on the host."""
    loop_reason: str = ""
    """Why the member could not train in a batch with others; empty where it did."""

    @cached_property
    def module(self) -> nn.Module:
        """The best checkpoint as a module in evaluation mode on the host, made when first asked for."""
        module = copy.deepcopy(self.template).cpu()
        with torch.no_grad():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                tensor.copy_(self.tensors[name])
        return module.eval()


def outcomes_of(bank: Bank, chunk: Chunk) -> list[Outcome]:
    """Collect a chunk's members at their best checkpoints, with outputs on their validation rows."""
    progress = bank.progress
    # From a GPU at once: a copy of each member's would wait for the device each time.
    best = _best(bank).to(torch.device("cpu"))
    outputs = _validation_outputs(bank, chunk)
    return [
        Outcome(
            seat.module,
            tensors,
            status if (status := str(progress.status[i])) != "training" else "interrupted",
            int(progress.best_epoch[i]),
            int(progress.epochs[i]),
            float(progress.training_at_best[i]),
            float(progress.best_loss[i]) if progress.best_epoch[i] else float("nan"),
            int(progress.rollbacks[i]),
            sum(s.size for s in bank.stack.slots),
            chunk.bank,
            progress.trace(i),
            outputs[i],
            chunk.loop_reason,
        )
        for i, (seat, tensors) in enumerate(zip(chunk.seats, best.members(), strict=True))
    ]


def standings_of(bank: Bank, chunk: Chunk) -> list[Standing]:
    """Return where a chunk's members stand, by their best checkpoints so far."""
    progress = bank.progress
    outputs = _validation_outputs(bank, chunk)
    return [
        Standing(
            seat.at, str(progress.status[i]), int(progress.epochs[i]), int(progress.best_epoch[i]), outputs[i]
        )
        for i, seat in enumerate(chunk.seats)
    ]


def _best(bank: Bank) -> Stack:
    return Stack(bank.stack.template, bank.stack.slots, bank.best_MP, bank.best_buffers, bank.stack.mutated)


def _validation_outputs(bank: Bank, chunk: Chunk) -> list[Tensor]:
    """Return each member's outputs (n, C) on its validation rows at its best checkpoint, on the host."""
    best = _best(bank)
    outputs: list[Tensor] = []
    for group in exam_groups([s.rows for s in chunk.seats], bank.device):
        inputs = bank.data.inputs_VN[group.view][group.validation]
        found = member_outputs(bank.program, best, group.members, inputs, rows_a_pass=bank.rows_a_pass)
        outputs.extend(found.cpu().unbind(0))
    return outputs
