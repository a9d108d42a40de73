"""Glance: what the loss of a full step tells at one look, before its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.actions import sign_of_actions
from soundfit.doctor.graph import (
    alike_leaves,
    infinite_slope,
    leaf_gains,
    logged_activation,
    loss_structure,
    output_activation,
    shared_activation,
    softmax_axis,
)
from soundfit.doctor.kernels import unreached
from soundfit.doctor.likelihood import half_likelihood, is_likelihood
from soundfit.doctor.pairs import listen_to_pairs
from soundfit.doctor.places import placed
from soundfit.doctor.pull import is_margin, listen
from soundfit.doctor.reach import reach_of
from soundfit.doctor.reversal import listen_for_reversal
from soundfit.doctor.seen import LossCall, first_tensor
from soundfit.doctor.series import Recording
from soundfit.doctor.shifts import shift_of
from soundfit.doctor.stops import step_of
from soundfit.doctor.straight import straight_maps
from soundfit.records import Place

__all__ = ["described", "glance", "places_ahead"]


def glance(
    loss: torch.Tensor,
    calls: Sequence[LossCall],
    prediction: torch.Tensor | None,
    facts: dict[str, Any],
    recording: Recording,
    step: int,
    *,
    window: Sequence[tuple[Any, ...]] = (),
    target: torch.Tensor | None = None,
) -> None:
    """Add to ``facts`` how the loss is built and what makes its prediction; record the outputs' spread.

    Args:
        loss: a scalar, with its graph.
        calls: the loss functions that were called since the last step.
        prediction: what the loss judges; None where that is not known.
        facts: what is known of hand-written parts.
        recording: takes the prediction's standard deviation and mean.
        step: which is about to be taken.
        window: calls of models since the last step; where there is none, no module made what the loss judges.
        target: what the prediction met.
    """
    shape = loss_structure(loss, frozenset(c.output.grad_fn for c in calls), None if calls else prediction)
    if "structure" not in facts:
        shape["likelihood"] = shape["likelihood"] or (not calls and is_likelihood(loss))
        facts["structure"] = shape
    else:
        for name in ("broadcast", "signed"):
            facts["structure"][name] = facts["structure"][name] or shape[name]
    if step == 1 and loss.grad_fn is not None and "gains" not in facts:
        facts["gains"], facts["alike"] = leaf_gains(loss), alike_leaves(loss)
    if "stops" not in facts and (step_back := step_of(loss)) is not None:
        facts["stops"] = step_back
    if (share := unreached(loss)) is not None:
        facts["unreached"] = share
    if "actions" not in facts and (actions := sign_of_actions(loss)) is not None:
        facts["actions"] = actions[0]
    if loss.grad_fn is not None and "steep" not in facts and (steep := infinite_slope(loss)) is not None:
        facts["steep"] = steep
    if loss.grad_fn is not None and not facts.get("reversed"):
        listen_for_reversal(loss, facts)
    if not calls and loss.grad_fn is not None:
        facts["half"] = half_likelihood(loss) or facts.get("half")
    if not window and "reach" not in facts:
        facts["reach"] = reach_of(loss, calls[-1] if calls else None)
        judged, given = (calls[-1].prediction, calls[-1].target) if calls else (prediction, target)
        facts["straight"] = 0 if judged is None else straight_maps(judged, given)
    if calls and window and not calls[-1].target.is_floating_point():
        facts.setdefault("shifts", []).append(places_ahead(window[-1], calls[-1]))
    means = {float(c.output.detach()) for c in calls if c.output.numel() == 1}  # one call may be told twice
    if len(means) == 1 and (own := means.pop()) != 0:
        facts["factor"] = float(loss.detach()) / own
    if shape["penalised"] and len(calls) == 1 and float(loss.detach()) > 0:
        facts["penalty_share"] = 1 - float(calls[0].output.detach().mean()) / float(loss.detach())
    if prediction is None:
        return
    if not calls and target is not None and prediction.grad_fn is not None:
        if "margin" not in facts:
            facts["margin"] = target.unique()[:3].tolist() if is_margin(loss, prediction) else []
        listen(prediction, target, facts.setdefault("pull", []))
        listen_to_pairs(window, target, facts.setdefault("pairs", []))
    looks = ("activation", output_activation), ("logged", logged_activation), ("shared", shared_activation)
    for name, look in looks:
        if name not in facts:
            facts[name] = look(prediction) if prediction.grad_fn else None
    if prediction.numel() and prediction.is_floating_point():
        std, mean = torch.std_mean(prediction.detach().float(), correction=0)
        recording.put("output_std", step, float(std))
        recording.put("output_mean", step, float(mean))


def places_ahead(model_call: tuple[Any, ...], judged: LossCall) -> int | None:
    """Return how many places targets lie ahead of the tokens at which outputs were made; None if unknown."""
    given, out = first_tensor(model_call[1:3]), first_tensor(model_call[3])
    ahead = None if given is None else shift_of(given, judged.target)
    if given is None or out is None or ahead is None or ahead < 2:
        return ahead
    # A script may leave the outputs at the first places out, and the targets that belong to them.
    found = placed(judged.kind, out, judged.prediction, judged.target, len(given))
    return ahead if found is None else ahead - found[0].first


def described(call: LossCall, place: Place) -> dict[str, Any]:
    """Return what the first call of a loss function tells, and no calls yet."""
    prediction, target = call.prediction, call.target
    return {
        "place": place,
        "activation": output_activation(prediction),
        "axis": softmax_axis(prediction),
        "prediction_max": float(prediction.detach().max()) if prediction.numel() else 0.0,
        "prediction_shape": tuple(prediction.shape),
        "target_shape": tuple(target.shape),
        "target_dtype": str(target.dtype).removeprefix("torch."),
        "reduction": call.reduction,
        "kwargs": {k: v for k, v in call.kwargs.items() if isinstance(v, int | float | str | bool)},
        "weights": _listed(call.kwargs.get("weight")),
        "pos_weights": _listed(call.kwargs.get("pos_weight")),
        "weighted": call.kwargs.get("weight") is not None or call.kwargs.get("pos_weight") is not None,
        "calls": 0,
        "target_from_model": target.requires_grad,
        "many_hot": _many_hot(prediction, target),
    }


def _many_hot(prediction: torch.Tensor, target: torch.Tensor) -> float:
    """Return the share of rows with more ones than one or none, where targets are zeros and ones by class."""
    if target.shape != prediction.shape or target.dim() != 2 or not 2 < target.shape[1] <= 256:
        return 0.0
    if not target.is_floating_point() or not bool(((target == 0) | (target == 1)).all()):
        return 0.0
    return float((target.sum(1) != 1).float().mean())


def _listed(weights: Any) -> list[float] | None:
    """Return a weight for each class as numbers, None where there is none or too many."""
    if not isinstance(weights, torch.Tensor) or weights.dim() > 1 or not 0 < weights.numel() <= 256:
        return None
    return [float(w) for w in weights.detach().reshape(-1)]
