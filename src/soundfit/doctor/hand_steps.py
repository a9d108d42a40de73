"""What a script without an optimiser does between its first backward passes: moves weights, clears gradients.

Compares copies of the tensors that a loss leads back to; changes none of them. Knows no rule.
"""

# ruff: noqa: E501

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from soundfit.doctor.graph import is_gated, kind_of, leaves_of, walk

__all__ = ["HandSteps"]

_LOOKS = 4
_MOST_ELEMENTS = 5_000_000
_ALONG = 0.3  # the cosine: a step of momentum follows gradients of several batches


@dataclass
class _Look:
    leaf: torch.Tensor
    value: torch.Tensor
    kept: bool
    gradient: torch.Tensor | None = None
    silent: bool = False  # the gradient came, and is zero throughout


class HandSteps:
    """Looks at the first backward passes, before and after each."""

    def __init__(self) -> None:
        self._looks: list[dict[int, _Look]] = []
        self._gated = True
        self._squashed = 0

    def before(self, loss: torch.Tensor) -> None:
        """Receive the loss of a step; copy what it teaches, and see which gradients nothing has touched since."""
        if len(self._looks) >= _LOOKS:
            return
        leaves = leaves_of(loss)
        self._gated = self._gated and is_gated(loss)
        if loss.grad_fn is not None and not self._looks:
            self._squashed = sum(kind_of(n) in ("Sigmoid", "Tanh") for n in walk(loss.grad_fn, 400))
        if sum(x.numel() for x in leaves) > _MOST_ELEMENTS:
            leaves = []
        earlier = self._looks[-1] if self._looks else {}
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self._looks.append(
                {id(x): _Look(x, x.detach().clone(), _is_kept(x, earlier.get(id(x)))) for x in leaves}
            )

    def after(self) -> None:
        """Copy the gradients that a backward pass made."""
        if not self._looks or len(self._looks) >= _LOOKS:
            return
        self._keep([(look, look.leaf.grad) for look in self._looks[-1].values()])

    def received(self, leaves: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor | None]) -> None:
        """Copy gradients that a script asked for by name: they come back, and no tensor holds them."""
        if not self._looks or len(self._looks) >= _LOOKS:
            return
        last = self._looks[-1]
        self._keep([(last[id(x)], g) for x, g in zip(leaves, gradients, strict=False) if id(x) in last])

    @staticmethod
    def _keep(pairs: list[tuple[_Look, torch.Tensor | None]]) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for look, gradient in pairs:
                if gradient is not None and not gradient.is_sparse:
                    look.silent = not bool((gradient != 0).any())
                    look.gradient = None if look.silent else gradient.detach().clone()

    def fading(self) -> dict[str, float]:
        """Return how far gradients of matrices fall from the loss back: ``ratio`` of the farthest's to the nearest's.

        ``layers``: matrices; ``squashed``: sigmoids and tanhs among the operations. Nothing for fewer than four.
        """
        ratios, layers = [], 0
        for look in self._looks[:-1]:
            sizes = [
                float(x.gradient.norm()) if x.gradient is not None else 0.0
                for x in look.values()
                if x.leaf.dim() == 2 and min(x.leaf.shape) > 1
            ]
            layers = len(sizes)
            if layers < 4 or sizes[0] <= 0:
                return {}
            ratios.append(sizes[-1] / sizes[0])
        return (
            {"ratio": statistics.median(ratios), "layers": layers, "squashed": self._squashed}
            if ratios
            else {}
        )

    def silent(self) -> dict[str, Any]:
        """Return the ``shapes`` of matrices under a ReLU that no pass taught anything and that are what they were.

        Nothing where fewer than four passes were seen, or where nothing else moved either.
        """
        if len(self._looks) < _LOOKS or not self._gated:
            return {}
        first = self._looks[0]
        same = [x for k, x in first.items() if all(k in look for look in self._looks)]
        still = [x for x in same if torch.equal(x.value, x.leaf.detach())]
        passes = self._looks[:-1]  # the last look is not waited for
        dead = [x for x in still if x.leaf.dim() >= 2 and all(a[id(x.leaf)].silent for a in passes)]
        return {"shapes": [list(x.leaf.shape) for x in dead]} if dead and len(still) < len(same) else {}

    def facts(self) -> dict[str, Any]:
        """Return ``piled_up``, ``moved``, ``climbs`` and ``fading``; nothing where fewer than four passes were seen.

        ``piled_up``: a tensor was moved after each pass, and its gradient was untouched before each next.
        ``climbs``: each tensor moved along its gradient after each pass.
        ``moved``: any of the tensors that each pass taught is not what it was; None where there is none.
        """
        if len(self._looks) < _LOOKS:
            return {}
        pairs = list(zip(self._looks, self._looks[1:], strict=False))
        same = [k for k in self._looks[0] if all(k in look for look in self._looks)]
        piled_up = any(
            all(b[k].kept and not torch.equal(a[k].value, b[k].value) for a, b in pairs) for k in same
        )
        first = [self._looks[0][k] for k in same if all(a[k].gradient is not None for a, _ in pairs)]
        moved = any(not torch.equal(x.value, x.leaf.detach()) for x in first) if first else None
        climbs = bool(first) and all(_along(a[id(x.leaf)], b[id(x.leaf)]) for a, b in pairs for x in first)
        return {"piled_up": piled_up, "moved": moved, "climbs": climbs, "fading": self.fading()}


def _is_kept(x: torch.Tensor, earlier: _Look | None) -> bool:
    """Return whether a gradient is still what the last backward pass left."""
    before = None if earlier is None else earlier.gradient
    return before is not None and x.grad is not None and not x.grad.is_sparse and torch.equal(x.grad, before)


def _along(before: _Look, after: _Look) -> bool:
    """Return whether a tensor moved along the gradient of the pass between two looks."""
    if before.gradient is None:
        return False
    way, gradient = (after.value - before.value).double().reshape(-1), before.gradient.double().reshape(-1)
    return float(way @ gradient) > _ALONG * float(way.norm() * gradient.norm()) > 0
