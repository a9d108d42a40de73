"""Where a finished model computes for a while: thousands of pictures through a wide net want the GPU.

Knows no scores and no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from soundfit.bank.precision import matmul_precision

__all__ = ["device_of", "on_device"]


def device_of(module: nn.Module) -> torch.device:
    """Return where a net computes; the CPU where it has no tensors."""
    tensor = next(module.parameters(), next(module.buffers(), None))
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def on_device(predictor: Any, device: torch.device) -> Iterator[None]:
    """Let a model of pictures or sequences compute on ``device`` while the block runs, in full float32.

    Models of tables stay on the CPU: their nets are small, and their encoders compute there.
    """
    if device.type == "cpu" or predictor.kind == "table":
        yield
        return
    backbone = getattr(predictor, "backbone", None)
    nets = [net for net in (*predictor.modules, backbone) if net is not None]
    try:
        for net in nets:
            net.to(device)
        with matmul_precision("highest"):
            yield
    finally:
        for net in nets:
            net.to("cpu")
