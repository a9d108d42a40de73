"""Units that never fire or always sit at an end, seen in one forward pass. Knows torch operations, no model."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["UnitScan"]

Tensor = torch.Tensor


class UnitScan(TorchFunctionMode):
    """Share of units that never fire (ReLU) or always sit at an end (sigmoid, tanh), per operation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").rstrip("_")
        if name in ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu") and isinstance(
            out, Tensor
        ):
            with torch.no_grad(), torch._C.DisableTorchFunction():
                self._look(name, out)
        elif name in ("linear", "conv2d", "conv1d") and isinstance(out, Tensor):
            with torch._C.DisableTorchFunction():
                x = out.detach().float()
                apart = float(x.std(0, correction=0).max()) if len(x) else 0.0
                largest = float(x.abs().max())
                self.found.append({"kind": "linear", "std": float(x.std()), "max": largest, "apart": apart})
        return out

    def _look(self, name: str, out: Tensor) -> None:
        if out.dim() < 2:
            return
        channels = out.shape[1] if out.dim() in (2, 4) else out.shape[-1]
        x = out.transpose(1, -1) if out.dim() == 4 else out
        x = x.reshape(-1, channels).float()
        one: dict[str, Any] = {"kind": name, "units": channels, "std": float(x.std()),
                               "spread": float(x.std(0).mean())}  # fmt: skip
        if name == "relu":
            one["dead"] = float((x <= 0).all(0).float().mean())
            one["zero"] = float((x == 0).float().mean())
        if name == "sigmoid":
            one["saturated"] = float((((x - 0.5).abs() > 0.495).float().mean(0) > 0.9).float().mean())
        if name == "tanh":
            one["saturated"] = float(((x.abs() > 0.99).float().mean(0) > 0.9).float().mean())
        self.found.append(one)
