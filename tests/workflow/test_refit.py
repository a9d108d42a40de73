"""A final model that was trained again on all rows: recorded, told, saved, exported, resumed, examined."""

import json

import jsonschema
import numpy as np
import onnxruntime
import pandas as pd
import pytest

import soundfit as sf
from soundfit.artifact import load_predictor
from soundfit.artifact.onnx import save_onnx
from soundfit.artifact.torch_program import load_torch, save_torch
from soundfit.report.numbers import NO_BREAK
from soundfit.report.run_view import view_of
from soundfit.report.verdict_words import final_line
from soundfit.report.words import Words
from soundfit.study import refit as refitting
from soundfit.workflow import inquiry, prescribe


def table(n=120, classes=False):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 3))
    y = x @ [1.0, -2.0, 0.5] + np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=n)
    kind = np.array(["a", "b", "c"])[rng.integers(0, 3, size=n)]
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": kind})
    return frame.assign(y=np.where(y > 0, "yes", "no") if classes else y)


@pytest.fixture(autouse=True, scope="module")
def _quick(tmp_path_factory):
    """Leave out the learning curve and prescriptions, and take the refit whatever the comparison says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inquiry, "_CURVE_COST", 0.0)
        patch.setattr(inquiry, "_CURVE_SHARE", 0.0)
        patch.setattr(prescribe, "_MOST_ROUNDS", 0)
        patch.setattr(refitting.Comparison, "better", True)
        patch.setenv("SOUNDFIT_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.sqlite"))
        yield


def train(frame, **given):
    return sf.train(frame, target="y", model="linear", folds=3, **given)


@pytest.fixture(scope="module", params=["values", "classes"])
def run(request, tmp_path_factory):
    return train(table(classes=request.param == "classes"), out=tmp_path_factory.mktemp("run") / "run")


def test_the_record_says_so_and_follows_the_schema(run, request):
    document = json.loads((run.path / "run.json").read_text())
    jsonschema.validate(document, json.loads((request.path.parent / "run_schema.json").read_text()))
    found, final = document["refit"], document["final"]
    assert found["chosen"] is True
    assert found["members"] == final["members"] == len(run.predictor.modules)
    assert final["members"] == 3 * len(final["configurations"])
    assert set(found["epochs"]) == {str(c["configuration"]) for c in final["configurations"]}
    assert found["difference"] == pytest.approx(found["loss"] - found["loss_folds"])
    assert final["kind"] == ("refit" if len(final["configurations"]) == 1 else "blend")
    assert len(run.predictor.distinct_encoders) == 1


def test_what_is_saved_and_exported_predicts_the_same(run, tmp_path):
    frame = table(classes=run.document["data"]["task"] == "classification").drop(columns="y")
    expected = run.predict(frame)
    loaded = load_predictor(run.path)
    pd.testing.assert_frame_equal(loaded.predict(frame), expected)
    numbers = expected.select_dtypes("number").to_numpy()
    save_torch(loaded, tmp_path / "model.pt2")
    program = load_torch(tmp_path / "model.pt2").predict(frame).select_dtypes("number")
    np.testing.assert_allclose(program.to_numpy(), numbers, rtol=1e-6, atol=1e-9)
    save_onnx(loaded, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    fed = {c.name: frame[c.name].to_numpy() for c in session.get_inputs()}
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, fed), strict=True))
    if "probabilities" in found:
        np.testing.assert_allclose(found["probabilities"], numbers, atol=1e-4)
    else:
        np.testing.assert_allclose(found["prediction"], numbers[:, 0], rtol=1e-4, atol=1e-4)


def test_the_exam_is_of_the_refitted_model(run):
    sealed = run.table.frame.iloc[run.plan.test]
    predicted, target = run.predictor.outputs(sealed), run.table.target[run.plan.test]
    if run.document["data"]["task"] == "regression":
        value = np.sqrt(np.mean((predicted - target) ** 2))
    else:
        value = -np.mean(np.log(predicted[np.arange(len(target)), target.astype(int)]))
    assert run.exam["value"] == pytest.approx(value)


def test_sealed_rows_change_nothing_of_a_refit():
    frame = table()
    clean = train(frame, keep_sealed=True)
    poisoned = frame.copy()
    poisoned.loc[clean.plan.test, ["a", "b", "c"]] = 1e7
    poisoned.loc[clean.plan.test, "y"] = -1e9
    other = train(poisoned, keep_sealed=True)
    assert clean.document["refit"] == other.document["refit"]
    some = frame.drop(columns="y").head(20)
    assert np.array_equal(clean.predictor.outputs(some), other.predictor.outputs(some))


@pytest.mark.parametrize("given", [{"folds": "holdout"}, {"time": "when"}])
def test_one_fold_and_folds_by_time_are_not_compared(given):
    frame = table().assign(when=pd.date_range("2026-01-01", periods=120).astype(str))
    document = sf.train(frame, target="y", model="linear", keep_sealed=True, **given).document
    assert "refit" not in document
    assert document["final"]["kind"] in ("fold-ensemble", "blend")


FINAL = {"members": 5, "configurations": [{"configuration": 0, "model": "mlp", "weight": 1.0}]}
COMPARED = {"loss": 0.01234, "loss_folds": 0.01343, "difference": -0.00111, "se": 0.000456}


@pytest.mark.parametrize(
    ("kind", "chosen", "sentence"),
    [
        (
            "refit",
            True,
            "Final model: the mean of 5 members of the chosen configuration. Its members are trained on all "
            "rows that are not sealed: one scale smaller, that validates better than fold members "
            "(91.9 % of their loss, SE 3.4 %).",
        ),
        (
            "fold-ensemble",
            False,
            "Final model: the mean of its 5 fold members. Its members miss a fold each: one scale smaller, "
            "training on all rows validates no better (91.9 % of the fold members' loss, SE 3.4 %).",
        ),
    ],
)
def test_the_report_says_which_and_why(kind, chosen, sentence):
    told = view_of({"final": {"kind": kind, **FINAL}, "refit": {"chosen": chosen, **COMPARED}})
    assert final_line(told, Words("en")).replace(NO_BREAK, " ") == sentence
    assert "训练" in final_line(told, Words("zh"))
    silent = view_of({"final": {"kind": "fold-ensemble", **FINAL}})
    assert final_line(silent, Words("en")) == "Final model: the mean of its 5 fold members."


@pytest.mark.filterwarnings("ignore:.*is degenerate.*")
def test_predictions_of_logarithms_are_means_everywhere(tmp_path):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(400, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.exp(6 + x[:, 0] + 0.6 * rng.normal(size=400))})
    found = sf.train(frame, target="y", model="linear", folds=3, out=tmp_path / "run")
    factor = found.document["final"]["mean_factor"]
    assert 1.05 < factor < 1.4  # e^(.6² / 2) is 1.2
    rows = pd.DataFrame({"a": rng.normal(size=2_000), "b": rng.normal(size=2_000)})
    told = found.predict(rows)
    assert told["prediction"].mean() == pytest.approx(np.exp(6 + rows["a"] + 0.18).mean(), rel=0.12)
    assert (told["low"] < told["prediction"]).all()
    assert (told["high"] > told["prediction"]).all()
    truth = np.exp(6 + rows["a"] + 0.6 * rng.normal(size=2_000))
    assert 0.86 < ((truth >= told["low"]) & (truth <= told["high"])).mean() < 0.95
    again = load_predictor(found.path).predict(rows)
    np.testing.assert_allclose(again["prediction"], told["prediction"])
    save_torch(found.predictor, tmp_path / "model.pt2")
    exported = load_torch(tmp_path / "model.pt2").predict(rows)
    np.testing.assert_allclose(exported["prediction"], told["prediction"], rtol=1e-4)
    assert "means" in final_line(view_of(found.document), Words("en"))
