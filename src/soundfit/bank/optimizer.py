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


@dataclass
class Scales:
    """Factors (1, P) on learning rate and weight decay per parameter; None means 1 everywhere."""

    learning_rate_1P: Tensor | None = None
    weight_decay_1P: Tensor | None = None
    _decay: tuple[Tensor, Tensor] | None = None

    def decay_MP(self, weight_decay_M1: Tensor) -> Tensor:
        """Return decay × both factors (M, P), kept for as long as the members' decay is the same tensor."""
        assert self.learning_rate_1P is not None
        assert self.weight_decay_1P is not None
        if self._decay is None or self._decay[0] is not weight_decay_M1:
            product = weight_decay_M1 * (self.learning_rate_1P * self.weight_decay_1P)
            self._decay = (weight_decay_M1, product)
        return self._decay[1]


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
    if state.kind == "adamw":
        update_MP = _adamw_update_(state, grads_MP)
    else:
        state.first_MP.mul_(momentum_M1).add_(grads_MP)
        update_MP = state.first_MP
    if scales.learning_rate_1P is None:
        params_MP.mul_(1.0 - learning_rate_M1 * weight_decay_M1)
        params_MP.addcmul_(update_MP, learning_rate_M1, value=-1.0)
        return
    update_MP = torch.mul(update_MP, scales.learning_rate_1P, out=state.scratch_MP)
    if scales.weight_decay_1P is not None:
        update_MP.addcmul_(params_MP, scales.decay_MP(weight_decay_M1))
    params_MP.addcmul_(update_MP, learning_rate_M1, value=-1.0)


def _adamw_update_(state: OptimizerState, grads: Tensor) -> Tensor:
    """Advance AdamW's moments and return the update before learning rate and decay.

    AdamW is Loshchilov & Hutter 2019, with decoupled decay; ``SGDW`` of the same paper for SGD.
    """
    assert state.second_MP is not None
    steps_M1 = state.steps_M.unsqueeze(1)
    correction1_M1 = 1.0 - state.beta1**steps_M1
    root2_M1 = (1.0 - state.beta2**steps_M1).sqrt_()
    state.first_MP.lerp_(grads, 1.0 - state.beta1)
    state.second_MP.mul_(state.beta2).addcmul_(grads, grads, value=1.0 - state.beta2)
    # m/c1 / (sqrt(v)/r2 + e) = m / (sqrt(v)·c1/r2 + e·c1): both corrections in one pass over (M, P).
    scratch = torch.sqrt(state.second_MP, out=state.scratch_MP)
    torch.addcmul(correction1_M1 * state.epsilon, scratch, correction1_M1 / root2_M1, out=scratch)
    return torch.div(state.first_MP, scratch, out=scratch)
