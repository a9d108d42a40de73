"""Intervals and temperatures travel with a saved model, and damaged ones are refused."""

import json

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.artifact import load_predictor, save_predictor
from soundfit.errors import UsageError


def _frame(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    scatter = 0.3 + 0.3 * (x[:, 0] > 0)
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        y=x @ [1.0, 0.5, 0.0] + scatter * rng.normal(size=n)
    )


@pytest.fixture(scope="module")
def run():
    return sf.train(_frame(0, 900), target="y", model="linear", folds=5)


def test_nine_tenths_of_new_rows_lie_between_low_and_high(run):
    new = _frame(1, 4000)
    predicted = run.predict(new)
    assert list(predicted.columns) == ["prediction", "low", "high"]
    assert (predicted["low"] < predicted["prediction"]).all()
    inside = ((predicted["low"] <= new["y"]) & (new["y"] <= predicted["high"])).mean()
    assert 0.87 <= inside <= 0.93
    assert run.exam["others"]["interval_coverage"] == pytest.approx(0.9, abs=0.07)


def test_under_a_logarithm_bounds_are_factors_and_stay_positive():
    frame = _frame(2, 500)
    frame["y"] = np.exp(1.5 * frame["y"])
    predicted = sf.train(frame, target="y", model="linear", folds=5).predict(frame)
    assert (predicted["low"] > 0).all()
    assert ((predicted["low"] <= frame["y"]) & (frame["y"] <= predicted["high"])).mean() > 0.85


def test_a_saved_interval_is_read_back_and_a_damaged_one_refused(run, tmp_path):
    save_predictor(run.predictor, tmp_path / "model")
    new = _frame(3, 20)
    pd.testing.assert_frame_equal(load_predictor(tmp_path).predict(new), run.predict(new))
    assert list(run.predict(new.iloc[:0]).columns) == ["prediction", "low", "high"]
    path = tmp_path / "model" / "model.json"
    described = json.loads(path.read_text())
    for change in ({"interval": {"level": 0.9}}, {"temperature": 0.0}, {"temperature": "hot"}):
        path.write_text(json.dumps(described | change))
        with pytest.raises(UsageError, match="A saved model is read only when all of it is whole"):
            load_predictor(tmp_path)
    older = {name: value for name, value in described.items() if name not in ("interval", "temperature")}
    path.write_text(json.dumps(older))
    assert list(load_predictor(tmp_path).predict(new).columns) == ["prediction"]
