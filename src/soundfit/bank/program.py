"""Program: gradients and evaluation of M members of one architecture, by ``vmap`` or by a plain loop.

``torch.func.vmap`` turns any module's forward pass into one function of stacked parameters; ordinary
autograd around it gives all members' gradients at once, for their losses do not meet. Modules that vmap
cannot follow (control flow on data, ``nn.LSTM``) run one after the other: slow, the same numbers. Knows no
optimiser and no epochs.
"""

from __future__ import annotations

import copy
import threading
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from soundfit.bank.loss import Loss
from soundfit.bank.norms import PlainNorms
from soundfit.bank.stack import Stack

__all__ = ["LoopProgram", "Program"]

Tensors = tuple[Tensor, ...]
Own = tuple[bool, bool]

_GENERATOR = threading.RLock()


class Program:
    """Training pass and evaluation of a stack by ``vmap``.

    Args:
        stack: the members; a copy of its template, its slots and buffer names are kept.
        loss: the loss of one member.
    """

    #: Whether its operations may be recorded and replayed.
    tapeable = True
    #: Whether a training pass computes in bfloat16 where that is sound (``torch.autocast``); parameters,
    #: gradients and evaluation stay float32.
    autocast = False
    #: Whether batch normalisation is written out on a CPU too.
    plain_norms = False

    def __init__(self, stack: Stack, loss: Loss) -> None:
        # Calls put members' tensors into the template: each program has its own, so threads never meet.
        self.template = copy.deepcopy(stack.template)
        self.names = tuple(s.name for s in stack.slots)
        self.buffer_names = tuple(stack.buffers)
        self.mutated = stack.mutated
        self.padding = stack.params_MP.shape[1] - sum(s.size for s in stack.slots)
        self.loss = loss

    def step(
        self,
        params: Tensors,
        buffers: Tensors,
        x: Tensor,
        y: Tensor,
        smoothing_M: Tensor | None,
        *,
        own: Own,
        keys_M: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensors]:
        """Return gradients (M, P), losses (M,) and the new values of the mutated buffers.

        ``own`` says of x and of y whether each member has its own, (M, B, …), or all read (B, …).
        ``smoothing_M`` is None where nobody smooths. ``keys_M`` seed what a member draws from torch's
        generator (in a loop only). Gradients are padded with zeros as the stack is.
        """
        self.template.train()
        # In this thread: a GPU's own would take up time to wake, and tensors while others are freed here.
        with torch.enable_grad(), torch.autograd.set_multithreading_enabled(False):
            leaves = tuple(p.detach().requires_grad_() for p in params)
            # No cache: it would hand one step's casts to the next.
            device = leaves[0].device.type
            with (
                torch.autocast(device, torch.bfloat16, enabled=self.autocast, cache_enabled=False),
                self._norms(leaves),
            ):
                loss_M, changed = self._losses(leaves, buffers, x, y, smoothing_M, own, keys_M)
            # The sum: members' losses do not meet, so each gradient is that of its own member.
            gradients = torch.autograd.grad(loss_M.sum(), leaves, allow_unused=True, materialize_grads=True)
        m = len(params[0])
        padding = [gradients[0].new_zeros(m, self.padding)] if self.padding else []
        flat = torch.cat([*(g.reshape(m, -1) for g in gradients), *padding], dim=1)
        return flat, loss_M.detach(), tuple(c.detach() for c in changed)

    def exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights: Tensor, *, own: Own
    ) -> Tensor:
        """Return weighted sums (M, E) of the rows' losses in evaluation mode, without smoothing.

        ``weights`` is (M, E, B): E sets of rows, each row's weight in each (0: not in it).
        """
        self.template.eval()
        x_axis, y_axis = (0 if each else None for each in own)
        mapped = vmap(self._member_exam, in_dims=(0, 0, x_axis, y_axis, 0), randomness="different")
        with self._norms(params):
            result: Tensor = mapped(params, buffers, x, y, weights)
        return result

    def outputs(self, params: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        """Return outputs (M, B, C) in evaluation mode for inputs (B, …) that all members read."""
        self.template.eval()
        mapped = vmap(self._output, in_dims=(0, 0, None), randomness="different")
        with self._norms(params):
            result: Tensor = mapped(params, buffers, x)
        return result

    def _norms(self, params: Tensors) -> AbstractContextManager[object]:
        """Return the mode in which members on a GPU are normalised."""
        return PlainNorms() if self.plain_norms or params[0].is_cuda else nullcontext()

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
        x_axis, y_axis = (0 if each else None for each in own)
        axes = (0, 0, x_axis, y_axis, None if smoothing_M is None else 0)
        mapped = vmap(self._member_loss, in_dims=axes, randomness="different")
        result: tuple[Tensor, Tensors] = mapped(leaves, buffers, x, y, smoothing_M)
        return result

    def _member_loss(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, smoothing: Tensor | None
    ) -> tuple[Tensor, Tensors]:
        # Clones: a transform may not change its captured inputs in place.
        mine = {
            n: b.clone() if n in self.mutated else b for n, b in zip(self.buffer_names, buffers, strict=True)
        }
        state = {**dict(zip(self.names, params, strict=True)), **mine}
        output = functional_call(self.template, state, (x,))
        return self.loss(output, y, smoothing), tuple(mine[n] for n in self.mutated)

    def _member_exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights_EB: Tensor
    ) -> Tensor:
        row_loss_B = self._row_losses(self._output(params, buffers, x), y)
        # Rows that are not a member's count 0 even where their loss is not finite.
        return torch.where(weights_EB == 0, 0.0, weights_EB * row_loss_B).sum(-1)

    def _row_losses(self, output: Tensor, y: Tensor) -> Tensor:
        def of_row(output: Tensor, target: Tensor) -> Tensor:
            return self.loss(output.unsqueeze(0), target.unsqueeze(0), None)

        return vmap(of_row)(output, y)

    def _output(self, params: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        state: dict[str, Any] = {
            **dict(zip(self.names, params, strict=True)),
            **dict(zip(self.buffer_names, buffers, strict=True)),
        }
        output: Tensor = functional_call(self.template, state, (x,))
        return output


class LoopProgram(Program):
    """The same by a loop over members, for modules that ``vmap`` cannot follow."""

    tapeable = False
    #: Whether members draw from torch's generator, which is seeded for each.
    seeded = True
    #: Whether the loss of each row is taken by ``vmap``, until a loss shows that it cannot be.
    _rows_by_map = True

    def exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights: Tensor, *, own: Own
    ) -> Tensor:
        """Return weighted sums (M, E) of the rows' losses; see :meth:`Program.exam`."""
        self.template.eval()
        sums = []
        for i in range(len(weights)):
            x_B, y_B = (t[i] if each else t for t, each in zip((x, y), own, strict=True))
            sums.append(self._member_exam(_member(params, i), _member(buffers, i), x_B, y_B, weights[i]))
        return torch.stack(sums)

    def outputs(self, params: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        """Return outputs (M, B, C) in evaluation mode; see :meth:`Program.outputs`."""
        self.template.eval()
        m = len(params[0])
        return torch.stack([self._output(_member(params, i), _member(buffers, i), x) for i in range(m)])

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
        losses, changed = [], []
        with ExitStack() as guards:
            if self.seeded:
                # torch's generator belongs to the process: one loop at a time seeds and reads it.
                guards.enter_context(_GENERATOR)
                guards.enter_context(torch.random.fork_rng(devices=[]))
            for i in range(len(leaves[0])):
                smoothing = None if smoothing_M is None else smoothing_M[i]
                if self.seeded and keys_M is not None:
                    torch.manual_seed(int(keys_M[i]))
                x_B, y_B = (t[i] if each else t for t, each in zip((x, y), own, strict=True))
                loss, mine = self._member_loss(_member(leaves, i), _member(buffers, i), x_B, y_B, smoothing)
                losses.append(loss)
                changed.append(mine)
        return torch.stack(losses), tuple(torch.stack(c) for c in zip(*changed, strict=True))

    def _row_losses(self, output: Tensor, y: Tensor) -> Tensor:
        if self._rows_by_map:
            try:
                return super()._row_losses(output, y)
            except torch.OutOfMemoryError:
                raise
            except Exception:  # whatever a loss of one's own does that a transform cannot follow
                self._rows_by_map = False
        return torch.stack([self.loss(output[k : k + 1], y[k : k + 1], None) for k in range(len(y))])


def _member(tensors: Tensors, i: int) -> Tensors:
    return tuple(t[i] for t in tensors)
