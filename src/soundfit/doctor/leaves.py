"""The tensors that a script learns without a module: drawn anew at their first use, inputs scaled where they enter."""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["Entries"]

Tensor = torch.Tensor

_PRODUCTS = {
    "mm", "matmul", "__matmul__", "__rmatmul__", "mv", "addmm", "linear", "conv1d", "conv2d", "mul", "__mul__",
    "__rmul__",
}  # fmt: skip
_KEPT = 32


class Entries:
    """Knows the tensors that are learned, in the order of their first use, and what entered at each.

    Args:
        wanted: names and values of changes (``fresh``, ``scale_inputs``).
        facts: ``survey`` (keep what enters), ``entries`` (mean and spread by entry).
    """

    def __init__(self, wanted: dict[str, Any], facts: dict[str, Any]) -> None:
        self.wanted, self.facts = wanted, facts
        self.leaves: dict[int, Tensor] = {}
        self.used: dict[int, Tensor] = {}  # since the last backward pass
        self.learning = False
        self._order: dict[int, int] = {}
        self._seen: dict[tuple[Any, ...], list[Tensor]] = {}

    def know(self, name: str, leaves: list[Tensor]) -> None:
        """Take note of the learned tensors of an operation; draw those anew that no step has changed yet."""
        for leaf in leaves:
            self.used[id(leaf)] = leaf
            if id(leaf) in self.leaves or self.learning:
                continue
            self.leaves[id(leaf)] = leaf
            self._order[id(leaf)] = len(self._order)
            if self.wanted.get("fresh") and leaf.dim() >= 2 and leaf.is_floating_point():
                with torch.no_grad():
                    leaf.normal_(0.0, _spread(name, leaf))

    def forget(self) -> None:
        """Begin a new step."""
        self.used, self.learning = {}, True

    def enter(self, name: str, args: Any, leaves: list[Tensor], plain: list[Tensor]) -> Any:
        """Receive an operation in which given numbers meet learned ones; return its arguments, scaled where wanted."""
        if name not in _PRODUCTS or not (self.facts.get("survey") or self.wanted.get("scale_inputs")):
            return args
        first = next((self._order[id(x)] for x in leaves if id(x) in self._order), None)
        if first is None:
            return args
        scales = self.facts.get("entries") or {}
        new = list(args)
        for at, x in enumerate(args):
            if not any(x is y for y in plain) or not x.is_floating_point():
                continue
            key = first, at, x.dim()
            if self.facts.get("survey") and torch.is_grad_enabled():
                kept = self._seen.setdefault(key, [])
                if len(kept) < _KEPT and not any(x is y for y in kept):
                    kept.append(x.detach())
            if self.wanted.get("scale_inputs") and key in scales:
                mean, spread = scales[key]
                if mean.dim() == x.dim() and all(
                    m in (1, s) for m, s in zip(mean.shape, x.shape, strict=True)
                ):
                    new[at] = (x - mean.to(x)) / spread.to(x)
        return tuple(new)

    def scales(self, rows_last: bool) -> dict[tuple[Any, ...], tuple[Tensor, Tensor]]:
        """Return mean and spread of each column (channel for pictures) of what entered; a constant one stays."""
        out = {}
        for key, kept in self._seen.items():
            axis = -1 if rows_last else 0
            fit = (
                [x for x in kept if x.dim() and x.shape[1:] == kept[0].shape[1:]]
                if not rows_last
                else kept[:1]
            )
            if not fit:
                continue
            x = torch.nan_to_num(torch.cat(fit, axis)[..., :65_536] if rows_last else torch.cat(fit)[:65_536])
            dims = [x.dim() - 1] if rows_last else [0, *range(2, x.dim())] if x.dim() == 4 else [0]
            spread, mean = torch.std_mean(x, dims, keepdim=True, correction=0)
            varies = spread > 1e-6 * (1 + mean.abs())
            out[key] = (
                torch.where(varies, mean, torch.zeros_like(mean)),
                torch.where(varies, spread, torch.ones_like(spread)),
            )
        return out


def _spread(name: str, leaf: Tensor) -> float:
    """Return the standard deviation of sound initial weights (Glorot and Bengio 2010, equation 12)."""
    if leaf.dim() > 2 or name.startswith("conv"):
        field = math.prod(leaf.shape[2:])
        return math.sqrt(2.0 / max((leaf.shape[0] + leaf.shape[1]) * field, 1))
    return math.sqrt(2.0 / max(leaf.shape[0] + leaf.shape[1], 1))
