"""What was replaced for a while, and how it is put back. Knows owners and names alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Replaced"]


class Replaced:
    """Replacements, undone in the order opposite to that in which they were made."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def put(self, owner: Any, name: str, new: Any) -> None:
        """Replace an attribute; one that the owner only inherited is taken away again later."""
        own, old = name in owner.__dict__, getattr(owner, name)
        setattr(owner, name, new)
        self._undo.append((lambda: setattr(owner, name, old)) if own else (lambda: delattr(owner, name)))

    def later(self, undo: Callable[[], None]) -> None:
        """Take note of something else to be undone, as a hook's removal."""
        self._undo.append(undo)

    def restore(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()
