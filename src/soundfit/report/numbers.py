"""Numbers as people read them: digits that mean something, thousands set apart. Knows no metric."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["count", "duration", "finite", "percent", "signed_percent", "significant"]

NO_BREAK = "\N{NO-BREAK SPACE}"


def finite(value: Any) -> float | None:
    """Return ``value`` as a finite float, or None where it is none.

    >>> finite("0.5"), finite(float("nan")), finite(None)
    (0.5, None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def significant(value: Any, digits: int = 3) -> str:
    """Return ``value`` to that many significant digits, without an exponent in everyday sizes.

    >>> significant(0.12345), significant(13902.4), significant(0.0001), significant(2.0)
    ('0.123', '13,902', '0.0001', '2')
    """
    number = finite(value)
    if number is None:
        return "–"
    if number == 0:
        return "0"
    size = math.floor(math.log10(abs(number)))
    if size < -4 or size > 8:
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return f"{_minus(_trim(mantissa))}e{int(exponent)}"
    decimals = max(digits - 1 - size, 0)
    shown = f"{number:,.{decimals}f}"
    return _minus(_trim(shown) if "." in shown and size >= -4 else shown)


def fixed(value: Any, decimals: int) -> str:
    """Return ``value`` with exactly that many decimals: columns of numbers line up."""
    number = finite(value)
    return "–" if number is None else _minus(f"{number:,.{decimals}f}")


def decimals_for(value: Any, spread: Any = None) -> int:
    """Return how many decimals ``value`` deserves: two digits of its ``spread``, else three of its own."""
    number, error = finite(value), finite(spread)
    if error:
        return min(max(1 - math.floor(math.log10(abs(error))), 0), 6)
    if not number:
        return 3
    return min(max(2 - math.floor(math.log10(abs(number))), 0), 6)


def percent(fraction: Any, digits: int = 2) -> str:
    """Return a fraction as per cent.

    >>> percent(0.2).replace(NO_BREAK, " "), percent(0.9312, 3).replace(NO_BREAK, " ")
    ('20 %', '93.1 %')
    """
    number = finite(fraction)
    if number is None:
        return "–"
    shown = significant(100 * number, digits) if abs(number) < 1 else f"{_minus(f'{100 * number:,.0f}')}"
    return f"{shown}{NO_BREAK}%"


def signed_percent(fraction: Any) -> str:
    """Return a fraction as per cent with its sign."""
    number = finite(fraction)
    return "–" if number is None else f"{'+' if number > 0 else ''}{percent(number)}"


def count(value: Any) -> str:
    """Return a whole number with thousands set apart.

    >>> count(2930)
    '2,930'
    """
    number = finite(value)
    return "–" if number is None else f"{round(number):,}"


def duration(seconds: Any) -> str:
    """Return seconds in the two units that matter.

    >>> duration(48.7).replace(NO_BREAK, " "), duration(200).replace(NO_BREAK, " ")
    ('49 s', '3 min 20 s')
    """
    number = finite(seconds)
    if number is None:
        return "–"
    if number < 0.05:
        return f"<{NO_BREAK}0.1{NO_BREAK}s"
    if number < 9.95:
        return f"{number:.1f}{NO_BREAK}s"
    whole = round(number)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min {whole % 60}{NO_BREAK}s"
    return f"{whole // 3600}{NO_BREAK}h {whole % 3600 // 60}{NO_BREAK}min"


def _trim(shown: str) -> str:
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _minus(shown: str) -> str:
    return shown.replace("-", "\N{MINUS SIGN}", 1) if shown.startswith("-") else shown
