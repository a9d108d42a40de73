"""What curves of training and validation error share: legend, rows of numbers, relative change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soundfit.report.figures.figure import Key
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite
from soundfit.report.words import Words

__all__ = ["curve_keys", "curve_rows", "is_better", "is_clear", "relative_change"]


def curve_keys(_: Words) -> tuple[Key, ...]:
    """Return the legend of a curve with training and validation."""
    return (
        Key(_("training"), "dash", "training"),
        Key(_("validation ± SE"), "line", "validation"),
    )


def curve_rows(point: Mapping[str, Any], metric: MetricWords) -> tuple[str, str]:
    """Return training and validation of a point as text."""
    return metric.show(point.get("training")), metric.show_spread(point.get("validation"), point.get("se"))


def is_better(metric: MetricWords, a: Any, b: Any) -> bool:
    """Return whether ``a`` beats ``b``; a missing number beats nothing."""
    first, second = finite(a), finite(b)
    return first is not None and (second is None or metric.is_better(first, second))


def is_clear(metric: MetricWords, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Return whether the validation errors of two points differ by more than either's standard error.

    Both are means over the same folds, so this asks for more than a paired comparison would.
    """
    first, second = finite(a.get("validation")), finite(b.get("validation"))
    if first is None or second is None:
        return False
    reach = max(finite(a.get("se")) or 0.0, finite(b.get("se")) or 0.0)
    return abs(metric.error(first) - metric.error(second)) > reach


def relative_change(metric: MetricWords, start: Any, end: Any) -> float | None:
    """Return by which share of itself the error changed from ``start`` to ``end``; None if undefined."""
    first, second = finite(start), finite(end)
    if first is None or second is None or metric.error(first) <= 0:
        return None
    return metric.error(second) / metric.error(first) - 1.0
