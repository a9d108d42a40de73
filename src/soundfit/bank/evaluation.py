"""Evaluation of all members of a bank: loss on validation rows and on as many training rows.

Members that share a view and validation rows (all configurations and seeds of a fold) are evaluated
together on rows that are read once. No loop over members, no synchronisation with the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from soundfit.bank.loss import Loss
from soundfit.bank.program import Program
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.stack import Stack

__all__ = ["ExamGroup", "exam_groups", "member_outputs", "validation_losses"]

# Rows a pass: enough to amortise dispatch, few enough that activations of a chunk stay in cache.
ROWS_A_PASS = 2048


@dataclass(frozen=True)
class ExamGroup:
    """Members (positions in the bank, ascending and adjacent) evaluated on the same rows."""

    members: slice
    view: int
    validation: Tensor
    training: Tensor


def exam_groups(rows: Sequence[MemberRows], device: torch.device) -> list[ExamGroup]:
    """Group adjacent members by view, training and validation rows.

    Training error is measured on a fixed sample of the training rows, as many as there are
    validation rows: the same for every member of a fold, so that members compare.
    """
    groups: list[ExamGroup] = []
    start = 0
    for stop in range(1, len(rows) + 1):
        if stop < len(rows) and rows[stop].exam_key == rows[start].exam_key:
            continue
        r = rows[start]
        n = min(len(r.train), max(len(r.validation), 32))
        sample = np.sort(np.random.default_rng(0).permutation(r.train)[:n])
        groups.append(
            ExamGroup(
                slice(start, stop),
                r.view,
                torch.from_numpy(r.validation).to(device),
                torch.from_numpy(sample).to(device),
            )
        )
        start = stop
    return groups


def member_outputs(
    program: Program, stack: Stack, members: slice, inputs: Tensor, *, rows_a_pass: int = ROWS_A_PASS
) -> Tensor:
    """Return outputs (m, N, C) of adjacent members on shared inputs (N, …), in evaluation mode."""
    params = tuple(v[members] for v in stack.views().values())
    buffers = tuple(b[members] for b in stack.buffers.values())
    with torch.no_grad():
        passes = [
            program.outputs(params, buffers, inputs[i : i + rows_a_pass])
            for i in range(0, len(inputs), rows_a_pass)
        ]
    return passes[0] if len(passes) == 1 else torch.cat(passes, dim=1)


def validation_losses(
    program: Program, stack: Stack, groups: Sequence[ExamGroup], data: BankData, loss: Loss
) -> tuple[Tensor, Tensor]:
    """Return training and validation losses (M,), each member on its own rows, without smoothing."""
    training, validation = [], []
    zero = torch.zeros((), device=stack.params_MP.device)

    def plain(output: Tensor, target: Tensor) -> Tensor:
        return loss(output, target, zero)

    of_members = vmap(plain, in_dims=(0, None))
    for group in groups:
        both = torch.cat([group.validation, group.training])
        outputs = member_outputs(program, stack, group.members, data.inputs_VN[group.view][both])
        targets = data.targets_VN[group.view][both]
        n = len(group.validation)
        with torch.no_grad():
            training.append(of_members(outputs[:, n:], targets[n:]))
            if n:
                validation.append(of_members(outputs[:, :n], targets[:n]))
            else:
                validation.append(training[-1])
    return torch.cat(training), torch.cat(validation)
