"""Lists that two axes were laid out in: a loss compares them line by line, in whatever order either was.

Outputs ``(places, rows, classes)`` and targets ``(rows, places)``, each made flat, have the same length and
say nothing of each other; nor do outputs ``(rows, classes, places)`` that ``view(-1, classes)`` cuts into
lines of neighbouring places. Knows sizes and tensors alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from soundfit.doctor.noted import Noted, telling

__all__ = ["Lists", "turned_lists"]

Tensor = torch.Tensor
Patch = Callable[[Any, str, Any], None]
LOSSES = ("cross_entropy", "nll_loss")
LAYS_OUT = ("view", "reshape", "flatten")


class Lists:
    """Which axes lists were laid out from: ``(first, second)`` of each; of which shape lines were cut."""

    def __init__(self) -> None:
        self._noted: Noted[tuple[int, int]] = Noted()
        self._cut: Noted[tuple[int, ...]] = Noted()

    def lay_out(self, before: Any, out: Any) -> None:
        """Take note of what ``view``, ``reshape`` and ``flatten`` made by joining the first two axes."""
        if not (isinstance(before, Tensor) and isinstance(out, Tensor)):
            return
        several = out.dim() == 2 and before.dim() > 2 and len(out) > len(before)  # places in each row
        if several and before.shape[1] == out.shape[1] != before.shape[-1]:
            self._cut.add(out, tuple(before.shape))
        if before.dim() < 2 or before.dim() != out.dim() + 1:
            return
        joined = (before.shape[0] * before.shape[1], *before.shape[2:])
        if tuple(out.shape) == joined and min(before.shape[:2]) > 1:
            self._noted.add(out, (before.shape[0], before.shape[1]))

    def follow(self, before: Any, out: Any) -> None:
        """Take note of what was made of a list number by number."""
        if not isinstance(out, Tensor) or out is before:
            return
        every: tuple[Noted[Any], ...] = (self._noted, self._cut)
        for notes in every:
            known = notes.of(before)
            if known is not None and out.shape == before.shape:
                notes.add(out, known)

    def axes(self, one: Any) -> tuple[int, int] | None:
        """Return the axes that a list was laid out from; None for others."""
        return self._noted.of(one)

    def turned(self, prediction: Any, target: Any) -> tuple[int, int] | None:
        """Return the prediction's axes where the target's are the same the other way round."""
        first, second = self.axes(prediction), self.axes(target)
        turned = first is not None and second == first[::-1] and first[0] != first[1]
        return first if turned else None

    def cut(self, prediction: Any, target: Any) -> tuple[int, ...] | None:
        """Return ``(rows, classes, …)`` of what was cut into lines of one class's places, where it was."""
        shape = self._cut.of(prediction)
        one_each = isinstance(target, Tensor) and target.dim() == 1 and not target.is_floating_point()
        return shape if shape is not None and one_each and len(target) == len(prediction) else None


def turned_lists(patch: Patch) -> None:
    """Let a loss lay out its predictions in the order of its targets, and a place's classes in a line."""
    lists = Lists()

    def lay_out(args: tuple[Any, ...], out: Any) -> None:
        if args:
            lists.lay_out(args[0], out)

    def ordered(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(original)
        def loss(prediction: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            axes = lists.turned(prediction, target)
            cut = lists.cut(prediction, target)
            if axes is not None:
                apart = prediction.unflatten(0, axes)
                prediction = apart.transpose(0, 1).flatten(0, 1)
            elif cut is not None:
                prediction = prediction.reshape(cut).movedim(1, -1).flatten(0, -2)
            return original(prediction, target, *args, **kwargs)

        return loss

    for name in LAYS_OUT:
        for owner in (torch, torch.Tensor):
            if hasattr(owner, name):
                patch(owner, name, telling(getattr(owner, name), lay_out))
    for name in LOSSES:
        patch(F, name, ordered(getattr(F, name)))
