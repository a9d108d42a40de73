"""Targets of an evaluation that torch never sees: arrays that stand beside the model's inputs in the user's frame.

Scripts turn outputs into NumPy and hand them to ``accuracy_score`` with ``y_test``: no tensor meets them. Knows frames and
arrays; knows no hook.
"""

# ruff: noqa: E501

from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Any

import torch

from soundfit.doctor.lines import is_user_file

__all__ = ["beside", "fitting"]

Tensor = torch.Tensor
_MOST_FRAMES = 4
_TARGET = re.compile(r"^(y|t)(?![a-z])|^y(t|v|b|s|y)?(e|r|est|al|rain|alid)?$|label|target|truth|(_|^)(y|gt|lab|cls)(_|\d|$)", re.I)  # fmt: skip
_MADE = re.compile(r"pred|hat|out|prob|logit|score|loss", re.I)


def beside(inputs: Tensor) -> list[tuple[str, Any, str]]:
    """Return what in the calling code's nearest frames looks like the targets of ``inputs`` (rows first).

    Returns:
        name, array and the name of the inputs there, of one frame: the nearest that has any.
    """
    frame: FrameType | None = sys._getframe(1)
    frames = 0
    while frame is not None and frames < _MOST_FRAMES:
        if is_user_file(frame.f_code.co_filename):
            frames += 1
            names = frame.f_locals
            known = next((k for k, v in names.items() if v is inputs), "")
            try:
                found = [
                    (k, v, known)
                    for k, v in names.items()
                    if _may_be(k, v, len(inputs)) and not _is(v, inputs)
                ]
            except Exception:  # objects that answer oddly when they are asked for a shape
                found = []
            if found:
                return found
        frame = frame.f_back
    return []


def _may_be(name: str, value: Any, n: int) -> bool:
    if not _TARGET.search(name) or _MADE.search(name):
        return False
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple | torch.Size) and hasattr(value, "dtype"):
        return 1 <= len(shape) <= 2 and shape[0] == n and not getattr(value, "requires_grad", False)
    return isinstance(value, list) and len(value) == n and n > 0 and isinstance(value[0], int | float)


def _is(value: Any, inputs: Tensor) -> bool:
    """Return whether something is the model's input itself, whatever it is called."""
    if value is inputs:
        return True
    plain = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(_plain(value))
    if plain.numel() != inputs.numel():
        return False
    return bool(torch.equal(plain.reshape(-1).double(), inputs.detach().cpu().reshape(-1).double()))


def fitting(found: list[tuple[str, Any, str]], like: Tensor) -> Tensor | None:
    """Return the one array that is of the kind of ``like`` (targets of a training batch); None if it is not clear which.

    Of several the one whose name goes with the inputs' (``X_test`` and ``y_test``) is taken.
    """
    able = [(name, made, of) for name, value, of in found if (made := _as(value, like)) is not None]
    able = [one for i, one in enumerate(able) if not any(torch.equal(one[1], b[1]) for b in able[:i])]
    if len(able) > 1:
        rest = [(_rest(name), made, _rest(of)) for name, made, of in able]
        able = [one for one in rest if one[0] and one[0] == one[2]]
    return able[0][1] if len(able) == 1 else None


def _rest(name: str) -> str:
    """Return what tells ``y_test`` from ``y_train``: the name without what says inputs or targets."""
    return re.sub(r"(?i)^(x|y|inputs?|labels?|targets?|features?|images?|data)(?=_|[a-z]{0,5}\d*$)|_?(x|y|inputs?|labels?|targets?|features?|images?|data)$", "", name).strip("_").lower()  # fmt: skip


def _as(value: Any, like: Tensor) -> Tensor | None:
    try:
        made = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(_plain(value))
    except Exception:  # text, objects, rows of unequal lengths
        return None
    n = len(made)
    if made.is_complex() or made.numel() != n * (like[0].numel() if len(like) else 1) or not n:
        return None
    whole = not made.is_floating_point() or bool((made == made.round()).all())
    known = like.double()
    if not like.is_floating_point() or (bool((known == known.round()).all()) and len(known.unique()) <= 20):
        if (
            not whole
            or float(made.min()) < float(known.min()) - 50
            or float(made.max()) > float(known.max()) + 50
        ):
            return None
        if like.is_floating_point() and not bool(torch.isin(made.double(), known).all()):
            return None
    else:
        spread, middle = float(known.std()), float(known.mean())
        if not spread > 0 or abs(float(made.double().mean()) - middle) > 3 * spread:
            return None
        if n >= 8 and not spread / 4 < float(made.double().std()) < 4 * spread:
            return None
    made = made.to(like.dtype).reshape(n, *like.shape[1:])
    return None if made.shape == like.shape and torch.equal(made, like) else made


def _plain(value: Any) -> Any:
    return value.to_numpy() if hasattr(value, "to_numpy") else value
