"""Pictures as a user types them: a folder of odd files from training to predictions and exam."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shapes import NAMES, as_image, shape_picture, write_folder
from soundfit.cli import main
from soundfit.data.picture_cache import CACHE_VARIABLE
from soundfit.records import Config
from soundfit.study import pictures as study_pictures

ROTATED_BY_EXIF = 6  # the picture lies on its side: turn it by 90 degrees to see it


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run the command line here with a small grid: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))

    def few(n_train, shape, *, model="auto", folds=5, device="cpu"):
        base = Config(batch_size=16, epochs=8, learning_rate=0.02, options={"shift": 0.1})
        made = (
            base.with_(model="linear", width=0, depth=0, learning_rate=0.002),
            base.with_(model="cnn", width=6, depth=2),
        )
        return tuple(c for c in made if model in ("auto", c.model))

    monkeypatch.setattr(study_pictures, "picture_configurations", few)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["soundfit", *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            main.run()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run


def test_a_folder_of_odd_files_from_training_to_exam(cli, tmp_path):
    # 18 × 18: no multiple of four, at which pictures used to be read again for the exam.
    folder = write_folder(tmp_path / "p", 60, size=18, channels=3)
    upright = shape_picture(0, np.random.default_rng(5), 18, 3)
    sideways = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    exif = Image.Exif()
    exif[0x0112] = ROTATED_BY_EXIF
    sideways.save(folder / "bar" / "sideways.png", exif=exif)
    as_image(shape_picture(2, np.random.default_rng(6), 18, 3)).convert("P").save(
        folder / "disc" / "palette.png"
    )
    (folder / "disc" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (folder / "notes.txt").write_text("no picture")
    code, out, err = cli("train", folder, "--folds", "2", "--keep-sealed", "--out", "run", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["data"]["rows"] == 62
    assert document["data"]["pictures"] == {"height": 18, "width": 18, "channels": 3}
    broken = [f for f in document["audit"]["findings"] if f["code"] == "broken-pictures"]
    assert "disc/broken.jpg" in broken[0]["message"]

    code, _, err = cli("predict", "run", folder, "-o", "predictions.csv")
    assert code == 0, err
    predicted = pd.read_csv("predictions.csv").set_index("file")
    assert len(predicted) == 63
    assert pd.isna(predicted.loc["disc/broken.jpg", "prediction"])
    assert predicted.loc["disc/broken.jpg", "problem"]
    # The same bar without its rotation: what EXIF says was done.
    Image.fromarray(upright).save(tmp_path / "upright.png")
    code, _, err = cli("predict", "run", tmp_path / "upright.png", "-o", "one.csv")
    one = pd.read_csv("one.csv").iloc[0]
    columns = [f"probability_{c}" for c in NAMES]
    assert one[columns].to_numpy(float) == pytest.approx(
        predicted.loc["bar/sideways.png", columns].to_numpy(float), abs=1e-6
    )

    code, out, err = cli("exam", "run", "--json")
    assert code == 0, err
    exam = json.loads(out)
    split = pd.read_parquet("run/split.parquet")
    sealed = split.loc[split["role"] == "test", "file"]
    right = predicted.loc[sealed, "prediction"].to_numpy() == sealed.str.split("/").str[0].to_numpy()
    assert exam["rows"] == len(sealed)
    assert exam["others"]["accuracy"] == pytest.approx(right.mean())


def test_numbers_as_labels_get_bounds(cli, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(80):
        level = rng.uniform(0.3, 1.0)
        as_image((shape_picture(2, rng) * level).astype(np.uint8)).save(tmp_path / f"{i}.png")
        rows.append({"path": f"{i}.png", "brightness": 100 + 10 * level})
    pd.DataFrame(rows).to_csv("t.csv", index=False)
    given = ("--target", "brightness", "--model", "linear", "--folds", "4", "--out", "run", "--json")
    code, out, err = cli("train", "t.csv", *given)
    assert code == 0, err
    assert 0.5 < json.loads(out)["exam"]["others"]["interval_coverage"] <= 1.0
    code, _, err = cli("predict", "run", "t.csv", "-o", "p.csv")
    assert code == 0, err
    predicted = pd.read_csv("p.csv")
    assert (predicted["low"] < predicted["prediction"]).all()
    assert (predicted["prediction"] < predicted["high"]).all()
    covered = np.mean(
        (predicted["low"] <= [r["brightness"] for r in rows])
        & ([r["brightness"] for r in rows] <= predicted["high"])
    )
    assert covered > 0.75


def test_a_backbone_that_cannot_be_had_is_refused_in_words(cli, tmp_path):
    folder = write_folder(tmp_path / "p", 30)
    code, _, err = cli("train", folder, "--backbone", "resnet18")
    assert code == 2
    assert "--backbone is auto, none or timm:NAME" in " ".join(err.split())
    code, _, err = cli("train", folder, "--weights", "w.pth")
    assert code == 2
    assert "--weights belong to a backbone" in " ".join(err.split())
