"""Effects: curves of models that are known, on correlated columns too."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundfit.study.effects import column_effects
from study.planted import known_models, planted_frame, planted_views


def _encoded(views, k, column, values):
    """Encode values of one column, by a frame of its own: the slow way."""
    frame = views.table.frame.head(1).loc[[0] * len(values)].reset_index(drop=True)
    frame[column] = values
    return views.encoders[k].transform(frame)


def test_a_curve_is_what_the_model_adds_for_each_value():
    views = planted_views(planted_frame(300, seed=0), folds=3)
    models = known_models(views, {"strong": 1.5, "noise": 0.2})
    (effect,) = column_effects(models, ["strong"])
    edges = [p.at for p in effect.points]
    place = views.encoders[0].feature_names.index("strong")
    by_fold = [
        views.predictions(k, 1.5 * _encoded(views, k, "strong", edges)[:, [place]].astype(float))
        for k in range(3)
    ]
    truth = np.mean(by_fold, axis=0)
    curve = np.array([p.value for p in effect.points])
    # Folds differ in how many rows of an interval they hold, hence not exactly the mean of the folds.
    assert np.allclose(np.diff(curve), np.diff(truth), rtol=0.08, atol=0.02)
    assert sum(p.rows for p in effect.points) == len(views.table)
    middles = (curve[1:] + curve[:-1]) / 2
    weights = np.array([p.rows for p in effect.points[1:]])
    assert (middles * weights).sum() / weights.sum() == pytest.approx(effect.mean)


def test_a_column_that_only_goes_along_with_a_strong_one_has_a_flat_curve():
    rng = np.random.default_rng(0)
    strong = rng.normal(size=400)
    frame = pd.DataFrame({"strong": strong, "follower": strong + 0.3 * rng.normal(size=400)})
    frame["y"] = 2.0 * frame["strong"] + 0.1 * rng.normal(size=400)
    models = known_models(planted_views(frame), {"strong": 1.0})
    effects = {e.column: e for e in column_effects(models, ["strong", "follower"])}
    assert np.ptp([p.value for p in effects["strong"].points]) > 1.0
    assert np.ptp([p.value for p in effects["follower"].points]) == pytest.approx(0.0, abs=1e-9)


def test_categories_are_told_apart_from_what_goes_along_with_them():
    frame = planted_frame(400, seed=3)
    # Fir stands where the strong column is high, but counts for nothing itself.
    high = frame["strong"] > 0.8
    frame.loc[high, "kind"] = "fir"
    views = planted_views(frame)
    models = known_models(views, {"strong": 1.0, "kind=oak": 0.5})
    (effect,) = column_effects(models, ["kind"])
    assert effect.kind == "categorical"
    value = {p.at: p.value for p in effect.points}
    observed = {p.at: p.observed for p in effect.points}
    assert effect.points[0].at == "oak"
    assert value["fir"] == pytest.approx(value["elm"])
    sd = np.mean([s.sd for s in views.scales])
    assert value["oak"] - value["elm"] == pytest.approx(0.5 * sd, rel=0.02)
    assert observed["fir"] > observed["elm"] + 0.5
    assert sum(p.rows for p in effect.points) == len(views.table)


def test_dates_and_flags_have_names_that_people_read():
    views = planted_views(planted_frame(300, seed=4))
    flag = next(n for n in views.encoders[0].feature_names if n.startswith("flag"))
    models = known_models(views, {"day.days": 0.7, flag: 0.4})
    day, yes_no = column_effects(models, ["day", "flag"])
    assert day.kind == "date"
    dates = [p.at for p in day.points]
    assert dates == sorted(dates)
    assert dates[0].startswith("2020-01-0")
    rises = np.diff([p.value for p in day.points])
    assert (rises > 0).all()
    assert [p.at for p in yes_no.points] == ["yes", "no"]
    assert yes_no.points[0].value > yes_no.points[1].value


def test_missing_values_and_whole_numbers():
    frame = planted_frame(300, seed=5)
    frame["rooms"] = np.random.default_rng(0).integers(1, 6, 300).astype(float)
    frame.loc[::7, "rooms"] = np.nan
    frame["y"] += frame["rooms"].fillna(3)
    views = planted_views(frame)
    models = known_models(views, {"rooms": 1.0})
    (effect,) = column_effects(models, ["rooms"])
    assert [p.at for p in effect.points] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert sum(p.rows for p in effect.points) == int(views.table.frame["rooms"].notna().sum())


def test_of_many_classes_the_one_that_moves_most_is_shown():
    frame = planted_frame(300, seed=6)
    frame["y"] = pd.cut(frame["y"], 3, labels=["low", "middle", "high"]).astype(str)
    views = planted_views(frame)
    place = views.encoders[0].feature_names.index("strong")

    class OneClass(torch.nn.Module):
        def forward(self, x):
            logits = torch.zeros(len(x), 3)
            logits[:, 2] = 2.0 * x[:, place]
            return logits

    from dataclasses import replace

    models = [replace(m, modules=(OneClass(),), weights=(1.0,)) for m in known_models(views, {"strong": 1.0})]
    (effect,) = column_effects(models, ["strong"])
    assert effect.outcome == 2
    assert all(0 <= p.value <= 1 for p in effect.points)


def test_a_constant_among_these_rows_has_no_curve():
    frame = planted_frame(200, seed=7)
    views = planted_views(frame)
    models = known_models(views, {"strong": 1.0})
    for model in models:
        views.table.frame.loc[model.rows, "weak"] = 1.0
    assert column_effects(models, ["weak"]) == []
