"""The errors that users see: one paragraph of rule, what was received, fix.

Knows nothing of the rest of soundfit. The command line turns each class into its exit code;
everything else that escapes is a bug and shows as one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "Interrupted", "SoundfitError", "StopError", "UsageError", "did_you_mean"]


class SoundfitError(Exception):
    """Base of soundfit's own errors.

    Args:
        rule: what must hold, as a sentence.
        received: what was found instead.
        fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, rule: str, *, received: str = "", fix: str = "") -> None:
        self.rule = rule
        self.received = received
        self.fix = fix
        super().__init__(self.paragraph())

    def paragraph(self) -> str:
        """Return the one-paragraph message: rule, received, fix."""
        parts = [_sentence(self.rule)]
        if self.received:
            parts.append(_sentence(f"Received: {self.received}"))
        if self.fix:
            parts.append(_sentence(f"Fix: {self.fix}"))
        return " ".join(parts)


class UsageError(SoundfitError, ValueError):
    """The command, an option or an argument cannot be used as given (exit code 2)."""

    exit_code = 2


class DataError(UsageError):
    """The data cannot be used as given (exit code 2)."""


class StopError(SoundfitError):
    """A finding stops the work: the score would be a lie (exit code 1).

    ``findings`` holds all that the audit found, where it was the audit that stopped the work.
    """

    exit_code = 1
    findings: tuple[object, ...] = ()


class Interrupted(SoundfitError):
    """The user, the memory or the disk ended the work early; what was done is kept (exit code 3)."""

    exit_code = 3


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "!", "…")) else text.rstrip(".") + "."


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the nearest known name, or the list of names.

    >>> did_you_mean("SalePrice", ["Sale_Price", "Lot_Area"])
    "did you mean 'Sale_Price'?"
    """
    names = [str(name) for name in known]
    folded = {name.casefold().replace("_", "").replace(" ", ""): name for name in names}
    key = received.casefold().replace("_", "").replace(" ", "")
    near = difflib.get_close_matches(key, folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"the names are: {shown}"
