"""Where in the user's own code something happened. Knows frames and files; knows nothing of torch."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import sysconfig
from types import FrameType
from typing import Any

from soundfit.records import Place

__all__ = ["is_user_file", "place_of", "source_line", "user_place"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARIES = tuple(
    os.path.normpath(path) + os.sep
    for path in {
        sysconfig.get_paths()["stdlib"],
        sysconfig.get_paths()["platstdlib"],
        sysconfig.get_paths()["purelib"],
        sysconfig.get_paths()["platlib"],
    }
)
_seen: dict[str, bool] = {}


def is_user_file(name: str) -> bool:
    """Return whether a code object's file is the user's own (no library, no soundfit, no ``<string>``)."""
    known = _seen.get(name)
    if known is None:
        path = os.path.abspath(name)
        known = not (
            name.startswith("<")
            or path.startswith(_LIBRARIES)
            or path.startswith(_HERE + os.sep)
            or f"{os.sep}site-packages{os.sep}" in path
        )
        _seen[name] = known
    return known


def user_place(step: int | None = None, module: str | None = None) -> Place:
    """Return the nearest frame of the user's own code, or an empty place where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            return Place(module, os.path.abspath(frame.f_code.co_filename), frame.f_lineno, step)
        frame = frame.f_back
    return Place(module, None, None, step)


def place_of(function: Any) -> Place | None:
    """Return the line on which a function begins; None where it was written at a prompt or is an object."""
    try:
        return Place(None, inspect.getsourcefile(function), inspect.getsourcelines(function)[1], None)
    except (TypeError, OSError):
        return None


def source_line(place: Place) -> str:
    """Return the text of a place's line, stripped; empty where unknown."""
    if place.file is None or place.line is None:
        return ""
    return linecache.getline(place.file, place.line).strip()
