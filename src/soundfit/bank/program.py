"""Program: training pass and evaluation of M members of one architecture, traced into tensor operations.

``torch.func`` turns any module into a function of stacked parameters; running that function eagerly
costs a dispatcher tower at each operation (0.6 to 1 ms a step). So it is traced once with ``make_fx``
into a flat graph of ATen operations and that graph is run: the same arithmetic without the tower.
Knows no optimiser and no epochs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from soundfit.bank.loss import Loss
from soundfit.bank.rewrite import simplify
from soundfit.bank.stack import Stack

__all__ = ["Program"]

Tensors = tuple[Tensor, ...]
Own = tuple[bool, bool]

# Tracing patches torch for the whole process: one thread at a time.
_TRACING = threading.RLock()


class Program:
    """Traced training pass and evaluation of a stack; retraced when a shape is new.

    Args:
        stack: the members; only its template, slots and buffer names are kept.
        loss: the loss of one member.
        trace: False runs ``vmap`` as it is (the slow twin).
    """

    def __init__(self, stack: Stack, loss: Loss, *, trace: bool = True) -> None:
        self.template = stack.template
        self.names = tuple(s.name for s in stack.slots)
        self.buffer_names = tuple(stack.buffers)
        self.mutated = stack.mutated
        self.loss = loss
        self.trace = trace
        self._graphs: dict[Any, Callable[..., Any]] = {}

    def step(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, smoothing_M: Tensor, *, own: Own
    ) -> tuple[Tensor, Tensor, Tensors]:
        """Return gradients (M, P), losses (M,) and the new values of the mutated buffers.

        ``own`` says of x and of y whether each member has its own, (M, B, …), or all read (B, …).
        """
        return self._run("step", own, params, buffers, x, y, smoothing_M)

    def exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights: Tensor, *, own: Own
    ) -> Tensor:
        """Return weighted sums (M, E) of the rows' losses in evaluation mode, without smoothing.

        ``weights`` is (M, E, B): E sets of rows, each row's weight in each (0: not in it).
        """
        return self._run("exam", own, params, buffers, x, y, weights)

    def outputs(self, params: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        """Return outputs (M, B, C) in evaluation mode for inputs (B, …) that all members read."""
        return self._run("evaluate", (False, False), params, buffers, x)

    def _run(self, kind: str, own: Own, *args: Any) -> Any:
        # The first parameter and the inputs fix all other shapes of a template.
        key = (kind, own, args[0][0].shape, *((a.shape, a.dtype) for a in args[2:]))
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._graphs[key] = self._compile(kind, own, args)
        return graph(*args)

    def _compile(self, kind: str, own: Own, args: tuple[Any, ...]) -> Callable[..., Any]:
        with _TRACING:
            return self._compile_alone(kind, own, args)

    def _compile_alone(self, kind: str, own: Own, args: tuple[Any, ...]) -> Callable[..., Any]:
        # torch.func reads the mode from the module: one template, set before each trace.
        self.template.train(kind == "step")
        function = {"step": self._mapped_step, "exam": self._mapped_exam, "evaluate": self._mapped_outputs}[
            kind
        ](own)
        if not self.trace:
            return self._eager(function, kind)
        with torch.no_grad():
            # The bound method, not the module: while another thread traces, calling modules is patched.
            return simplify(make_fx(function)(*args)).forward

    def _mapped_step(self, own: Own) -> Callable[..., Any]:
        x_axis, y_axis = (0 if each else None for each in own)
        mapped = vmap(self._member_step, in_dims=(0, 0, x_axis, y_axis, 0), randomness="different")

        def step(params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, smoothing_M: Tensor) -> Any:
            return mapped(params, buffers, x, y, smoothing_M)

        return step

    def _mapped_exam(self, own: Own) -> Callable[..., Any]:
        x_axis, y_axis = (0 if each else None for each in own)
        mapped = vmap(self._member_exam, in_dims=(0, 0, x_axis, y_axis, 0), randomness="different")

        def exam(params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights: Tensor) -> Any:
            return mapped(params, buffers, x, y, weights)

        return exam

    def _mapped_outputs(self, own: Own) -> Callable[..., Any]:
        mapped = vmap(self._member_outputs, in_dims=(0, 0, None), randomness="different")

        def outputs(params: Tensors, buffers: Tensors, x: Tensor) -> Any:
            return mapped(params, buffers, x)

        return outputs

    def _eager(self, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with _TRACING, torch.no_grad():
                self.template.train(kind == "step")
                return function(*args)

        return run

    def _member_step(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, smoothing: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        def loss_of(params: Tensors) -> tuple[Tensor, Tensors]:
            # Clones: a transform may not change its captured inputs in place.
            own = {
                n: b.clone() if n in self.mutated else b
                for n, b in zip(self.buffer_names, buffers, strict=True)
            }
            state = {**dict(zip(self.names, params, strict=True)), **own}
            output = functional_call(self.template, state, (x,))
            return self.loss(output, y, smoothing), tuple(own[n] for n in self.mutated)

        gradients, (loss, changed) = grad_and_value(loss_of, has_aux=True)(params)
        return torch.cat([g.reshape(-1) for g in gradients]), loss, changed

    def _member_exam(
        self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor, weights_EB: Tensor
    ) -> Tensor:
        output = self._member_outputs(params, buffers, x)
        zero = torch.zeros((), device=x.device)

        def of_row(output: Tensor, target: Tensor) -> Tensor:
            return self.loss(output.unsqueeze(0), target.unsqueeze(0), zero)

        return weights_EB @ vmap(of_row)(output, y)

    def _member_outputs(self, params: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        state = {
            **dict(zip(self.names, params, strict=True)),
            **dict(zip(self.buffer_names, buffers, strict=True)),
        }
        return functional_call(self.template, state, (x,))
