"""Evaluation of all members of a bank: loss on validation rows and on as many training rows.

One pass for all members that fit, no loop over members, no synchronisation with the host. Members that
share a view and rows (all configurations and seeds of a fold) read them once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from soundfit.bank.program import Program
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.stack import Stack
from soundfit.bank.tape import Tape

__all__ = [
    "ExamGroup",
    "ExamSheet",
    "TapedExam",
    "answered",
    "exam_groups",
    "exam_losses",
    "exam_sheets",
    "member_outputs",
    "rows_in_a_pass",
]

# Rows a pass: enough to amortise dispatch, few enough that a chunk's activations stay in cache.
ROWS_A_PASS = 2048
# A member's activations a pass on a CPU and on a GPU: convolutions make so many of a row that fewer fit.
PASS_ELEMENTS = (8_000_000, 100_000_000)
# Members with different rows are examined together while a copy of all their rows stays this small.
GATHER_BYTES = 8_000_000


@dataclass(frozen=True)
class ExamGroup:
    """Members (positions in the bank, ascending and adjacent) evaluated on the same rows."""

    members: slice
    view: int
    validation: Tensor
    training: Tensor


@dataclass(frozen=True)
class ExamSheet:
    """What adjacent members are asked in one pass: flat row positions and each row's weights.

    ``rows`` is (R,) where all read the same, else (m, R); ``weights`` is (m, 2, R): the training
    rows' share in the first row, the validation rows' in the second.
    """

    members: slice
    rows: Tensor
    weights: Tensor

    @property
    def shape(self) -> tuple[object, ...]:
        """What sheets have in common that one tape answers."""
        return self.members.start, self.members.stop, tuple(self.rows.shape)


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


def rows_in_a_pass(elements_a_row: int, device: torch.device) -> int:
    """Return how many rows to evaluate at once: fewer where each makes many activations."""
    most = PASS_ELEMENTS[device.type == "cuda"]
    return max(32, min(ROWS_A_PASS, most // max(elements_a_row, 1)))


def exam_sheets(
    groups: Sequence[ExamGroup], data: BankData, rows_a_pass: int = ROWS_A_PASS
) -> list[list[ExamSheet]]:
    """Return the sheets of an evaluation, in passes whose results are added up per member.

    Small groups are put on one sheet, rows padded with weight 0; large ones get sheets of their own,
    cut into passes of ``rows_a_pass`` rows.
    """
    n_members = groups[-1].members.stop
    n_rows = max(len(g.validation) + len(g.training) for g in groups)
    row_bytes = data.inputs_VN[0, 0].numel() * data.inputs_VN.element_size()
    if len(groups) > 1 and n_rows <= rows_a_pass and n_members * n_rows * row_bytes <= GATHER_BYTES:
        sheets = [_sheet(g, data, n_rows) for g in groups]
        rows = torch.cat([s.rows.expand(len(s.weights), -1) for s in sheets])
        return [[ExamSheet(slice(0, n_members), rows, torch.cat([s.weights for s in sheets]))]]
    return [_cut(_sheet(g, data, len(g.validation) + len(g.training)), rows_a_pass) for g in groups]


def _sheet(group: ExamGroup, data: BankData, width: int) -> ExamSheet:
    n_training, n_validation = len(group.training), len(group.validation)
    m = group.members.stop - group.members.start
    device = group.training.device
    rows = torch.zeros(width, dtype=torch.long, device=device)
    rows[:n_training] = group.training
    rows[n_training : n_training + n_validation] = group.validation
    weights = torch.zeros(2, width, device=device)
    weights[0, :n_training] = 1.0 / n_training
    # Without validation rows a member is judged by its training rows.
    if n_validation:
        weights[1, n_training : n_training + n_validation] = 1.0 / n_validation
    else:
        weights[1] = weights[0]
    return ExamSheet(group.members, rows + group.view * data.n_rows, weights.expand(m, 2, width).contiguous())


def _cut(sheet: ExamSheet, rows_a_pass: int) -> list[ExamSheet]:
    cuts = range(0, len(sheet.rows), rows_a_pass)
    return [
        ExamSheet(
            sheet.members,
            sheet.rows[i : i + rows_a_pass],
            sheet.weights[:, :, i : i + rows_a_pass].contiguous(),
        )
        for i in cuts
    ]


Answer = Callable[[ExamSheet], Tensor]


def exam_losses(sheets: Sequence[Sequence[ExamSheet]], answer: Answer) -> tuple[Tensor, Tensor]:
    """Return training and validation losses (M,), each member on its own rows, without smoothing.

    ``answer`` gives a sheet's part of them, (m, 2): :func:`answered`, or a :class:`TapedExam`.
    """
    losses_ME = []
    with torch.no_grad():
        for passes in sheets:
            total = answer(passes[0])
            for sheet in passes[1:]:
                total = total + answer(sheet)
            losses_ME.append(total)
    both = torch.cat(losses_ME)
    return both[:, 0], both[:, 1]


def answered(program: Program, stack: Stack, data: BankData, sheet: ExamSheet) -> Tensor:
    """Return the weighted sums (m, 2) of a sheet's rows' losses."""
    own = sheet.rows.dim() == 2
    return program.exam(
        tuple(v[sheet.members] for v in stack.views().values()),
        tuple(b[sheet.members] for b in stack.buffers.values()),
        data.inputs_VN.flatten(0, 1)[sheet.rows],
        data.targets_VN.flatten(0, 1)[sheet.rows],
        sheet.weights,
        own=(own, own),
    )


class TapedExam:
    """Answers sheets by replaying tapes, one for all sheets of the same members and as many rows.

    A tape of all passes would hold what each of them makes while it is recorded.

    Args:
        program, stack, data: of the bank.
        fuse: as of :class:`Tape`.
    """

    def __init__(self, program: Program, stack: Stack, data: BankData, *, fuse: bool | None) -> None:
        self._answer = partial(answered, program, stack, data)
        self._device, self._fuse = stack.params_MP.device, fuse
        self._tapes: dict[object, tuple[ExamSheet, Tape]] = {}
        self._last: dict[object, ExamSheet] = {}

    def __call__(self, sheet: ExamSheet) -> Tensor:
        """Return the weighted sums (m, 2) of a sheet's rows' losses."""
        if sheet.shape not in self._tapes:
            # The tape reads from places of its own.
            place = ExamSheet(sheet.members, sheet.rows.clone(), sheet.weights.clone())
            tape = Tape(lambda: (self._answer(place),), device=self._device, fuse=self._fuse)
            self._tapes[sheet.shape], self._last[sheet.shape] = (place, tape), sheet
        place, tape = self._tapes[sheet.shape]
        if self._last[sheet.shape] is not sheet:
            place.rows.copy_(sheet.rows)
            place.weights.copy_(sheet.weights)
            self._last[sheet.shape] = sheet
        return tape.replay()[0].clone()


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
