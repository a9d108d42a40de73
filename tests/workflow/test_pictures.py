"""The main job on pictures: a folder in, a run with report out; the exam, predictions and artefact."""

import json
import shutil

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch

import soundfit as sf
from shapes import NAMES, as_image, shape_picture, shape_set, write_folder
from soundfit.artifact import PicturePredictor
from soundfit.data.picture_cache import CACHE_VARIABLE
from soundfit.errors import UsageError
from soundfit.records import Config
from soundfit.study import pictures as study_pictures
from soundfit.study.pictures import picture_configurations
from soundfit.workflow.exam import exam_run


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def small_grid():
    """One small CNN and one softmax instead of the whole grid."""

    def few(n_train, shape, *, model="auto", folds=5, device="cpu"):
        base = Config(batch_size=16, epochs=20, learning_rate=0.02, options={"shift": 0.1})
        made = (
            base.with_(model="linear", width=0, depth=0, learning_rate=0.002),
            base.with_(model="cnn", width=6, depth=2),
        )
        return tuple(c for c in made if model in ("auto", c.model))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_pictures, "picture_configurations", few)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write_folder(tmp_path_factory.mktemp("pictures") / "p", 120)
    (made / "disc" / "broken.png").write_bytes(b"\x89PNG")
    (made / "cross" / "twin.png").write_bytes((made / "cross" / "0001.png").read_bytes())
    return made


@pytest.fixture(scope="module")
def run(folder, small_grid, tmp_path_factory):
    return sf.train(folder, folds=3, keep_sealed=True, out=tmp_path_factory.mktemp("runs") / "run")


def test_the_record_follows_the_schema_and_says_what_was_read(run, request):
    document = json.loads((run.path / "run.json").read_text())
    jsonschema.validate(document, json.loads((request.path.parent / "run_schema.json").read_text()))
    assert document["data"]["kind"] == "pictures"
    assert document["data"]["pictures"] == {"height": 16, "width": 16, "channels": 1}
    assert document["data"]["classes"] == list(NAMES)
    assert {f["code"] for f in document["audit"]["findings"]} >= {"broken-pictures", "duplicate-rows"}
    assert document["split"]["group"] == ["copies"]
    assert document["chosen"]["model"] in ("cnn", "linear")


def test_the_net_learns_shapes_and_beats_the_baseline(run):
    assert run.document["cv"]["value"] < 0.5 * run.document["baselines"][0]["value"]


def test_tables_of_rows_name_their_files(run, folder):
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    split = pd.read_parquet(run.path / "split.parquet")
    assert all((folder / f).is_file() for f in predictions["file"])
    assert (predictions["target"] == predictions["file"].str.split("/").str[0]).all()
    assert set(split["file"]) >= set(predictions["file"])
    sealed = set(split.loc[split["role"] == "test", "file"])
    assert not sealed & set(predictions["file"])


def test_the_report_shows_pictures_and_stays_small(run):
    page = (run.path / "report.html").read_text()
    assert "Most confident mistakes" in page or "Labels in doubt" in page or "Pictures" in page
    assert page.count("data:image/png;base64,") >= 9
    assert (run.path / "report.html").stat().st_size < 3_000_000
    assert "left these parts out" not in page


def test_a_folder_a_file_and_open_pictures_are_predicted_alike(run, folder, tmp_path):
    from PIL import Image

    table = run.predict(folder)
    assert len(table) == 122
    assert table.loc[table["file"] == "disc/broken.png", "prediction"].isna().all()
    assert table["problem"].ne("").sum() == 1
    file = folder / "cross" / "0001.png"
    one = run.predict(file)
    opened = run.predictor.predict(Image.open(file))
    listed = run.predictor.predict([file])
    probabilities = [f"probability_{c}" for c in NAMES]
    expected = table.loc[table["file"] == "cross/0001.png", probabilities].to_numpy()
    for other in (one, opened, listed):
        assert np.allclose(other[probabilities].to_numpy(), expected)
    assert np.allclose(table[probabilities].dropna().sum(axis=1), 1.0)
    right = table["prediction"] == table["file"].str.split("/").str[0]
    assert right.mean() > 0.85


def test_the_saved_model_is_the_same_without_pickle(run, folder):
    loaded = sf.load(run.path)
    assert isinstance(loaded, PicturePredictor)
    assert loaded.kind == "image"
    assert json.loads((run.path / "model" / "model.json").read_text())["kind"] == "image"
    assert {p.name for p in (run.path / "model").iterdir()} == {"model.json", "model.safetensors"}
    pd.testing.assert_frame_equal(loaded.predict(folder), run.predict(folder))


def test_a_damaged_model_is_refused(run, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "shape": [16, 16, 7]}))
    with pytest.raises(UsageError, match="whole and fits together"):
        sf.load(tmp_path)
    path.write_text(json.dumps({**described, "kind": "sound"}))
    with pytest.raises(UsageError, match="a model is of kind"):
        sf.load(tmp_path)


def test_the_exam_opens_the_very_pictures_that_were_sealed(run, folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    document, _ = exam_run(copy)
    split = pd.read_parquet(copy / "split.parquet")
    sealed = split.loc[split["role"] == "test", "file"]
    predicted = run.predict(folder).set_index("file").loc[sealed]
    right = (predicted["prediction"] == sealed.str.split("/").str[0].to_numpy()).mean()
    assert document["exam"]["others"]["accuracy"] == pytest.approx(right)
    assert document["exam"]["rows"] == len(sealed)
    again, _ = exam_run(copy)
    assert again["exam"]["openings"] == document["exam"]["openings"] + 1


def test_sealed_pictures_change_nothing_before_the_exam(small_grid, tmp_path):
    """Poison: other pixels in the sealed pictures leave weights, choice and scores bit-equal."""
    pictures, codes = shape_set(60)
    np.savez(tmp_path / "clean.npz", images=pictures, labels=codes)
    clean = sf.train(tmp_path / "clean.npz", model="linear", folds=2, keep_sealed=True)
    poisoned = pictures.copy()
    rng = np.random.default_rng(1)
    poisoned[clean.plan.test] = rng.integers(0, 256, poisoned[clean.plan.test].shape)
    np.savez(tmp_path / "poisoned.npz", images=poisoned, labels=codes)
    other = sf.train(tmp_path / "poisoned.npz", model="linear", folds=2, keep_sealed=True)
    for a, b in zip(clean.predictor.modules, other.predictor.modules, strict=True):
        for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(left, right)
    for key in ("cv", "chosen", "verdict", "split"):
        assert clean.document[key] == other.document[key], key


def test_a_numeric_label_is_a_regression(small_grid, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        picture = shape_picture(2, rng)
        level = rng.uniform(0.3, 1.0)
        as_image((picture * level).astype(np.uint8)).save(tmp_path / f"{i}.png")
        rows.append({"path": f"{i}.png", "brightness": 100 + 10 * level})
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    run = sf.train(tmp_path / "t.csv", target="brightness", model="linear", folds=2)
    assert run.document["data"]["task"] == "regression"
    assert run.document["cv"]["value"] < run.document["baselines"][0]["value"]
    predicted = run.predict(tmp_path / "t.csv")
    assert np.corrcoef(predicted["prediction"], [r["brightness"] for r in rows])[0, 1] > 0.8


def test_models_of_other_data_and_missing_targets_are_refused_in_words(folder, tables, tmp_path):
    with pytest.raises(UsageError, match="A model for pictures is one of"):
        sf.train(folder, model="resmlp")
    with pytest.raises(UsageError, match="A model for a table is one of"):
        sf.train(tables / "penguins.csv", target="species", model="cnn")
    with pytest.raises(UsageError, match="A table needs --target"):
        sf.train(tables / "penguins.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="The data must be one file"):
        sf.train(tmp_path / "empty")


def test_the_default_grid_follows_from_the_data_and_always_has_the_families():
    few = picture_configurations(640, (28, 28, 1), folds=5)
    assert {c.model for c in few} >= {"linear", "mlp", "cnn"}
    many = picture_configurations(48_000, (28, 28, 1), folds=1)
    assert len(many) < len(few)
    assert {c.model for c in many} >= {"linear", "mlp", "cnn"}
    assert any(c.get("flip", 0) for c in few)
    assert any(not c.get("flip", 0) and c.get("shift", 0) for c in few)
    assert {c.model for c in picture_configurations(640, (28, 28, 1), model="resnet")} == {"resnet"}
