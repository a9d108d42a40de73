import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import soundfit as sf
from soundfit.artifact import load_predictor, save_predictor
from soundfit.errors import UsageError


@pytest.fixture(scope="module")
def run(tables):
    return sf.train(tables / "penguins.csv", target="species", model="linear")


@pytest.fixture
def saved(run, tmp_path):
    save_predictor(run.predictor, tmp_path / "model")
    return tmp_path


def test_a_saved_model_predicts_exactly_what_it_did(run, saved, tables):
    frame = pd.read_csv(tables / "penguins.csv").drop(columns="species")
    again = load_predictor(saved).predict(frame)
    pd.testing.assert_frame_equal(again, run.predict(frame))
    assert list(again.columns) == [
        "prediction",
        "probability_Adelie",
        "probability_Chinstrap",
        "probability_Gentoo",
    ]


def test_there_is_no_pickle_in_a_saved_model(saved):
    assert sorted(p.name for p in (saved / "model").iterdir()) == ["model.json", "model.safetensors"]
    json.loads((saved / "model" / "model.json").read_text())


def _truncate_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def _not_a_number(folder):
    path = folder / "model.safetensors"
    tensors = load_file(str(path))
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, str(path))


def _other_shape(folder):
    path = folder / "model.safetensors"
    tensors = load_file(str(path))
    name = next(iter(tensors))
    save_file({**tensors, name: torch.zeros(1)}, str(path))


def _edit(change):
    def edit(folder):
        path = folder / "model.json"
        described = json.loads(path.read_text())
        change(described)
        path.write_text(json.dumps(described))

    return edit


DAMAGE = {
    "weights cut short": _truncate_weights,
    "weights not finite": _not_a_number,
    "weights of another shape": _other_shape,
    "weights gone": lambda folder: (folder / "model.safetensors").unlink(),
    "no JSON": lambda folder: (folder / "model.json").write_text("{"),
    "a list": lambda folder: (folder / "model.json").write_text("[]"),
    "other schema": _edit(lambda d: d.update(schema=99)),
    "members too many": _edit(lambda d: d.update(members=10**9)),
    "members as text": _edit(lambda d: d.update(members="5")),
    "huge width": _edit(lambda d: d["config"].update(width=10**9)),
    "no config": _edit(lambda d: d.pop("config")),
    "unknown field": _edit(lambda d: d["config"].update(run="rm -rf")),
    "other task": _edit(lambda d: d.update(task="ranking")),
    "no classes": _edit(lambda d: d.update(classes=[])),
    "encoder gone": _edit(lambda d: d.update(encoders=d["encoders"][:-1])),
    "encoder damaged": _edit(lambda d: d["encoders"][0].clear()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_refused_in_words(saved, damage):
    DAMAGE[damage](saved / "model")
    with pytest.raises(UsageError) as caught:
        load_predictor(saved)
    assert "Fix:" in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"A run folder holds model/model\.json"):
        load_predictor(tmp_path)
