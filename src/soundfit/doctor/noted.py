"""Notes on tensors as they pass: by identity, the latest few. Knows tensors alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

__all__ = ["Noted", "telling"]

Note = TypeVar("Note")
_MOST = 32


class Noted(Generic[Note]):
    """What is known of tensors. They are held, so that no other takes an identity over."""

    def __init__(self) -> None:
        self._known: list[tuple[torch.Tensor, Note]] = []

    def add(self, one: torch.Tensor, note: Note) -> None:
        """Take note; the oldest of too many notes is forgotten."""
        self._known = [*self._known[1 - _MOST :], (one, note)]

    def of(self, one: Any) -> Note | None:
        """Return the latest note on this very tensor."""
        return next((note for known, note in reversed(self._known) if known is one), None)


def telling(original: Callable[..., Any], tell: Callable[[tuple[Any, ...], Any], None]) -> Callable[..., Any]:
    """Return a function that hands its arguments and what it made to ``tell``."""

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        tell(args, out)
        return out

    return called
