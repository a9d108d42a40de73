"""Intervals: they hold as often as they say, and widen when rows are opened again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from soundfit.metrics import interval as module
from soundfit.metrics.interval import mean_and_se, score_interval, score_se
from soundfit.metrics.ranking import roc_auc_influence
from soundfit.metrics.scores import METRICS


def noisy(n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = rng.normal(size=n_rows)
    return y, y + rng.normal(size=n_rows)


def graded(n_rows: int, rng: np.random.Generator, *, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes whose scores are shifted normals: the area is Φ(shift / √2)."""
    y = rng.permutation(np.arange(n_rows) % 2)
    score = 1 / (1 + np.exp(-(y * shift + rng.normal(size=n_rows) - shift / 2)))
    return y, np.column_stack([1 - score, score])


def hits(n_rows: int, rng: np.random.Generator, *, rate: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    y = rng.integers(0, 2, n_rows)
    said = np.where(rng.random(n_rows) < rate, y, 1 - y)
    return y, np.eye(2)[said]


# Log-loss of graded rows, E log(1 + exp(-(½ + z))).
GRID = np.linspace(-8, 8, 20_001)
GRADED_LOG_LOSS = float(np.sum(np.log1p(np.exp(-(0.5 + GRID))) * stats.norm.pdf(GRID)) * (GRID[1] - GRID[0]))
CASES = [
    ("rmse", noisy, 1.0),
    ("r2", noisy, 0.0),
    ("mae", noisy, math.sqrt(2 / math.pi)),
    ("accuracy", hits, 0.9),
    ("balanced_accuracy", hits, 0.9),
    ("log_loss", graded, GRADED_LOG_LOSS),
    ("roc_auc", graded, float(stats.norm.cdf(1 / math.sqrt(2)))),
]


@pytest.mark.parametrize(("name", "draw", "truth"), CASES, ids=[name for name, _, _ in CASES])
def test_the_interval_holds_about_as_often_as_it_says(name: str, draw: Any, truth: float) -> None:
    rng = np.random.default_rng(20)
    n_trials, inside = 300, 0
    for trial in range(n_trials):
        found = score_interval(METRICS[name], *draw(150, rng), seed=trial)
        inside += found.low <= truth <= found.high
    # Three standard errors of 300 trials at 95 % are 3.8 points; exact intervals may hold more often.
    assert 0.91 <= inside / n_trials <= (1.0 if name == "accuracy" else 0.985)


def test_rows_that_belong_together_are_not_counted_as_independent() -> None:
    rng = np.random.default_rng(3)
    inside = {"rows": 0, "groups": 0}
    for trial in range(200):
        group = np.repeat(np.arange(40), 10)
        error = np.repeat(rng.normal(size=40), 10) + 0.1 * rng.normal(size=400)
        y = rng.normal(size=400)
        for over, groups in (("rows", None), ("groups", group)):
            found = score_interval(METRICS["rmse"], y, y + error, groups=groups, seed=trial)
            assert found.method == f"bootstrap over {over}"
            inside[over] += found.low <= math.sqrt(1.01) <= found.high
    assert inside["groups"] >= 0.88 * 200
    assert inside["rows"] < 0.7 * 200


def test_accuracy_is_exact() -> None:
    y, output = hits(80, np.random.default_rng(0))
    k = int((output.argmax(1) == y).sum())
    found = score_interval(METRICS["accuracy"], y, output)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, k, 80 - k + 1))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, k + 1, 80 - k))
    assert found.method == "exact over rows"


def test_all_right_is_not_certain() -> None:
    y = np.arange(30) % 2
    found = score_interval(METRICS["accuracy"], y, np.eye(2)[y])
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / 30)), 1.0)
    grouped = score_interval(METRICS["accuracy"], y, np.eye(2)[y], groups=np.arange(30) // 3)
    assert grouped.low == pytest.approx(0.025 ** (1 / 10))


@pytest.mark.parametrize("name", ["rmse", "accuracy", "roc_auc"])
def test_each_opening_widens_the_interval_by_bonferroni(name: str) -> None:
    draw = {"rmse": noisy, "accuracy": hits, "roc_auc": graded}[name]
    y, output = draw(400, np.random.default_rng(0))
    found = [score_interval(METRICS[name], y, output, openings=n) for n in (1, 2, 5, 20, 1_000)]
    widths = [one.high - one.low for one in found]
    assert widths == sorted(widths)
    assert len(set(widths)) == 5
    assert all(one.level == 0.95 for one in found)
    same = score_interval(METRICS[name], y, output, level=0.99)
    assert (found[2].low, found[2].high) == (pytest.approx(same.low), pytest.approx(same.high))
    # Normal theory: the ratio of widths is the ratio of normal quantiles.
    expected = stats.norm.isf(0.025 / 1_000) / stats.norm.isf(0.025)
    assert widths[-1] / widths[0] == pytest.approx(expected, rel=0.25)


def test_a_ranking_score_may_be_resampled_through_its_influences(monkeypatch: pytest.MonkeyPatch) -> None:
    y, output = graded(600, np.random.default_rng(5))
    slow = score_interval(METRICS["roc_auc"], y, output)
    monkeypatch.setattr(module, "EXACT_RANK_UNITS", 10)
    fast = score_interval(METRICS["roc_auc"], y, output)
    assert fast != slow
    width = slow.high - slow.low
    assert fast.low == pytest.approx(slow.low, abs=0.08 * width)
    assert fast.high == pytest.approx(slow.high, abs=0.08 * width)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_influences_are_what_leaving_a_row_out_does(n_classes: int) -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, n_classes, 90)
    output = np.round(rng.dirichlet(np.ones(n_classes), 90) + 0.3 * np.eye(n_classes)[y], 1)
    influence = roc_auc_influence(y, output)
    metric = METRICS["roc_auc"]
    whole = metric(y, output)
    out = [metric(np.delete(y, i), np.delete(output, i, axis=0)) for i in range(90)]
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert np.corrcoef(influence, whole - np.array(out))[0, 1] > 0.999
    assert influence / 89 == pytest.approx(whole - np.array(out), abs=2e-3)
    if n_classes == 2:
        assert whole == pytest.approx(roc_auc_score(y, output[:, 1]))


def test_the_same_seed_gives_the_same_interval() -> None:
    y, output = noisy(50, np.random.default_rng(0))
    one, again = (score_interval(METRICS["mae"], y, output, seed=3) for _ in range(2))
    assert one == again
    assert score_interval(METRICS["mae"], y, output, seed=4) != one


def test_bounds_stay_where_scores_can_be() -> None:
    y, output = noisy(12, np.random.default_rng(0))
    assert score_interval(METRICS["r2"], y, y + 0.01 * output, openings=10_000).high <= 1.0
    assert score_interval(METRICS["rmse"], y, output, openings=10_000).low >= 0.0


def test_one_row_says_nothing_of_spread() -> None:
    found = score_interval(METRICS["rmse"], np.array([1.0]), np.array([2.0]))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.method.startswith("undefined")
    assert math.isnan(score_se(METRICS["rmse"], np.array([1.0]), np.array([2.0])))


def test_an_undefined_score_has_no_interval() -> None:
    found = score_interval(METRICS["roc_auc"], np.zeros(9, dtype=int), np.full((9, 2), 0.5))
    assert math.isnan(found.low)
    assert found.method.startswith("undefined")


@pytest.mark.parametrize(
    "options", [{"level": 1.0}, {"level": 0.0}, {"openings": 0}, {"groups": np.arange(4)}]
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="received"):
        score_interval(METRICS["rmse"], np.arange(5.0), np.ones(5), **options)


def test_standard_errors_are_those_of_theory() -> None:
    y, output = noisy(4_000, np.random.default_rng(0))
    error = np.abs(y - output)
    assert score_se(METRICS["mae"], y, output) == pytest.approx(error.std(ddof=1) / math.sqrt(4_000))
    assert score_se(METRICS["rmse"], y, output) == pytest.approx(1 / math.sqrt(8_000), rel=0.05)
    y, output = graded(4_000, np.random.default_rng(0))
    area = stats.norm.cdf(1 / math.sqrt(2))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)  # Hanley & McNeil 1982
    theory = math.sqrt((area * (1 - area) + 1_999 * (q1 + q2 - 2 * area**2)) / 2_000**2)
    assert score_se(METRICS["roc_auc"], y, output) == pytest.approx(theory, rel=0.05)


def test_mean_and_standard_error_of_folds() -> None:
    assert mean_and_se([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / math.sqrt(3)))
    mean, se = mean_and_se([0.7])
    assert mean == 0.7
    assert math.isnan(se)
    assert math.isnan(mean_and_se([])[0])
