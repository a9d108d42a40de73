"""Gradients that are turned round on purpose: parts of one model that play against each other (Ganin et al. 2016)."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import walk

__all__ = ["listen_for_reversal"]

_NODES = 200


def listen_for_reversal(loss: torch.Tensor, told: dict[str, Any]) -> None:
    """Set ``told["reversed"]`` when a hand-written function hands back the opposite of the gradient it gets.

    ``told["own_functions"]`` is set where there is one at all.     Nothing is called twice: the graph's own backward pass is heard. Operations of torch are passed over.
    """

    def hear(gave: tuple[Any, ...], got: tuple[Any, ...]) -> None:
        for g in gave:
            for o in got:
                if g is None or o is None or g.shape != o.shape or not g.is_floating_point():
                    continue
                along, sizes = (g * o).sum(), g.norm() * o.norm()
                if bool(sizes > 0) and bool(along < -0.99 * sizes):
                    told["reversed"] = True

    for node in walk(loss.grad_fn, _NODES):
        if hasattr(node, "_forward_cls"):
            told["own_functions"] = True
            node.register_hook(hear)
