"""Permutation importance: planted columns, a truth that can be computed, a slow twin, properties."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import soundfit as sf
from soundfit.records import Config
from soundfit.study.blend import blend_study
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.fold_models import fold_models
from soundfit.study.importance import _givers, columns_alike, permutation_importance
from soundfit.study.views import table_views
from soundfit.workflow import explain
from soundfit.workflow.explain import importance_record
from study.planted import known_models, planted_frame, planted_views

BASE = Config(batch_size=64, epochs=30, learning_rate=0.05, options={"beta2": 0.95})
CONFIGURATIONS = (
    BASE.with_(model="linear", width=0, depth=0, warmup=0.0),
    BASE.with_(width=16, depth=1),
)


@pytest.fixture(scope="module")
def planted():
    """Views, study and blend on 600 planted rows."""
    views = planted_views(planted_frame(600, seed=0))
    study = cross_validate_views(views, CONFIGURATIONS)
    return views, study, blend_study(views, study)


def test_columns_are_worth_what_was_planted(planted):
    views, study, blend = planted
    found = permutation_importance(fold_models(views, study, blend))
    by_name = {one.column: one for one in found}
    assert [one.column for one in found[:3]] == ["strong", "kind", "weak"]
    assert all(by_name[name].low > 0 for name in ("strong", "kind", "weak"))
    for name in ("noise", "flag", "day"):
        assert abs(by_name[name].value) < 0.05 * by_name["strong"].value
    assert all(one.low <= one.value <= one.high for one in found)
    assert {one.rows for one in found} == {len(views.table)}


def test_the_slow_twin_shuffles_the_raw_column_encodes_again_and_asks_each_member(planted):
    views, study, blend = planted
    models = fold_models(views, study, blend)
    fast = {one.column: one for one in permutation_importance(models, repeats=3, seed=5)}
    rng = np.random.default_rng(5)
    frame, target = views.table.frame, views.target
    columns = [c.name for c in views.table.columns if c.used]
    before, after = [], {name: [] for name in columns}
    for k, fold in enumerate(views.folds):
        rows = fold.validation
        before.append((_by_hand(views, study, blend, k, frame.iloc[rows]) - target[rows]) ** 2)
        draws = [_givers(len(rows), rng) for _ in range(3)]
        for name in columns:
            for givers in draws:
                shuffled = frame.iloc[rows].reset_index(drop=True)
                shuffled[name] = shuffled[name].to_numpy()[givers]
                predicted = _by_hand(views, study, blend, k, shuffled)
                after[name].append((predicted - target[rows]) ** 2)
    base = np.concatenate(before).mean() ** 0.5
    for name in columns:
        by_hand = np.concatenate(after[name]).mean() ** 0.5 - base
        assert fast[name].value == pytest.approx(by_hand, abs=2e-6)


def _by_hand(views, study, blend, k, frame):
    x = torch.from_numpy(views.encoders[k].transform(frame))
    total = 0.0
    for c, weight in zip(blend.configurations, blend.weights, strict=True):
        ((_, outcome),) = [(m, o) for m, o in study.outcomes_of(c) if m.fold == k]
        with torch.no_grad():
            total = total + weight * outcome.module(x).double().numpy()
    return views.predictions(k, total)


@pytest.mark.slow
def test_intervals_cover_a_truth_that_can_be_computed():
    # y = x + noise, and the model is x: shuffling x adds 2 Var(x) to the squared error.
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1.0, 1.0, size=150)
        frame = pd.DataFrame({"x": x, "other": rng.normal(size=150), "y": x + 0.3 * rng.normal(size=150)})
        models = _identity_models(planted_views(frame, folds=3, seed=seed))
        (found,) = permutation_importance(models, columns=["x"], repeats=4, seed=seed)
        truth = (0.09 + 2.0 / 3.0) ** 0.5 - 0.3
        covered.append(found.low <= truth <= found.high)
    # 95 % with a standard error of 2 points over 120 draws.
    assert 0.88 <= np.mean(covered) <= 1.0


class _Identity(torch.nn.Module):
    """Undoes the encoder and the target's scale, so that the prediction is x itself."""

    def __init__(self, encoder, scale):
        super().__init__()
        self.encoder, self.scale = encoder, scale

    def forward(self, x):
        z = x[:, :1].double()
        raw = z / torch.sqrt(1.0 - (z / 3.0) ** 2) * self.encoder.scale[0] + self.encoder.median[0]
        return (raw - self.scale.mean) / self.scale.sd


def _identity_models(views):
    from dataclasses import replace

    return [
        replace(m, modules=(_Identity(views.encoders[m.fold], views.scales[m.fold]),), weights=(1.0,))
        for m in known_models(views, {"x": 1.0})
    ]


@given(st.integers(2, 60), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_every_row_gives_once_and_never_to_itself(n, seed):
    givers = _givers(n, np.random.default_rng(seed))
    assert sorted(givers) == list(range(n))
    assert (givers != np.arange(n)).all()


@given(st.integers(0, 10_000), st.integers(2, 5), st.sampled_from(["noise", "weak", "kind", "day", "flag"]))
@settings(max_examples=12, deadline=None)
def test_a_column_that_no_member_reads_is_worth_nothing_and_one_that_does_something(seed, repeats, unread):
    views = planted_views(planted_frame(80, seed))
    models = known_models(views, {"strong": 1.0}, {"strong": 0.5})
    found = {one.column: one for one in permutation_importance(models, repeats=repeats, seed=seed)}
    assert (found[unread].value, found[unread].low, found[unread].high) == (0.0, 0.0, 0.0)
    assert found["strong"].low < found["strong"].value < found["strong"].high


def test_columns_that_tell_the_same_are_named():
    frame = planted_frame(400, seed=1)
    frame["twin"] = frame["strong"] * 3.0 + 0.2 * np.random.default_rng(0).normal(size=400)
    frame["wood"] = frame["kind"].map({"oak": "hard", "elm": "hard", "fir": "soft"})
    views = planted_views(frame)
    assert columns_alike(views, "strong") == ("twin",)
    assert columns_alike(views, "wood") == ("kind",)
    assert columns_alike(views, "noise") == ()


def test_classes_are_judged_by_log_loss():
    frame = planted_frame(500, seed=2)
    frame["y"] = np.where(frame["y"] > 0, "tall", "small")
    views = planted_views(frame)
    study = cross_validate_views(views, CONFIGURATIONS[:1])
    found = permutation_importance(fold_models(views, study, blend_study(views, study)))
    assert [one.column for one in found[:2]] == ["strong", "kind"]
    assert found[0].low > found[2].high


def test_few_predictions_are_spent_on_the_best_columns(planted, monkeypatch):
    views, study, blend = planted
    monkeypatch.setattr(explain, "_SHARE", 0.0)
    monkeypatch.setattr(explain, "_SECOND_LOOKS", 2)
    monkeypatch.setattr(explain, "_FEWEST_ROWS", 60)
    price = explain._row_price(views, study, blend)
    monkeypatch.setattr(explain, "_LEAST_COST", 6_000 * price)
    record = importance_record(views, study, blend)
    rows = {c["column"]: c["rows"] for c in record["columns"]}
    assert rows["strong"] == rows["kind"] > rows["noise"]
    spent = sum(c["rows"] * c["repeats"] for c in record["columns"])
    assert spent <= 6_000
    whole = importance_record(views, study, blend, should_stop=lambda: True)
    assert whole is None


def test_sealed_rows_have_no_say(planted):
    _, study, blend = planted
    frame = planted_frame(600, seed=0)
    table = sf.read(frame, target="y")
    plan = sf.split(table, folds=4, seed=0)
    poisoned = frame.copy()
    poisoned.loc[plan.test, ["y", "strong"]] = 1e6
    views = table_views(sf.read(poisoned, target="y"), plan)
    assert importance_record(views, study, blend) == importance_record(planted[0], study, blend)
