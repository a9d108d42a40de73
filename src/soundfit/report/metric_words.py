"""What a metric is called, how its values are written, and what they mean. Knows no run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from soundfit.report.numbers import NO_BREAK, decimals_for, finite, fixed, percent
from soundfit.report.words import Words

__all__ = ["MetricWords", "metric_words"]

PLUS_MINUS = f"{NO_BREAK}±{NO_BREAK}"
FRACTIONS = ("accuracy", "balanced_accuracy", "mape")
GREATER_IS_BETTER = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "r2")


@dataclass(frozen=True)
class MetricWords:
    """One metric in the reader's language.

    ``label`` names it in running text and on axes; ``greater_is_better`` is its direction.
    """

    name: str
    label: str
    greater_is_better: bool
    _: Words

    def show(self, value: Any, spread: Any = None) -> str:
        """Return a value as it is written, with digits fit to its spread where one is known."""
        number = finite(value)
        if number is None:
            return "–"
        if self.name in FRACTIONS:
            decimals = 1 if finite(spread) is None else max(decimals_for(100, 100 * float(spread)), 1)
            return f"{fixed(100 * number, min(decimals, 2))}{NO_BREAK}%"
        return fixed(number, decimals_for(number, spread))

    def show_spread(self, value: Any, spread: Any, *, like: Any = None) -> str:
        """Return ``value ± spread``, the value alone where there is no spread; digits fit to ``like``."""
        error = finite(spread)
        shown = self.show(value, finite(like) or error)
        if error is None or finite(value) is None:
            return shown
        number, space, unit = shown.partition(NO_BREAK)
        scale = 100 if self.name in FRACTIONS else 1
        decimals = len(number.partition(".")[2])
        return f"{number}{PLUS_MINUS}{fixed(scale * error, decimals)}{space}{unit}"

    def show_difference(self, value: Any, spread: Any) -> str:
        """Return a difference of two scores with its standard error, both to the digits of the latter."""
        scale = 100 if self.name in FRACTIONS else 1
        number, error = finite(value), finite(spread)
        if number is None or not error:
            return self.show(value)
        decimals = decimals_for(scale * number, scale * error)
        unit = NO_BREAK + self._("points") if scale == 100 else ""
        return f"{fixed(scale * number, decimals)}{PLUS_MINUS}{fixed(scale * error, decimals)}{unit}"

    def show_interval(self, value: Any, low: Any, high: Any) -> tuple[str, str]:
        """Return the value and ``low to high``, written with the same digits."""
        ends = finite(low), finite(high)
        if ends[0] is None or ends[1] is None:
            return self.show(value), ""
        half = (ends[1] - ends[0]) / 2 or None
        between = self._("{low} to {high}").format(
            low=self.show(ends[0], half), high=self.show(ends[1], half)
        )
        return self.show(value, half), between

    def meaning(self, value: Any) -> str:
        """Return what this value says in everyday words; empty where there is nothing to add."""
        number = finite(value)
        if number is None:
            return ""
        tell: Callable[[float], str] | None = {
            "rmse_log": self._relative,
            "mape": self._relative_mean,
            "log_loss": self._likelihood,
        }.get(self.name)
        return tell(number) if tell else ""

    def _relative(self, value: float) -> str:
        _ = self._
        return _("typically off by about {share}").format(share=percent(math.expm1(min(value, 20.0))))

    def _relative_mean(self, value: float) -> str:
        _ = self._
        return _("off by {share} on average").format(share=percent(value))

    def _likelihood(self, value: float) -> str:
        _ = self._
        return _("the true class gets a probability of {share} (geometric mean)").format(
            share=percent(math.exp(-min(value, 700.0)))
        )

    def is_better(self, ours: float, theirs: float) -> bool:
        """Return whether ``ours`` is the better value."""
        return ours > theirs if self.greater_is_better else ours < theirs

    def error(self, value: float) -> float:
        """Return the value as an error that is zero at best."""
        return 1.0 - value if self.greater_is_better else value

    def compared(self, ours: Any, theirs: Any, other: str, spread: Any = None) -> str:
        """Return how ``ours`` stands against ``theirs``, which is called ``other``, as a clause.

        ``spread`` is the standard error of ours: a smaller difference is called small.
        """
        a, b = finite(ours), finite(theirs)
        _ = self._
        if a is None or b is None:
            return ""
        a, b = self.error(a), self.error(b)
        if b <= 0 or a < 0 or math.isclose(a, b, rel_tol=5e-3):
            return _("about the same error as {other}").format(other=other)
        if a < b:
            said = _("{share} less error than {other}").format(share=percent(1 - a / b), other=other)
        else:
            said = _("{share} more error than {other}").format(share=percent(a / b - 1), other=other)
        is_small = abs(a - b) < (finite(spread) or 0.0)
        return said + " " + _("(less than one standard error)") if is_small else said


def metric_words(name: str, _: Words, *, greater_is_better: bool | None = None) -> MetricWords:
    """Return the words for a metric; a name that nobody knows stands for itself."""
    labels = {
        "rmse": _("root mean squared error"),
        "rmse_log": _("RMSE of the logarithm"),
        "mae": _("mean absolute error"),
        "mape": _("mean relative error"),
        "r2": _("R² (share of variance explained)"),
        "log_loss": _("log-loss"),
        "accuracy": _("accuracy"),
        "balanced_accuracy": _("balanced accuracy"),
        "f1_macro": _("F1 (mean over classes)"),
        "brier": _("Brier score"),
        "roc_auc": _("area under the ROC curve"),
        "interval_coverage": _("interval coverage"),
        "training_loss": _("training loss"),
        "training loss": _("training loss"),
    }
    greater = name in GREATER_IS_BETTER if greater_is_better is None else greater_is_better
    return MetricWords(name, labels.get(name, name.replace("_", " ")), greater, _)
