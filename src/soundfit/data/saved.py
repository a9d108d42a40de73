"""Saved: checks on JSON forms that may have been damaged or forged. Knows nothing of what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.errors import DataError

__all__ = ["finite_floats", "unreadable"]


def finite_floats(given: Mapping[str, Any], key: str, length: int) -> NDArray[np.float64]:
    """Return the list of ``length`` finite numbers under that key; ``DataError`` where it is none."""
    values = given.get(key)
    if not isinstance(values, list) or not all(type(x) in (int, float) for x in values):
        raise unreadable(f"{key!r} is a list of numbers", values)
    if len(values) != length:
        raise unreadable(f"{key!r} has {length} entries", values)
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        raise unreadable(f"{key!r} is a list of finite numbers", values) from None
    if not np.isfinite(array).all():
        raise unreadable(f"{key!r} is a list of finite numbers", values)
    return array


def unreadable(rule: str, received: object) -> DataError:
    """Return the error for a saved form that breaks this rule."""
    shown = repr(received)
    return DataError(
        f"A saved model must be as it was written: {rule}",
        received=shown if len(shown) <= 80 else shown[:79] + "…",
        fix="restore the file from a copy, or train again",
    )
