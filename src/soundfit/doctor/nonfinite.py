"""What was finite and what was not in the step whose loss became non-finite. Knows no hook and no rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from soundfit.doctor.graph import bad_operation
from soundfit.doctor.seen import LossCall, RootRecord, first_tensor, tensors

__all__ = ["nonfinite_detail"]


def nonfinite_detail(
    loss: torch.Tensor,
    roots: Iterable[RootRecord],
    window: Sequence[tuple[RootRecord, Any, Any, Any, bool]],
    calls: Sequence[LossCall],
) -> dict[str, Any]:
    """Return which of weights, inputs, targets and outputs were finite, and the first bad operation."""
    with torch.no_grad():
        weights = all(bool(torch.isfinite(p).all()) for root in roots for p in root.module.parameters())
        inputs, outputs, target, big, half = True, True, True, 0.0, False
        for _, args, kwargs, out, _ in window[-2:]:
            for x in tensors((args, kwargs)):
                if x.is_floating_point():
                    inputs = inputs and bool(torch.isfinite(x).all())
            half = half or any(y.dtype == torch.float16 for y in tensors(out))
            y = first_tensor(out)
            if y is not None:
                outputs = outputs and bool(torch.isfinite(y).all())
                big = max(big, float(torch.nan_to_num(y.float()).abs().max()) if y.numel() else 0.0)
        if calls:
            wanted = calls[-1].target
            target = not wanted.is_floating_point() or bool(torch.isfinite(wanted).all())
    return {
        "what": "loss", "weights_finite": weights, "inputs_finite": inputs, "targets_finite": target,
        "outputs_finite": outputs, "largest_output": big, "half": half,
        "operation": bad_operation(loss) if weights and inputs else None,
    }  # fmt: skip
