"""Targets that are not known and were filled in: a loss that takes the filling for the truth.

With ``reduction='none'`` or weights the author may leave them out afterwards, as is right. Knows tensors
alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from soundfit.doctor.noted import Noted, telling

__all__ = ["FILLS", "JUDGES", "Filled", "known_targets"]

Tensor = torch.Tensor
Patch = Callable[[Any, str, Any], None]
SHAPES = ("view", "reshape", "flatten", "unsqueeze", "squeeze", "to", "float", "double", "clone")
FILLS = ("nan_to_num", "where", "masked_fill")
JUDGES = (
    "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
)  # fmt: skip


class Filled:
    """Tensors that were made by filling in for numbers that are not, and where these stood."""

    def __init__(self) -> None:
        self._noted: Noted[Tensor] = Noted()

    def fill(self, args: tuple[Any, ...], out: Any) -> None:
        """Take note of what ``nan_to_num``, ``where`` and ``masked_fill`` made of given numbers."""
        if not isinstance(out, Tensor) or not out.is_floating_point() or out.requires_grad:
            return
        for x in args:
            if isinstance(x, Tensor) and x.is_floating_point() and x.shape == out.shape and x is not out:
                gaps = x.isnan()
                if bool(gaps.any()) and not bool(out.isnan().any()):
                    self._noted.add(out, gaps)
                    return

    def follow(self, name: str, args: tuple[Any, ...], out: Any) -> None:
        """Take note of a part of it, or of the same numbers in another shape."""
        gaps = self.gaps(args[0]) if args else None
        if gaps is None or not isinstance(out, Tensor) or out is args[0]:
            return
        if name == "__getitem__":
            self._noted.add(out, gaps[args[1]])
        elif name in SHAPES and out.numel() == gaps.numel():
            self._noted.add(out, gaps.reshape(out.shape))

    def gaps(self, one: Any) -> Tensor | None:
        """Return where numbers were filled in; None for tensors in which none were."""
        return self._noted.of(one)

    def learned(self, name: str, prediction: Any, target: Any, kwargs: dict[str, Any]) -> Tensor | None:
        """Return where a call of a loss takes what was filled in for the truth; None where it does not.

        Nothing is learned where its author weighs it, or where predictions were given the same number.
        """
        gaps = self.gaps(target) if _takes_all(name, kwargs) else None
        if gaps is None or not isinstance(prediction, Tensor) or prediction.shape != target.shape:
            return None
        return None if bool((prediction[gaps] == target[gaps]).all()) else gaps


def _takes_all(name: str, kwargs: dict[str, Any]) -> bool:
    """Return whether a call of a loss leaves nothing for its author to weigh."""
    return name in JUDGES and kwargs.get("reduction", "mean") != "none" and kwargs.get("weight") is None


def known_targets(patch: Patch) -> None:
    """Let a loss judge only what is known."""
    filled = Filled()

    def judging(name: str, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(original)
        def loss(prediction: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            gaps = filled.learned(name, prediction, target, kwargs)
            if gaps is not None and not bool(gaps.all()):
                prediction, target = prediction[~gaps], target[~gaps]
            return original(prediction, target, *args, **kwargs)

        return loss

    for name in FILLS:
        for owner in (torch, torch.Tensor):
            if hasattr(owner, name):
                patch(owner, name, telling(getattr(owner, name), filled.fill))
    for name in ("__getitem__", *SHAPES):
        patch(
            torch.Tensor, name, telling(getattr(torch.Tensor, name), functools.partial(filled.follow, name))
        )
    for name in JUDGES:
        patch(F, name, judging(name, getattr(F, name)))
