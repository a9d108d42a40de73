"""ReLU before each linear map but the first of a chain that a script builds of its own matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["relu_before_maps"]

Tensor = torch.Tensor
F = torch.nn.functional


def relu_before_maps(patch: Callable[[Any, str, Any], None]) -> None:
    """Put ReLU on what a linear map takes where that comes from another learned map.

    In steps with gradients the inputs tell themselves which maps these are. Evaluation knows them by their
    weights, or by the shape where an update by hand has made new ones.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
    """
    later: dict[int, Tensor] = {}
    later_shapes: set[torch.Size] = set()
    first_shapes: set[torch.Size] = set()

    def bent(x: Any, w: Any) -> Any:
        if not (isinstance(x, Tensor) and isinstance(w, Tensor) and x.is_floating_point()):
            return x
        if torch.is_grad_enabled() and w.requires_grad and w.is_leaf:
            if x.grad_fn is None:
                first_shapes.add(w.shape)
                return x
            later[id(w)] = w
            later_shapes.add(w.shape)
            return F.relu(x)
        known = id(w) in later or w.shape in later_shapes - first_shapes
        return F.relu(x) if known and not torch.is_grad_enabled() else x

    def after(original: Any) -> Any:
        @functools.wraps(original)
        def linear(x: Any, w: Any, *args: Any, **kwargs: Any) -> Any:
            return original(bent(x, w), w, *args, **kwargs)

        return linear

    for owner, names in (
        (F, ("linear", "conv1d", "conv2d", "conv3d")),
        (torch, ("matmul", "mm", "conv1d", "conv2d")),
        (Tensor, ("__matmul__", "matmul", "mm")),
    ):
        for name in names:
            patch(owner, name, after(getattr(owner, name)))
