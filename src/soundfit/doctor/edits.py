"""Edits of the user's line, shown as a two-line diff. Knows text; knows nothing of torch."""

# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable

from soundfit.doctor.lines import source_line
from soundfit.records import Place

__all__ = ["STANDARDISED", "added_after", "added_before", "changed", "drop_call", "set_keyword", "swap_name"]

STANDARDISED = "x = (x - mean) / std  # mean and std of the training inputs"
"""A line that goes before a model's call."""


def changed(place: Place | None, edit: Callable[[str], str], fallback: str = "") -> str:
    """Return ``- old`` and ``+ new`` for the line at ``place``; the fallback where it cannot be edited."""
    if place is None:
        return fallback
    line = source_line(place)
    new = edit(line) if line else line
    if not line or new == line:
        return fallback
    return f"- {line}\n+ {new}"


def added_before(place: Place | None, text: str) -> str:
    """Return a diff that puts a line before the line at ``place``."""
    line = source_line(place) if place is not None else ""
    return f"+ {text}\n  {line}" if line else f"+ {text}"


def added_after(place: Place | None, text: str) -> str:
    """Return a diff that puts a line after the line at ``place``."""
    line = source_line(place) if place is not None else ""
    return f"  {line}\n+ {text}" if line else f"+ {text}"


def set_keyword(name: str, value: str) -> Callable[[str], str]:
    """Return an edit that sets ``name=value`` in the first call on a line, adding it where it is absent."""

    def edit(line: str) -> str:
        pattern = rf"\b{name}\s*=\s*[^,)\s]+"
        if re.search(pattern, line):
            return re.sub(pattern, f"{name}={value}", line, count=1)
        end = line.rfind(")")
        return f"{line[:end]}, {name}={value}{line[end:]}" if end > 0 else line

    return edit


def drop_call(*names: str) -> Callable[[str], str]:
    """Return an edit that removes a module such as ``nn.Softmax(dim=1)`` or unwraps ``torch.softmax(x, …)``."""

    def edit(line: str) -> str:
        for name in names:
            module = rf",?\s*(?:torch\.)?(?:nn\.)?{name}\(\s*(?:dim\s*=\s*)?-?\d*\s*\)"
            if name[0].isupper() and re.search(module, line):
                new = re.sub(module, "", line, count=1)
                return re.sub(r"=\s*$", "= nn.Identity()", new) if new.rstrip().endswith("=") else new
            wrapped = rf"(?:torch\.|F\.|nn\.functional\.)?{name}\((?P<x>[^,]+(?:\([^)]*\))*?)(?:,[^)]*)?\)"
            if not name[0].isupper() and re.search(wrapped, line):
                return re.sub(wrapped, lambda m: m["x"], line, count=1)
        return line

    return edit


def swap_name(old: str, new: str) -> Callable[[str], str]:
    """Return an edit that replaces a name (a regular expression) on a line, once."""
    return lambda line: re.sub(old, new, line, count=1)
