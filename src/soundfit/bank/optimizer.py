"""Optimisers over a flat (M, P) matrix, with a learning rate, decay and step count for each member.

AdamW and SGD with momentum as ``torch.optim`` computes them (tested against it), in place and with all
hyper-parameters as tensors. Know nothing of losses or rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OPTIMIZERS", "OptimizerState", "Scales", "apply_l1_", "clip_gradients_", "optimizer_step_"]

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True)
class Scales:
    """Factors (1, P) on learning rate and weight decay per parameter; None means 1 everywhere."""

    learning_rate_1P: Tensor | None = None
    weight_decay_1P: Tensor | None = None


@dataclass
class OptimizerState:
    """Moments (M, P) and the number of steps of each member (M,)."""

    kind: str
    first_MP: Tensor
    second_MP: Tensor | None
    steps_M: Tensor
    scratch_MP: Tensor
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @classmethod
    def zeros(
        cls, kind: str, params_MP: Tensor, *, beta1: float = 0.9, beta2: float = 0.999
    ) -> OptimizerState:
        """Return the state before the first step.

        Raises:
            ValueError: no optimiser of that kind.
        """
        if kind not in OPTIMIZERS:
            raise ValueError(f"an optimizer is one of {OPTIMIZERS}, however: {kind=}")
        m = params_MP.shape[0]
        second = torch.zeros_like(params_MP) if kind == "adamw" else None
        steps = torch.zeros(m, device=params_MP.device)
        return cls(
            kind, torch.zeros_like(params_MP), second, steps, torch.empty_like(params_MP), beta1, beta2
        )

    def select(self, rows: Tensor) -> OptimizerState:
        """Return the state of the members at ``rows`` (a copy)."""
        second = None if self.second_MP is None else self.second_MP.index_select(0, rows)
        first = self.first_MP.index_select(0, rows)
        return OptimizerState(
            self.kind,
            first,
            second,
            self.steps_M.index_select(0, rows),
            torch.empty_like(first),
            self.beta1,
            self.beta2,
            self.epsilon,
        )


def clip_gradients_(grads_MP: Tensor, clip_M1: Tensor) -> None:
    """Scale each member's gradient to at most its norm limit, as ``clip_grad_norm_`` does."""
    norm_M1 = torch.linalg.vector_norm(grads_MP, dim=1, keepdim=True)
    grads_MP.mul_(torch.clamp(clip_M1 / (norm_M1 + 1e-6), max=1.0))


def apply_l1_(grads_MP: Tensor, params_MP: Tensor, l1_M1: Tensor) -> None:
    """Add the subgradient of ``l1 · |w|₁`` to each member's gradient."""
    grads_MP.addcmul_(params_MP.sign(), l1_M1)


def optimizer_step_(
    state: OptimizerState,
    params_MP: Tensor,
    grads_MP: Tensor,
    *,
    learning_rate_M1: Tensor,
    weight_decay_M1: Tensor,
    momentum_M1: Tensor,
    scales: Scales,
) -> None:
    """Update ``params_MP`` and ``state`` in place by one step of each member's own rate and decay."""
    state.steps_M.add_(1)
    rate = learning_rate_M1
    if scales.learning_rate_1P is not None:
        rate = learning_rate_M1 * scales.learning_rate_1P
    decay = rate * weight_decay_M1
    if scales.weight_decay_1P is not None:
        decay = decay * scales.weight_decay_1P
    if state.kind == "adamw":
        _adamw_(state, params_MP, grads_MP, rate, decay)
    else:
        _sgd_(state, params_MP, grads_MP, rate, decay, momentum_M1)


def _adamw_(state: OptimizerState, params: Tensor, grads: Tensor, rate: Tensor, decay: Tensor) -> None:
    """AdamW (Loshchilov & Hutter 2019) with decoupled decay."""
    assert state.second_MP is not None
    steps_M1 = state.steps_M.unsqueeze(1)
    correction1_M1 = 1.0 - state.beta1**steps_M1
    correction2_M1 = 1.0 - state.beta2**steps_M1
    state.first_MP.lerp_(grads, 1.0 - state.beta1)
    state.second_MP.mul_(state.beta2).addcmul_(grads, grads, value=1.0 - state.beta2)
    # m/c1 / (sqrt(v/c2) + e) = sqrt(c2)/c1 · m / (sqrt(v) + e·sqrt(c2)): no pass over (M, P) for c1, c2.
    root_M1 = correction2_M1.sqrt()
    scratch = torch.sqrt(state.second_MP, out=state.scratch_MP)
    scratch.add_(root_M1 * state.epsilon)
    torch.div(state.first_MP, scratch, out=scratch)
    params.mul_(1.0 - decay)
    params.addcmul_(scratch, rate * (root_M1 / correction1_M1), value=-1.0)


def _sgd_(
    state: OptimizerState, params: Tensor, grads: Tensor, rate: Tensor, decay: Tensor, momentum: Tensor
) -> None:
    """SGD with momentum (as ``torch.optim.SGD``) and decoupled decay (SGDW, Loshchilov & Hutter 2019)."""
    state.first_MP.mul_(momentum).add_(grads)
    params.mul_(1.0 - decay)
    params.addcmul_(state.first_MP, rate.expand_as(params), value=-1.0)
