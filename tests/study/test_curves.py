"""Studies on generated tables whose answers are known: capacity, restraint, rates, repeats, memorising."""

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.errors import StopError, UsageError
from soundfit.models.complexity import capacity_measures, vc_bounds
from soundfit.records import Config, Event, Trace
from soundfit.study.capacity import capacity_configurations, double_descent
from soundfit.study.cross_validation import Hooks
from soundfit.study.curve import score_point
from soundfit.study.memorising import memorising
from soundfit.study.rate_range import stable_limit
from soundfit.study.repeated import corrected_interval, repeat_folds


def _wave(n=240, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1] ** 2 + noise * rng.normal(size=n)
    return pd.DataFrame(x, columns=["a", "b"]).assign(y=y)


def test_a_wave_needs_more_than_a_line_and_the_picture_says_so():
    curve = sf.capacity_curve(_wave(), target="y", widths=(1, 32), depths=(0, 1), seeds=1, folds=3)
    by_size = {(p["width"], p["depth"]): p for p in curve.points}
    assert set(by_size) == {(0, 0), (1, 1), (32, 1)}
    assert by_size[32, 1]["validation"] < 0.7 * by_size[0, 0]["validation"]
    assert by_size[32, 1]["chosen"]
    assert "1 × 32 units" in curve.sentence
    assert by_size[32, 1]["low"] < by_size[32, 1]["validation"] < by_size[32, 1]["high"]
    assert by_size[0, 0]["vc_lower"] == 3.0
    assert by_size[0, 0]["degrees_of_freedom"] == pytest.approx(2.0, abs=2.0)
    assert curve.to_dict()["question"] == "capacity"


def test_a_budget_leaves_out_the_largest_sizes():
    curve = sf.capacity_curve(
        _wave(),
        target="y",
        widths=(1, 512),
        depths=(0, 1),
        seeds=1,
        folds=3,
        hooks=Hooks(seconds_left=lambda: 0.0),
    )
    assert [p["depth"] for p in curve.points] == [0]
    assert "2 larger sizes did not fit the budget" in curve.sentence


def test_restraint_helps_where_columns_are_many_and_rows_few():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 40))
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(40)]).assign(y=x[:, 0] + rng.normal(size=90))
    curve = sf.regularization_path(
        frame, target="y", width=32, depth=1, decays=(0.0, 3.0), dropouts=(0.5,), seeds=1, folds=3
    )
    assert len(curve.points) == 3
    free = next(p for p in curve.points if p["weight_decay"] == 0)
    held = [p for p in curve.points if p["weight_decay"] == 3.0]
    assert held[0]["validation"] < free["validation"]
    assert "better than without" in curve.sentence


def test_larger_batches_stand_larger_rates():
    curve = sf.learning_rate_range(_wave(400), target="y", batch_sizes=(8, 128), seeds=1, folds=3)
    small, large = curve.points
    assert small["batch_size"] == 8
    assert 1e-3 < small["limit"] < large["limit"] < 10.0
    assert small["suggested"] == pytest.approx(small["limit"] / 3)
    assert 0.0 < curve.facts["exponent"] < 1.5
    assert "stable up to a learning rate" in curve.sentence


def test_more_rows_help_a_wide_line_and_the_sentence_says_how_much():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(150, 30))
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(30)]).assign(
        y=x.sum(1) + 4 * rng.normal(size=150)
    )
    curve = sf.learning_curve(frame, target="y", depth=0, parts=(0.25, 0.5), seeds=1, folds=3)
    rows = [p["rows"] for p in curve.points]
    assert rows == sorted(rows)
    assert curve.points[0]["validation"] > curve.points[-1]["validation"]
    assert curve.facts["gain"] > 0.03
    assert "Twice the training rows" in curve.sentence


def test_a_study_says_what_it_cannot_use():
    with pytest.raises(UsageError, match="A study needs a target column"):
        sf.capacity_curve(_wave())
    with pytest.raises(UsageError, match="Options of a study are those"):
        sf.capacity_curve(_wave(), target="y", fold=3)
    with pytest.raises(StopError, match="give it a longer --budget"):
        sf.capacity_curve(_wave(), target="y", budget=0.001)
    with pytest.raises(ValueError, match="widths are 1 or more"):
        capacity_configurations(100, widths=(0,))


def test_a_stable_limit_is_read_off_a_known_loss():
    config = Config(learning_rate=10.0, schedule="range", epochs=60)
    at = np.arange(1.0, 61.0)
    loss = np.concatenate([np.linspace(1.0, 0.2, 45), np.linspace(0.25, 9.0, 15)])
    trace = Trace("epoch", at, {"training_loss": loss, "validation_loss": loss})
    limit, lowest = stable_limit(trace, config, 10)
    rate_45 = 10.0 * 10.0 ** (6.0 * (449.5 / 600) - 6.0)
    assert lowest == pytest.approx(rate_45)
    assert rate_45 <= limit < 2 * rate_45
    early = Trace("epoch", at, trace.series, events=(Event("rollback", 20, "non-finite"),))
    assert stable_limit(early, config, 10)[0] < 0.05 * limit


def test_repeats_draw_new_folds_of_the_same_rows():
    table = sf.read(_wave(100), target="y")
    plan = sf.split(table, folds=4)
    repeated = repeat_folds(table, plan, 3)
    assert len(repeated.folds) == 12
    for r in range(3):
        validated = np.sort(np.concatenate([f.validation for f in repeated.folds[4 * r : 4 * r + 4]]))
        assert np.array_equal(validated, plan.train)
    assert not np.array_equal(repeated.folds[0].validation, repeated.folds[4].validation)
    by_time = sf.split(table, folds=4, time="row")
    assert repeat_folds(table, by_time, 3) is by_time


def test_the_corrected_interval_is_wider_than_the_naive_one():
    scores = np.random.default_rng(3).normal(1.0, 0.1, size=10)
    low, high, se = corrected_interval(scores, 0.25)
    naive = scores.std(ddof=1) / np.sqrt(10)
    assert se == pytest.approx(naive * np.sqrt(1 + 10 * 0.25))
    assert low < scores.mean() < high
    assert np.isnan(corrected_interval(scores[:1], 0.25)[2])


def test_a_line_has_as_many_degrees_of_freedom_as_columns_and_a_wide_net_fits_noise():
    x = np.random.default_rng(4).normal(size=(120, 10))
    base = Config(epochs=60, batch_size=32, learning_rate=0.05, warmup=0.0)
    line, net = memorising(
        x, [base.with_(model="linear", width=0, depth=0), base.with_(width=256, depth=1)], seeds=range(6)
    )
    assert line.degrees_of_freedom == pytest.approx(10.0, abs=3.5)
    assert line.fitted == pytest.approx(10 / 120, abs=0.05)
    assert net.fitted > 0.7
    assert net.degrees_of_freedom > 5 * line.degrees_of_freedom


def test_bounds_of_theory():
    assert vc_bounds(Config(model="linear", depth=0), 7, 8) == (8.0, 8.0)
    small, large = (vc_bounds(Config(width=w, depth=2), 7, 10 * w * w) for w in (16, 64))
    assert small[0] < small[1] < large[1]
    assert capacity_measures(Config(width=8, depth=1), 4, 1, 49)["parameters"] == 49


@pytest.mark.parametrize(
    ("errors", "peak"),
    [
        ([3.0, 1.0, 2.0, 0.9], 4),
        ([3.0, 2.0, 1.0, 0.9], None),
        ([1.0, 2.0, 3.0], None),
        ([1.0, 1.01, 1.0], None),
    ],
)
def test_double_descent_is_a_peak_between_two_valleys(errors, peak):
    sizes = np.array([1, 2, 4, 8][: len(errors)])
    assert double_descent(np.array(errors), sizes, greater_is_better=False) == peak
    assert double_descent(-np.array(errors), sizes, greater_is_better=True) == peak


def test_one_fold_has_no_interval():
    point = score_point(np.array([0.1]), np.array([0.2]))
    assert point["se"] is point["low"] is point["high"] is None
