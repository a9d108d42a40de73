"""Optimisers over a flat (M, P) matrix, with a learning rate, decay and step count for each member.

AdamW and SGD with momentum as ``torch.optim`` computes them (tested against it), in place and with all
hyper-parameters as tensors. Know nothing of losses or rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundfit.bank.fused import availability, fused_adamw_

__all__ = ["OPTIMIZERS", "OptimizerState", "Scales", "apply_l1_", "clip_gradients_", "optimizer_step_"]

OPTIMIZERS = ("adamw", "sgd")


@dataclass
class Scales:
    """Factors (1, P) on learning rate and weight decay per parameter; None means 1 everywhere."""

    learning_rate_1P: Tensor | None = None
    weight_decay_1P: Tensor | None = None
    _decay: tuple[Tensor, Tensor] | None = None

    def minus_decay(self, weight_decay_M1: Tensor) -> Tensor:
        """Return -decay (M, 1) or (M, P), kept for as long as the members' decay is the same tensor."""
        if self._decay is None or self._decay[0] is not weight_decay_M1:
            factor = -1.0 if self.weight_decay_1P is None else -self.weight_decay_1P
            self._decay = (weight_decay_M1, weight_decay_M1 * factor)
        return self._decay[1]


@dataclass
class OptimizerState:
    """Moments (M, P), the number of steps of each member (M,) and of the bank.

    ``uneven``: some member has taken fewer steps than the bank, for it was rolled back.
    """

    kind: str
    first_MP: Tensor
    second_MP: Tensor | None
    steps_M: Tensor
    step: Tensor
    scratch_MP: Tensor
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    uneven: bool = False

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
        first, scratch = torch.zeros_like(params_MP), torch.empty_like(params_MP)
        steps, step = (torch.zeros(shape, device=params_MP.device) for shape in ((m,), ()))
        return cls(kind, first, second, steps, step, scratch, beta1, beta2)

    def select(self, rows: Tensor) -> OptimizerState:
        """Return the state of the members at ``rows`` (a copy)."""
        second = None if self.second_MP is None else self.second_MP.index_select(0, rows)
        first = self.first_MP.index_select(0, rows)
        return OptimizerState(
            self.kind,
            first,
            second,
            self.steps_M.index_select(0, rows),
            self.step,
            torch.empty_like(first),
            self.beta1,
            self.beta2,
            self.epsilon,
            self.uneven,
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
    """Update ``params_MP`` and ``state`` in place by one step of each member's own rate and decay.

    AdamW is Loshchilov & Hutter 2019, with decoupled decay; ``SGDW`` of the same paper for SGD.
    """
    state.steps_M.add_(1)
    state.step.add_(1)
    scratch_MP = state.scratch_MP
    if state.kind == "adamw":
        if availability.on(params_MP.device) and _stepped_at_once(
            state, params_MP, grads_MP, learning_rate_M1, weight_decay_M1, scales
        ):
            return
        if state.uneven:
            learning_rate_M1 = learning_rate_M1 * _late_start(state)
        # scratch = -(decay · w + update): torch's fused kernel subtracts the update in one pass.
        torch.mul(params_MP, scales.minus_decay(weight_decay_M1), out=scratch_MP)
        _fused_adam_(state, scratch_MP, grads_MP)
        if scales.learning_rate_1P is not None:
            scratch_MP.mul_(scales.learning_rate_1P)
        params_MP.addcmul_(scratch_MP, learning_rate_M1)
        return
    state.first_MP.mul_(momentum_M1).add_(grads_MP)
    torch.addcmul(state.first_MP, params_MP, scales.minus_decay(weight_decay_M1), value=-1.0, out=scratch_MP)
    if scales.learning_rate_1P is not None:
        scratch_MP.mul_(scales.learning_rate_1P)
    params_MP.addcmul_(scratch_MP, learning_rate_M1, value=-1.0)


def _stepped_at_once(
    state: OptimizerState,
    params_MP: Tensor,
    grads_MP: Tensor,
    learning_rate_M1: Tensor,
    weight_decay_M1: Tensor,
    scales: Scales,
) -> bool:
    """Update by the fused kernel; False, with nothing changed, where it cannot be built."""
    assert state.second_MP is not None
    try:
        fused_adamw_(
            params_MP,
            grads_MP,
            state.first_MP,
            state.second_MP,
            state.steps_M,
            learning_rate_M1.view(-1),
            weight_decay_M1.view(-1),
            rate_scale_P=scales.learning_rate_1P,
            decay_scale_P=scales.weight_decay_1P,
            beta1=state.beta1,
            beta2=state.beta2,
            epsilon=state.epsilon,
        )
    except Exception as error:  # a compiler's error may be of any class
        availability.give_up(error)
        return False
    return True


def _fused_adam_(state: OptimizerState, scratch_MP: Tensor, grads_MP: Tensor) -> None:
    """Advance the moments and subtract the update, before any learning rate, from ``scratch_MP``."""
    assert state.second_MP is not None
    torch._fused_adamw_(
        [scratch_MP],
        [grads_MP],
        [state.first_MP],
        [state.second_MP],
        [],
        [state.step],
        lr=1.0,
        beta1=state.beta1,
        beta2=state.beta2,
        weight_decay=0.0,
        eps=state.epsilon,
        amsgrad=False,
        maximize=False,
    )


def _late_start(state: OptimizerState) -> Tensor:
    """Return the factor (M, 1) from the bias corrections of the bank's steps to those of each member's.

    Exactly 1 for members that have taken every step.
    """

    def correction(steps: Tensor) -> Tensor:
        return (1.0 - state.beta2**steps).sqrt() / (1.0 - state.beta1**steps)

    ratio_M = correction(state.steps_M) / correction(state.step)
    return ratio_M.unsqueeze(1)
