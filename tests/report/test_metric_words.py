from __future__ import annotations

import pytest

from soundfit.metrics.scores import METRICS
from soundfit.report.metric_words import GREATER_IS_BETTER, metric_words
from soundfit.report.words import Words

_ = Words()


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_every_metric_has_words_and_the_same_direction() -> None:
    for name, metric in METRICS.items():
        words = metric_words(name, _)
        assert words.label != name or name == "accuracy"
        assert words.greater_is_better == metric.greater_is_better == (name in GREATER_IS_BETTER)


@pytest.mark.parametrize(
    ("name", "value", "spread", "shown"),
    [
        ("rmse_log", 0.12345, 0.0034, "0.1235 ± 0.0034"),
        ("rmse", 21_480.3, 310.0, "21,480 ± 310"),
        ("accuracy", 0.98123, 0.0042, "98.12 % ± 0.42 %"),
        ("log_loss", 0.4204, None, "0.420"),
        ("roc_auc", None, 0.1, "–"),
    ],
)
def test_scores_carry_the_digits_that_their_spread_allows(
    name: str, value: float | None, spread: float | None, shown: str
) -> None:
    shown = shown.replace(" % ±", " ±")
    assert plain(metric_words(name, _).show_spread(value, spread)) == shown


def test_a_difference_is_clear_only_beyond_the_standard_error() -> None:
    words = metric_words("rmse", _)
    assert plain(words.compared(80, 100, "the rest", 5)) == "20 % less error than the rest"
    assert plain(words.compared(100, 80, "the rest", 5)) == "25 % more error than the rest"
    assert words.compared(98, 100, "the rest", 5).endswith("(less than one standard error)")
    assert words.compared(100, 100.1, "the rest") == "about the same error as the rest"


def test_accuracy_is_compared_by_its_mistakes() -> None:
    words = metric_words("accuracy", _)
    assert plain(words.compared(0.95, 0.90, "the rest")) == "50 % less error than the rest"
    assert words.is_better(0.95, 0.90)


def test_meaning_in_everyday_words() -> None:
    assert plain(metric_words("rmse_log", _).meaning(0.1)) == "typically off by about 11 %"
    assert "65 %" in plain(metric_words("log_loss", _).meaning(0.43))
    assert metric_words("rmse", _).meaning(3.0) == ""
    assert metric_words("rmse_log", _).meaning(float("nan")) == ""
