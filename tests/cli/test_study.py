"""``soundfit study``: one JSON object, a table and a sentence, and a file where asked."""

import json

import pytest


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    path = tmp_path_factory.mktemp("study") / "line.csv"
    lines = [f"{a},{b},{a - b + 0.1 * e}" for (a, b), e in zip(x, rng.normal(size=120), strict=True)]
    path.write_text("\n".join(["a,b,y", *lines]))
    return path


def test_a_study_prints_one_object_and_writes_it(soundfit, csv, tmp_path):
    made = soundfit(
        "study", "lr", csv, "--target", "y", "--folds", "3", "--seeds", "1", "--json", "--out", tmp_path
    )
    assert made.returncode == 0, made.stderr
    printed = json.loads(made.stdout)
    assert printed["question"] == "lr"
    assert printed["points"][0]["limit"] > 0
    assert json.loads((tmp_path / "study-lr.json").read_text()) == printed


def test_a_study_prints_a_table_and_a_conclusion(soundfit, csv):
    made = soundfit("study", "cv", csv, "--target", "y", "--folds", "3", "--seeds", "2")
    assert made.returncode == 0, made.stderr
    assert "linear" in made.stdout
    assert "Drawing the folds anew" in made.stdout.replace("\n", " ")


def test_an_unknown_question_names_the_known(soundfit, csv):
    made = soundfit("study", "depth", csv, "--target", "y")
    assert made.returncode == 2
    assert "regularization" in made.stderr
    assert "Traceback" not in made.stderr
    bad = soundfit("study", "lr", csv, "--target", "y", "--seeds", "0")
    assert bad.returncode == 2
    assert "--seeds is 1 or more" in bad.stderr
