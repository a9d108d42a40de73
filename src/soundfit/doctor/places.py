"""Outputs at each place of a sequence: which rows of a loss's long list belong to which row of the inputs.

A tagger or a language model is asked for a class at each place; scripts flatten, cut, turn or select what it
returns before the loss. Knows tensors and rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from soundfit.doctor.rows import row_keys

__all__ = ["IGNORED", "Places", "placed", "placed_second", "rows_come_second"]

Tensor = torch.Tensor
IGNORED = -100  # the label of places that nothing is asked of, as torch has it
_OF_CLASSES = ("cross_entropy", "nll_loss")
_ALIKE = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)  # fmt: skip


@dataclass(frozen=True)
class Places:
    """How a loss's list is cut out of outputs ``(rows, places, classes)``.

    ``first`` and ``last`` places are left out; ``axis`` is where classes stand in the output: ``-1`` or
    ``1``, ``0`` where there are none and each number of a row is asked for by itself. ``line``: the model
    itself returns one list of all places. ``ignored``: the label of places that the loss passes over.
    ``second``: outputs are ``(places, rows, classes)``.
    """

    first: int = 0
    last: int = 0
    axis: int = -1
    line: bool = False
    ignored: int = IGNORED
    second: bool = False

    def of_output(self, out: Tensor, n: int | None = None) -> Tensor:
        """Return outputs as ``(rows, classes, places)``, as they are where that is not their form.

        Args:
            out: what the model returned.
            n: rows of its inputs; ``len(out)`` where None.
        """
        if self.axis == 0:
            return out
        if self.line and out.dim() == 2 and n and not len(out) % n:
            out = out.reshape(-1, n, out.shape[1]) if self.second else out.reshape(n, -1, out.shape[1])
        out = out.transpose(0, 1) if self.second and out.dim() > 2 else out
        if out.dim() < 3 or (n is not None and len(out) != n):
            return out
        body = out.movedim(-1, 1).flatten(2) if self.axis == -1 else out.flatten(2)
        return body[..., self.first : body.shape[-1] - self.last]

    def of_list(self, prediction: Tensor, n: int) -> Tensor | None:
        """Return what the loss judged as ``(rows, classes, places)``; None where a mask chose it."""
        if self.axis == 0 or prediction.dim() != 2 or n == 0:
            return prediction
        if len(prediction) % n:
            return None
        listed = prediction.reshape(*((-1, n) if self.second else (n, -1)), prediction.shape[1])
        return (listed.transpose(0, 1) if self.second else listed).movedim(-1, 1)

    def of_target(self, target: Tensor, n: int) -> Tensor:
        """Return a flat target as ``(rows, places)``, as it is where it has another length.

        Places that the loss passes over are ``IGNORED``.
        """
        if self.ignored != IGNORED and not target.is_floating_point():
            target = torch.where(target == self.ignored, IGNORED, target)
        if self.second and target.dim() == 2 and target.shape[1] == n:
            return target.t()
        if target.dim() != 1 or not n or len(target) <= n or len(target) % n:
            return target
        return target.reshape(-1, n).t() if self.second else target.reshape(n, -1)


def placed(
    kind: str, out: Tensor, prediction: Tensor, target: Tensor, n: int, ignored: int = IGNORED
) -> tuple[Places, Tensor] | None:
    """Return how a loss's list is cut out of a model's output, and the targets by rows; None where it is not.

    Args:
        kind: of loss.
        out: what the model returned.
        prediction: what the loss judges.
        target: what it compares that with.
        n: rows of the model's inputs.
        ignored: the label of places that the loss passes over.

    Returned targets have shape ``(n, places)``, with ``IGNORED`` at places that nothing is asked of.
    """
    if n < 2 or not out.numel():
        return None
    with torch.no_grad():
        if kind in _ALIKE:
            return _alike(out, prediction, target, n)
        if kind not in _OF_CLASSES or target.is_floating_point():
            return None
        if ignored != IGNORED:
            target = torch.where(target == ignored, IGNORED, target)
        found = _by_classes(out.detach(), prediction, target, n)
        if found is None and kind == "nll_loss" and out.dim() > 1 and out.shape[-1] == prediction.shape[1]:
            found = _by_classes(out.detach().log_softmax(-1), prediction, target, n)  # taken by the script
        if found is None and target.dim() > 1 and ignored != IGNORED:
            found = Places(axis=0), target
    return None if found is None else (replace(found[0], ignored=ignored), found[1])


def _by_classes(out: Tensor, prediction: Tensor, target: Tensor, n: int) -> tuple[Places, Tensor] | None:
    if prediction.dim() == 2 and target.dim() == 1 and len(target) > n:
        return _listed(out, prediction.detach(), target, n)
    same = prediction.shape == out.shape and torch.equal(prediction, out)
    if prediction.dim() > 2 and prediction.shape[0] == target.shape[0] == n and not same:
        return _turned(out, prediction.detach(), target, n)
    return None


def placed_second(
    kind: str, out: Tensor, prediction: Tensor, target: Tensor, n: int, ignored: int = IGNORED
) -> tuple[Places, Tensor] | None:
    """Return the same of a model that takes places first: its outputs are ``(places, rows, classes)``."""
    if out.dim() == 2 and n and not len(out) % n:
        apart, line = out.reshape(-1, n, out.shape[1]), True
    elif out.dim() == 3 and out.shape[1] == n:
        apart, line = out, False
    else:
        return None
    if kind in _OF_CLASSES and prediction.dim() == 2 and target.dim() == 1 and not len(prediction) % n:
        prediction = prediction.reshape(-1, n, prediction.shape[1]).transpose(0, 1).flatten(0, 1)
        target = target.reshape(-1, n).t().flatten() if len(target) == len(prediction) else target
    else:
        return None
    made = placed(kind, apart.transpose(0, 1), prediction, target, n, ignored)
    return None if made is None else (replace(made[0], line=line, second=True), made[1])


def _alike(out: Tensor, prediction: Tensor, target: Tensor, n: int) -> tuple[Places, Tensor] | None:
    """A list of all numbers of all rows, each compared with its own target."""
    listed = prediction.dim() == 1 and prediction.shape == target.shape and len(target) > n == len(out)
    if listed and out.numel() == prediction.numel() and torch.equal(out.reshape(-1), prediction):
        return Places(axis=0), target.reshape(out.shape)
    return None


def _bodies(out: Tensor, classes: int, n: int) -> list[tuple[Places, Tensor]]:
    """Return outputs as ``(rows, places, classes)``, for each axis that classes may stand on."""
    if out.dim() == 2:
        apart = out.shape[1] == classes and len(out) > n and not len(out) % n
        return [(Places(line=True), out.reshape(n, -1, classes))] if apart else []
    if out.dim() < 3 or len(out) != n:
        return []
    found = [(Places(), out.flatten(1, -2))] if out.shape[-1] == classes else []
    return found + ([(Places(axis=1), out.flatten(2).transpose(1, 2))] if out.shape[1] == classes else [])


def _listed(out: Tensor, prediction: Tensor, target: Tensor, n: int) -> tuple[Places, Tensor] | None:
    for places, body in _bodies(out, prediction.shape[1], n):
        if not len(target) % n:
            cut = _cut(places, body, prediction.reshape(n, -1, prediction.shape[1]))
            if cut is not None:
                return cut, target.reshape(n, -1)
        chosen = _chosen(body, prediction)
        if chosen is not None:
            asked = torch.full((n * body.shape[1],), IGNORED, dtype=target.dtype, device=target.device)
            asked[chosen] = target
            return places, asked.reshape(n, -1)
    return None


def _turned(out: Tensor, prediction: Tensor, target: Tensor, n: int) -> tuple[Places, Tensor] | None:
    wanted = prediction.flatten(2).transpose(1, 2)
    for places, body in _bodies(out, prediction.shape[1], n):
        cut = _cut(places, body, wanted)
        if cut is not None:
            return cut, target.reshape(n, -1)
    return None


def _cut(places: Places, body: Tensor, wanted: Tensor) -> Places | None:
    """Return which places in a row ``wanted`` has of ``body``, both ``(rows, places, classes)``."""
    whole, some = body.shape[1], wanted.shape[1]
    for first in range(whole - some + 1):
        part = body[:, first : first + some]
        if _alike_but_rounding(part[0], wanted[0]) and _alike_but_rounding(part, wanted):
            return Places(first, whole - first - some, places.axis, places.line)
    return None


def _alike_but_rounding(a: Tensor, b: Tensor) -> bool:
    """Return whether these are the same numbers, computed in another shape perhaps."""
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def _chosen(body: Tensor, prediction: Tensor) -> Tensor | None:
    """Return which of all places, in their order, a mask chose; None where two of them look the same."""
    every = body.reshape(-1, body.shape[-1])
    keys, wanted = row_keys((every.cpu(),)), row_keys((prediction.cpu(),))
    values, order = keys.sort()
    at = torch.searchsorted(values, wanted).clamp(max=len(values) - 1)
    alone = torch.searchsorted(values, wanted, right=True) - at == 1
    where = order[at]
    fits = bool(alone.all()) and bool((where.diff() > 0).all()) and torch.equal(every[where], prediction)
    return where if fits else None


def rows_come_second(module: nn.Module) -> bool:
    """Return whether a part of a model takes places first and rows second, as torch's do unless told."""
    return any(getattr(part, "batch_first", None) is False for part in module.modules())
