"""Straight: whether what a loss judges is a chain of linear maps alone, for trainings without modules.

Reads ``grad_fn`` nodes and their saved tensors; runs nothing and changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import activation_node, kind_of, parents_of, saved, walk

__all__ = ["straight_maps"]

_PRODUCTS = ("Addmm", "Mm", "Mv", "Addmv", "Bmm", "Baddbmm", "Convolution", "Linear")
_LINEAR = (
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "T", "Transpose", "Permute", "Select",
    "Slice", "ToCopy", "Clone", "Alias", "Expand", "AsStrided", "Mean", "Sum", "Add", "Sub", "Neg", "Mul",
    "Div", "Cat", "Stack", "AvgPool1D", "AvgPool2D", "AdaptiveAvgPool2D", "AccumulateGrad",
)  # fmt: skip


def straight_maps(prediction: torch.Tensor, target: torch.Tensor | None = None) -> int:
    """Return how many matrix products follow each other with nothing curved between, 0 where something is.

    An activation on the output itself counts as the loss's. Nothing is said of inputs that have a single one
    in each row (words: the product looks a vector up), nor of a target that is the input (principal
    components).
    """
    start = prediction.grad_fn
    top = activation_node(start)
    if top is not None:
        start = next(iter(parents_of(top[1])), None)
    if start is None:
        return 0
    nodes = list(walk(start, 400))
    if any(kind_of(n) not in (*_PRODUCTS, *_LINEAR) for n in nodes):
        return 0
    if any(kind_of(n) in ("Mul", "Div") and len(parents_of(n)) > 1 for n in nodes):
        return 0  # what is learnt times what is learnt
    longest: dict[Any, int] = {}
    fed = 0
    for node in reversed(nodes):
        product = kind_of(node) in _PRODUCTS
        longest[node] = max((longest.get(p, 0) for p in parents_of(node)), default=0) + product
        if product and any(p is None for p, _ in node.next_functions[-3:]):
            data = next((x for name in _OPERANDS if (x := saved(node, name)) is not None), None)
            fed += 1
            if data is not None and (_looks_up(data) or _is(data, target)):
                return 0
    return longest[start] if fed else 0


_OPERANDS = ("_saved_mat1", "_saved_self", "_saved_input")


def _looks_up(data: torch.Tensor) -> bool:
    rows = data.reshape(len(data), -1) if data.dim() > 1 else data.reshape(1, -1)
    return bool(((rows == 0) | (rows == 1)).all()) and bool((rows.sum(1) == 1).all())


def _is(data: torch.Tensor, target: torch.Tensor | None) -> bool:
    return target is not None and data.numel() == target.numel() and torch.equal(
        data.reshape(-1).cpu(), target.detach().reshape(-1).to(data.dtype).cpu()
    )  # fmt: skip
