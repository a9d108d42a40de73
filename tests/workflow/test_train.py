"""The main job on three real tables: a regression, two classes, many classes."""

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

import soundfit as sf
from soundfit.errors import StopError, UsageError
from soundfit.workflow.folder import RESUME
from soundfit.workflow.options import Options
from soundfit.workflow.run import Run
from soundfit.workflow.train import _precision, train_data

SCHEMA = "run_schema.json"


@pytest.fixture(scope="module")
def runs(tables, tmp_path_factory):
    """Three trained and saved runs: (target, run)."""
    folder = tmp_path_factory.mktemp("runs")
    hitters = sf.train(tables / "hitters.csv", target="Salary", out=folder / "regression")
    credit = sf.train(tables / "credit_data.csv", target="Status", out=folder / "binary", model="linear")
    penguins = sf.train(tables / "penguins.csv", target="species", out=folder / "many", model="linear")
    return {"regression": hitters, "binary": credit, "many": penguins}


KINDS = ("regression", "binary", "many")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_folder_is_complete_and_its_record_follows_the_schema(runs, kind, request):
    run: Run = runs[kind]
    schema = json.loads((request.path.parent / SCHEMA).read_text())
    document = json.loads((run.path / "run.json").read_text())
    jsonschema.validate(document, schema)
    names = {p.name for p in run.path.iterdir()}
    assert names == {
        "model",
        "run.json",
        "split.parquet",
        "predictions.parquet",
        "trace.parquet",
        "members.parquet",
        "report.html",
        "words.json",
    }


def test_the_page_names_the_folder_where_it_will_be_not_where_it_was_written(runs, tmp_path):
    moved = replace(
        runs["many"], document={**runs["many"].document, "command": "soundfit train penguins.csv"}
    )
    moved.write(tmp_path / "mine")
    (tmp_path / "again" / RESUME).mkdir(parents=True)  # an unfinished training is written inside
    moved.write(tmp_path / "again")
    for name in ("mine", "again"):
        assert f"soundfit predict {name} new.csv" in (tmp_path / name / "report.html").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_says_what_it_tried_and_what_its_final_model_is(runs, kind):
    document = runs[kind].document
    tried = [p for p in document["verdict"]["prescriptions"] if p["applied"]]
    assert tried
    for p in tried:
        assert p["before"] > 0
        assert p["after"] > 0
    assert document["study"]["configurations"] >= len(tried) + 3
    final = document["final"]
    assert sum(c["weight"] for c in final["configurations"]) == pytest.approx(1.0)
    assert final["value"] <= final["chosen_alone"]
    assert final["members"] == len(runs[kind].predictor.modules)


@pytest.mark.parametrize(
    ("kind", "telling"), [("regression", "Years"), ("binary", "Records"), ("many", "bill_length_mm")]
)
def test_a_run_says_what_moves_its_prediction(runs, kind, telling):
    document = runs[kind].document
    importance = document["importance"]
    values = [c["value"] for c in importance["columns"]]
    assert values == sorted(values, reverse=True)
    assert telling in [c["column"] for c in importance["columns"][:4]]
    assert {c["column"] for c in importance["columns"]} == set(runs[kind].table.used)
    assert [e["column"] for e in importance["effects"]] == [
        c["column"] for c in importance["columns"][: len(importance["effects"])]
    ]
    alone = document["final"]["kind"] != "blend"
    assert importance["model"] == ("chosen" if alone else "final")


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_outside_the_exam_has_one_out_of_fold_prediction(runs, kind):
    run = runs[kind]
    split = pd.read_parquet(run.path / "split.parquet")
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    trained = split[split["role"] != "test"]
    assert sorted(predictions["row"]) == sorted(trained["row"])
    merged = predictions.merge(trained, on="row")
    assert (merged["fold_x"] == merged["fold_y"]).all()
    assert predictions["prediction"].notna().all()
    share = (split["role"] == "test").mean()
    assert share == pytest.approx(0.2, abs=0.02)


def test_the_cross_validated_score_is_that_of_the_stored_predictions(runs):
    run = runs["many"]
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    classes = run.document["data"]["classes"]
    per_fold = [
        log_loss(part["target"], part[[f"probability_{c}" for c in classes]], labels=classes)
        for _, part in predictions.groupby("fold")
    ]
    assert run.document["cv"]["per_fold"] == pytest.approx(per_fold, rel=1e-6)
    assert run.document["cv"]["value"] == pytest.approx(np.mean(per_fold), rel=1e-6)


def test_the_exam_is_the_models_score_on_the_sealed_rows(runs, tables):
    run = runs["regression"]
    frame = pd.read_csv(tables / "hitters.csv")
    split = pd.read_parquet(run.path / "split.parquet")
    sealed = frame.iloc[split.loc[split["role"] == "test", "row"]]
    predicted = run.predict(sealed)["prediction"].to_numpy()
    assert run.exam["metric"] == "rmse_log"
    expected = np.sqrt(np.mean((np.log(predicted) - np.log(sealed["Salary"].to_numpy())) ** 2))
    assert run.exam["value"] == pytest.approx(expected, rel=1e-6)
    assert run.exam["low"] < run.exam["value"] < run.exam["high"]
    assert run.exam["openings"] >= 1


def test_models_beat_the_trivial_baseline_on_real_tables(runs):
    for kind in KINDS:
        document = runs[kind].document
        trivial = document["baselines"][0]["value"]
        assert document["cv"]["value"] < 0.9 * trivial
        assert document["exam"]["value"] < trivial
    assert runs["many"].exam["others"]["accuracy"] >= 0.97
    assert runs["binary"].document["cv"]["value"] <= 0.46


def test_sealed_rows_change_nothing_before_the_exam(tables, tmp_path):
    """Poison: extreme features and targets in the test rows leave weights, choice and scores bit-equal."""
    frame = pd.read_csv(tables / "hitters.csv")
    frame = frame[frame["Salary"].notna()].reset_index(drop=True)
    clean = sf.train(frame, target="Salary", model="linear", keep_sealed=True)
    poisoned_frame = frame.copy()
    for column in ("AtBat", "CRuns", "Years"):
        poisoned_frame[column] = poisoned_frame[column].astype(float)
        poisoned_frame.loc[clean.plan.test, column] = 1e7
    poisoned_frame.loc[clean.plan.test, "Salary"] = 1e9
    poisoned = sf.train(poisoned_frame, target="Salary", model="linear", keep_sealed=True)
    assert clean.exam is None
    for a, b in zip(clean.predictor.modules, poisoned.predictor.modules, strict=True):
        for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(left, right)
    for key in ("cv", "chosen", "baselines", "curves", "verdict", "split"):
        assert clean.document[key] == poisoned.document[key], key


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tables):
    runs = [sf.train(tables / "hitters.csv", target="Salary", model="linear", seed=s) for s in (5, 5, 6)]
    documents = [{k: r.document[k] for k in ("cv", "chosen", "verdict")} for r in runs]
    assert documents[0] == documents[1]
    assert documents[0] != documents[2]


def test_unseen_categories_and_missing_cells_are_predicted(runs, tables):
    frame = pd.read_csv(tables / "credit_data.csv").head(3).drop(columns="Status")
    frame.loc[0, "Home"] = "a castle"
    frame.loc[1, ["Income", "Assets"]] = np.nan
    predicted = runs["binary"].predict(frame)
    assert len(predicted) == 3
    assert predicted["probability_good"].between(0, 1).all()


def test_group_and_time_splits_train_too(tables):
    run = sf.train(
        tables / "concrete.csv",
        target="compressive_strength",
        model="linear",
        group=("cement", "water", "fly_ash", "blast_furnace_slag", "superplasticizer"),
        accept=("grouped-rows",),
    )
    assert "group" in run.document["split"]["kind"]
    timed = sf.train(
        tables / "bikeshare.csv",
        target="bikers",
        model="linear",
        time="row",
        drop=("casual", "registered"),
        accept=("time-order", "target-parts"),
    )
    assert timed.document["split"]["kind"] == "time"
    assert timed.document["cv"]["value"] > 0


def test_a_leak_stops_the_training_and_accepting_it_goes_on(tables):
    with pytest.raises(StopError, match=r"target-parts") as caught:
        sf.train(tables / "bikeshare.csv", target="bikers", model="linear", time="row")
    assert "--accept target-parts" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "forest"}, "A model for a table is one of"),
        ({"accept": "leak"}, "--accept names the code of a finding"),
        ({"budget": "soon"}, "A budget is a time above 0"),
        ({"device": "tpu"}, "A device is auto, cpu or cuda"),
        ({"test": "nothing.csv"}, "--test is a fraction"),
        ({"folds": 1}, r"[Ff]olds"),
        ({"target": "salary"}, "did you mean 'Salary'"),
    ],
)
def test_options_that_cannot_be_used_are_refused_in_words(tables, change, message):
    with pytest.raises(UsageError, match=message):
        sf.train(tables / "hitters.csv", **{"target": "Salary", **change})


def test_a_test_file_of_its_own_is_the_exam(tables, tmp_path):
    frame = pd.read_csv(tables / "penguins.csv")
    shuffled = frame.sample(frac=1.0, random_state=0)
    shuffled[:80].to_csv(tmp_path / "test.csv", index=False)
    shuffled[80:].to_csv(tmp_path / "train.csv", index=False)
    run = sf.train(tmp_path / "train.csv", target="species", test=tmp_path / "test.csv", model="linear")
    assert run.exam["rows"] == 80
    assert run.document["split"]["train"] == 264


def test_a_holdout_has_a_standard_error_over_its_rows(tables):
    run = sf.train(tables / "hitters.csv", target="Salary", model="linear", folds="holdout")
    assert run.document["split"]["folds"] == 1
    assert 0 < run.document["cv"]["se"] < run.document["cv"]["value"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_run_on_ray_is_the_run_on_threads(tables):
    pytest.importorskip("ray", reason="Ray is an extra")
    options = Options("Salary", model="linear", keep_sealed=True)
    local = train_data(tables / "hitters.csv", options)
    spread = train_data(tables / "hitters.csv", replace(options, executor="ray"))
    times = ("created", "seconds", "study")
    assert {k: v for k, v in local.document.items() if k not in times} == {
        k: v for k, v in spread.document.items() if k not in times
    }
    for a, b in zip(local.predictor.modules, spread.predictor.modules, strict=True):
        for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(left, right)


def test_executors_are_named_and_go_with_their_address(tables):
    for change, message in (
        ({"executor": "slurm"}, "is local or ray"),
        ({"ray_address": "auto"}, "goes with"),
    ):
        with pytest.raises(UsageError, match=message):
            train_data(tables / "hitters.csv", replace(Options("Salary"), **change))


@pytest.mark.parametrize(
    ("device", "kind", "capability", "precision"),
    [
        ("cpu", "pictures", None, "highest"),
        ("cuda", "table", (9, 0), "highest"),
        ("cuda", "pictures", (9, 0), "bf16"),
        ("cuda", "pictures", (7, 5), "high"),
    ],
)
def test_pictures_are_computed_in_what_a_gpu_is_fast_in(
    device: str, kind: str, capability: object, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert _precision(torch.device(device), kind) == precision
