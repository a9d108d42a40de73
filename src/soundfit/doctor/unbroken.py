"""Unbroken: what goes wrong in a watch ends the watching, never the training that is watched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["quietly", "unbroken"]


def unbroken(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a watch's method that hands its failure to ``self.stumble`` and does nothing from then on."""

    @functools.wraps(method)
    def kept(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.stumbled is not None:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.stumble(error)
            return None

    return kept


def quietly(look: Callable[..., None]) -> Callable[..., None]:
    """Return a look at a gradient that is given up where it fails: it is called inside of a backward pass."""

    @functools.wraps(look)
    def kept(*args: Any) -> None:
        try:
            look(*args)
        except Exception:  # one look less
            return

    return kept
