"""Sequences through the whole story: train, predict, exam, report; every form of source; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import soundfit as sf
from soundfit.errors import StopError, UsageError
from soundfit.study import sequences as studied
from soundfit.workflow.exam import exam_run
from soundfit.workflow.kind import data_kind
from soundfit.workflow.options import Options


@pytest.fixture(autouse=True)
def few(monkeypatch, tmp_path):
    """Train for a few updates: these tests ask whether parts fit, not how good they get."""
    monkeypatch.setattr(studied, "sequence_epochs", lambda n_train, n_steps: (32, 3))
    monkeypatch.setenv("SOUNDFIT_LEDGER", str(tmp_path / "ledger.sqlite"))


def _data(seed: int = 0, n: int = 90, steps: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, steps, 2)).astype(np.float32)
    lengths = rng.integers(2, steps + 1, n)
    y = np.array([row[0, 0] + row[:k, 1].mean() for row, k in zip(x, lengths, strict=True)])
    return x, lengths, y


def _npz(folder: Path, **arrays) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _long(x, lengths, y) -> pd.DataFrame:
    rows = [
        {"visit": f"v{i}", "hour": t, "a": x[i, t, 0], "b": x[i, t, 1], "y": y[i]}
        for i in range(len(x))
        for t in range(lengths[i])
    ]
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_all_models_side_by_side_and_a_whole_run_folder(tmp_path):
    x, lengths, y = _data()
    x[5, 0, 1] = np.nan
    path = _npz(tmp_path, X=x, y=1000.0 * y, lengths=lengths)
    run = sf.train(path, folds=2, out=tmp_path / "run")
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["data"]["kind"] == "sequences"
    final = document["final"]
    assert final["members"] == 2 * len(final["configurations"]) <= 6
    assert final["value"] <= final["chosen_alone"]
    assert {c.model for c in run.result.configurations} == {"linear", "mlp", "rnn", "gru", "lstm"}
    assert set(document["stability"]["gradient_by_step"]) == {"rnn", "gru", "lstm"}
    assert all(len(g["norms"]) == 6 for g in document["stability"]["gradient_by_step"].values())
    assert any(f["code"] == "missing-steps" for f in document["audit"]["findings"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "90 sequences, 2 channels" in page
    assert "What the loss teaches each step" in page
    predicted = sf.load(tmp_path / "run").predict(path)
    assert len(predicted) == len(x)
    assert (predicted["low"] <= predicted["high"]).all()
    # Rows by themselves and in another order: the same predictions.
    order = np.random.default_rng(1).permutation(len(x))[:20]
    few_rows = _npz(tmp_path, X=x[order], lengths=lengths[order])
    assert_allclose(run.predict(few_rows)["prediction"], predicted["prediction"].iloc[order], rtol=1e-4)


def test_classes_keep_their_names_and_the_seal_opens_later(tmp_path):
    x, lengths, y = _data()
    path = _npz(tmp_path, X=x, y=np.where(y > 0, "up", "down"), lengths=lengths)
    run = sf.train(path, model="gru", folds=2, keep_sealed=True, out=tmp_path / "run")
    assert run.exam is None
    document, _ = exam_run(tmp_path / "run")
    assert document["exam"]["rows"] == len(run.plan.test)
    predicted = run.predict(path)
    assert set(predicted["prediction"]) <= {"up", "down"}
    assert_allclose(predicted["probability_up"] + predicted["probability_down"], 1.0, rtol=1e-6)


@pytest.mark.parametrize("model", ["linear", "lstm"])
def test_long_tables_by_sequence_and_by_the_group_of_a_recurrent_model(tmp_path, model):
    x, lengths, y = _data()
    frame = _long(x, lengths, y)
    frame.to_csv(tmp_path / "steps.csv", index=False)
    run = sf.train(tmp_path / "steps.csv", target="y", sequence="visit", time="hour", model=model, folds=2)
    assert len(run.table) == len(x)
    predicted = run.predict(frame.drop(columns="y").sample(frac=1.0, random_state=0))
    assert set(predicted["visit"]) == set(frame["visit"])
    named = run.predict(frame).set_index("visit")["prediction"]
    assert_allclose(named[predicted["visit"]], predicted["prediction"], rtol=1e-4)
    if model == "lstm":
        again = sf.train(tmp_path / "steps.csv", target="y", group="visit", time="hour", model=model, folds=2)
        assert again.document["cv"] == run.document["cv"]


def test_groups_of_sequences_stay_on_one_side(tmp_path):
    x, lengths, y = _data()
    frame = _long(x, lengths, y).assign(patient=lambda f: f["visit"].str[1:].astype(int) % 15)
    run = sf.train(frame, target="y", sequence="visit", time="hour", group="patient", model="linear", folds=2)
    patients = run.table.frame["patient"].to_numpy()
    for fold in run.plan.folds:
        assert not set(patients[fold.train]) & set(patients[fold.validation])
    assert not set(patients[run.plan.train]) & set(patients[run.plan.test])


def test_windows_of_one_recording_stop_the_work(tmp_path):
    signal = np.cumsum(np.random.default_rng(0).normal(size=400))
    windows = np.stack([signal[i : i + 20] for i in range(0, 380, 5)])
    with pytest.raises(StopError, match="windows overlap"):
        sf.train(_npz(tmp_path, X=windows, y=windows[:, -1]), model="linear")


@pytest.mark.slow
def test_poisoned_test_rows_change_nothing_that_is_fitted(tmp_path):
    x, lengths, y = _data()
    runs = []
    for poison in (False, True):
        path = _npz(tmp_path, X=x, y=y, lengths=lengths)
        if poison:
            test = runs[0].table.file_rows[runs[0].plan.test]
            spoiled = x.copy()
            spoiled[test] += 100.0
            path = _npz(
                tmp_path, X=spoiled, y=np.where(np.isin(np.arange(len(y)), test), y + 50, y), lengths=lengths
            )
        runs.append(sf.train(path, model="lstm", folds=2, keep_sealed=True))
    assert set(runs[0].plan.test) == set(runs[1].plan.test)
    assert runs[0].document["cv"] == runs[1].document["cv"]
    for a, b in zip(runs[0].predictor.modules, runs[1].predictor.modules, strict=True):
        for name, value in a.state_dict().items():
            assert (value == b.state_dict()[name]).all(), name


def test_what_a_source_holds_is_seen_by_its_shape(tmp_path):
    bytes_ = np.zeros((12, 8, 8), dtype=np.uint8)
    kinds = {
        "sequences": {"X": np.zeros((12, 5, 2)), "y": np.arange(12)},
        "pictures": {"X": bytes_, "y": np.arange(12)},
    }
    for kind, arrays in kinds.items():
        assert data_kind(_npz(tmp_path, **arrays), Options()) == kind
    lists = pd.DataFrame({"s": [[1.0, 2.0]] * 12, "y": range(12)})
    lists.to_parquet(tmp_path / "t.parquet")
    assert data_kind(tmp_path / "t.parquet", Options()) == "sequences"
    lists.to_csv(tmp_path / "t.csv", index=False)
    assert data_kind(tmp_path / "t.csv", Options()) == "sequences"
    assert data_kind(pd.DataFrame({"a": [1.0], "y": [2.0]}), Options()) == "table"


def test_a_recurrent_model_on_a_table_of_rows_is_refused_in_words():
    frame = pd.DataFrame({"a": range(30), "y": range(30)})
    with pytest.raises(UsageError, match="needs to be told what the sequences are"):
        sf.train(frame, target="y", model="lstm")
    with pytest.raises(UsageError, match="A model for sequences is one of"):
        sf.train(_long(*_data()), target="y", sequence="visit", time="hour", model="resnet")
