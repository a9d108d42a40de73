"""Figure: a picture as data, the sentence that it shows, and the same numbers as a table.

Knows nothing of how it is drawn: ``kind`` names a function of ``templates/figures.js``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figure", "Key"]


@dataclass(frozen=True)
class Key:
    """One entry of a legend: ``mark`` is ``line``, ``dash``, ``dot``, ``band``, ``thin`` or ``ring``."""

    text: str
    mark: str
    colour: str


@dataclass(frozen=True)
class Figure:
    """One picture.

    ``sentence`` says what it shows in these numbers; ``columns`` and ``rows`` hold the numbers as
    text for readers who do not see the picture.
    """

    id: str
    kind: str
    title: str
    sentence: str
    data: dict[str, Any]
    keys: tuple[Key, ...] = ()
    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)
