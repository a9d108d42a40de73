"""Glance: what the loss of a full step tells at one look, before its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.graph import leaf_gains, logged_activation, loss_structure, output_activation
from soundfit.doctor.seen import LossCall
from soundfit.doctor.series import Recording

__all__ = ["glance"]


def glance(
    loss: torch.Tensor,
    calls: Sequence[LossCall],
    prediction: torch.Tensor | None,
    facts: dict[str, Any],
    recording: Recording,
    step: int,
) -> None:
    """Add to ``facts`` how the loss is built and what makes its prediction; record the outputs' spread.

    Args:
        loss: a scalar, with its graph.
        calls: the loss functions that were called since the last step.
        prediction: what the loss judges; None where that is not known.
        facts: what is known of hand-written parts.
        recording: takes the prediction's standard deviation and mean.
        step: which is about to be taken.
    """
    shape = loss_structure(loss, frozenset(c.output.grad_fn for c in calls), None if calls else prediction)
    if "structure" not in facts:
        facts["structure"] = shape
    else:
        for name in ("broadcast", "signed"):
            facts["structure"][name] = facts["structure"][name] or shape[name]
    if step == 1 and loss.grad_fn is not None:
        facts.setdefault("gains", leaf_gains(loss))
    if shape["penalised"] and len(calls) == 1 and float(loss) > 0:
        facts["penalty_share"] = 1 - float(calls[0].output.detach().mean()) / float(loss)
    if prediction is None:
        return
    facts.setdefault("activation", output_activation(prediction) if prediction.grad_fn else None)
    facts.setdefault("logged", logged_activation(prediction) if prediction.grad_fn else None)
    if prediction.numel() and prediction.is_floating_point():
        std, mean = torch.std_mean(prediction.detach().float(), correction=0)
        recording.put("output_std", step, float(std))
        recording.put("output_mean", step, float(mean))
