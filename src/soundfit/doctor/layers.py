"""What the layers of a full step put out: spread, zeros and saturation by layer. Knows no hook or rule."""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.seen import first_tensor
from soundfit.doctor.series import Recording

__all__ = ["Layers"]


class Layers:
    """The layers that are running now, their names, and the statistics of what they put out."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.stack: list[torch.nn.Module] = []
        self.names: dict[int, str] = {}

    def know(self, module: torch.nn.Module) -> None:
        """Take note of the names of a model's layers."""
        for name, child in module.named_modules():
            self.names.setdefault(id(child), name or type(child).__name__)

    def is_foreign(self, module: torch.nn.Module) -> bool:
        """Return whether a running model calls a module with parameters that is no part of it."""
        if id(module) in self.names or not any(id(outer) in self.names for outer in self.stack[:-1]):
            return False
        return next(module.parameters(), None) is not None

    def _layer(self, suffix: str, inside: bool) -> str:
        owner = self.stack[-1] if inside and self.stack else None
        if owner is None:
            return "script"
        base = self.names.get(id(owner), type(owner).__name__)
        return f"{base}:{suffix}" if next(owner.children(), None) is not None else base

    def activation(self, kind: str, out: Any, step: int, *, inside: bool) -> None:
        """Record an activation's output."""
        x = first_tensor(out)
        if x is None or x.numel() == 0 or not x.is_floating_point():
            return
        layer = self._layer(kind, inside)
        x = x.detach()
        self._spread(layer, x, step)
        put = self.recording.put_layer
        if kind == "relu":
            put(layer, "zero_fraction", step, float((x == 0).float().mean()))
        elif kind == "tanh":
            put(layer, "saturated_fraction", step, float((x.abs() > 0.98).float().mean()))
        elif kind == "sigmoid":
            put(layer, "saturated_fraction", step, float(((x - 0.5).abs() > 0.49).float().mean()))

    def linear(self, out: Any, step: int) -> None:
        """Record a linear map's output."""
        x = first_tensor(out)
        if x is not None and x.numel() and x.is_floating_point() and x.requires_grad:
            self._spread(self._layer("linear", True), x.detach(), step)

    def _spread(self, layer: str, x: torch.Tensor, step: int) -> None:
        std, mean = torch.std_mean(x.float(), correction=0)
        self.recording.put_layer(layer, "activation_std", step, float(std))
        self.recording.put_layer(layer, "activation_mean", step, float(mean))
