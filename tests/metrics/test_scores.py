"""Scores: each is held against scikit-learn's function, and weights against repeated rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from soundfit.errors import UsageError
from soundfit.metrics.scores import METRICS, MeanMetric, metric_named, others

REGRESSION: dict[str, Callable[[Any, Any], float]] = {
    "rmse": sk.root_mean_squared_error,
    "rmse_log": lambda y, p: sk.root_mean_squared_error(np.log(y), np.log(p)),
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
}
CLASSIFICATION: dict[str, Callable[[Any, Any], float]] = {
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=range(p.shape[1])),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.recall_score(y, p.argmax(1), labels=np.unique(y), average="macro"),
    "f1_macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "brier": lambda y, p: (
        sk.brier_score_loss(y, p[:, 1])
        if p.shape[1] == 2
        else np.mean(np.sum((p - np.eye(p.shape[1])[y]) ** 2, axis=1))
    ),
    "roc_auc": lambda y, p: (
        sk.roc_auc_score(y, p[:, 1])
        if p.shape[1] == 2
        else np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in np.unique(y)])
    ),
}


def regression_rows(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.lognormal(2, 1, n_rows)
    return y, y * rng.lognormal(0, 0.3, n_rows)


def class_rows(n_rows: int, n_classes: int, seed: int, *, present: int | None = None) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, rng.integers(0, present or n_classes, n_rows - 2)]
    output = rng.dirichlet(np.ones(n_classes), n_rows)
    output = np.round(0.7 * output + 0.3 * np.eye(n_classes)[y], 2)  # rounding makes ties
    return y, output / output.sum(axis=1, keepdims=True)


def test_every_metric_has_a_twin_here() -> None:
    assert set(METRICS) == set(REGRESSION) | set(CLASSIFICATION)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.task == ("regression" if name in REGRESSION else "classification")
        assert metric.greater_is_better == (metric.highest == 1.0)


@given(name=st.sampled_from(sorted(REGRESSION)), n_rows=st.integers(2, 80), seed=st.integers(0, 999))
@settings(deadline=None)
def test_regression_scores_equal_scikit_learns(name: str, n_rows: int, seed: int) -> None:
    y, output = regression_rows(n_rows, seed)
    assert METRICS[name](y, output) == pytest.approx(REGRESSION[name](y, output), rel=1e-9)


@given(
    name=st.sampled_from(sorted(CLASSIFICATION)),
    n_rows=st.integers(5, 80),
    n_classes=st.integers(2, 5),
    seed=st.integers(0, 999),
    lacking=st.booleans(),
)
@settings(deadline=None)
def test_classification_scores_equal_scikit_learns(
    name: str, n_rows: int, n_classes: int, seed: int, lacking: bool
) -> None:
    y, output = class_rows(n_rows, n_classes, seed, present=2 if lacking else None)
    assert METRICS[name](y, output) == pytest.approx(CLASSIFICATION[name](y, output), rel=1e-9)


@given(name=st.sampled_from(sorted(METRICS)), seed=st.integers(0, 999))
@settings(deadline=None)
def test_a_weight_is_a_repeated_row(name: str, seed: int) -> None:
    y, output = regression_rows(40, seed) if name in REGRESSION else class_rows(40, 3, seed)
    weight = np.random.default_rng(seed).integers(0, 4, 40)
    weight[:2] = 1
    fast = METRICS[name].weighted(y, output)(np.stack([weight, np.ones(40)]).astype(float))
    rows = np.repeat(np.arange(40), weight)
    slow = [METRICS[name](y[rows], output[rows]), METRICS[name](y, output)]
    assert fast == pytest.approx(slow, rel=1e-9)


def test_per_row_parts_average_to_the_score() -> None:
    y, output = class_rows(50, 3, 0)
    for name in ("log_loss", "accuracy", "brier"):
        metric = METRICS[name]
        assert isinstance(metric, MeanMetric)
        assert metric.per_row(y, output).mean() == pytest.approx(metric(y, output))


def test_r2_keeps_its_digits_far_from_zero() -> None:
    y, output = regression_rows(100, 0)
    assert METRICS["r2"](y + 1e7, output + 1e7) == pytest.approx(sk.r2_score(y, output), rel=1e-6)


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
def test_one_class_alone_is_no_error(name: str) -> None:
    score = METRICS[name](np.ones(4, dtype=int), np.full((4, 3), 1 / 3))
    assert np.isnan(score) if name == "roc_auc" else np.isfinite(score)


def test_certain_and_wrong_is_costly_but_finite() -> None:
    assert 30 < METRICS["log_loss"](np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]])) < 40


def test_others_are_those_that_are_defined() -> None:
    y, output = regression_rows(50, 0)
    assert set(others("regression", y, output)) == set(REGRESSION)
    assert set(others("regression", y, output, but="rmse")) == set(REGRESSION) - {"rmse"}
    assert set(others("regression", y - y[0], output)) == {"rmse", "mae", "r2"}
    assert set(others("regression", np.full(3, 2.0), np.ones(3))) == set(REGRESSION) - {"r2"}
    assert "roc_auc" not in others("classification", np.zeros(4, dtype=int), np.full((4, 2), 0.5))


def test_an_unknown_metric_is_refused_with_a_proposal() -> None:
    with pytest.raises(UsageError, match=r"Received: 'logloss'. Fix: did you mean 'log_loss'\?"):
        metric_named("logloss")


@pytest.mark.parametrize(
    ("name", "y", "output"),
    [
        ("accuracy", np.array([0, 2]), np.full((2, 2), 0.5)),
        ("accuracy", np.array([0, 1]), np.array([0.5, 0.5])),
        ("rmse", np.zeros(3), np.zeros((3, 1))),
        ("rmse", np.zeros(3), np.zeros(2)),
        ("rmse", np.zeros(0), np.zeros(0)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, y: np.ndarray, output: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"received"):
        METRICS[name](y, output)
