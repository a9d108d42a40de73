"""Copies of pictures are found and kept on one side; given roles are kept."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shapes import as_image, shape_set, write_folder
from soundfit.data.picture_cache import CACHE_VARIABLE
from soundfit.data.picture_copies import _candidates, difference_hashes, find_copies, small_greys
from soundfit.data.picture_decode import array_hash
from soundfit.data.picture_split import split_pictures
from soundfit.data.pictures import read_pictures
from soundfit.errors import UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def scenes(n, seed=0, size=32):
    """Pictures with structure of their own each: sums of a few random waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    made = []
    for _ in range(n):
        f, p = rng.uniform(-5, 5, (6, 2)), rng.uniform(0, 6, 6)
        waves = sum(np.cos(2 * np.pi * (a * x + b * y) + q) for (a, b), q in zip(f, p, strict=True))
        made.append(np.clip(128 + 30 * waves, 0, 255))
    return np.stack(made).astype(np.uint8)[..., None]


def saved_again(picture, quality=80):
    stream = io.BytesIO()
    as_image(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).reshape(picture.shape)


def copies_of(pixels):
    return find_copies(pixels, np.array([array_hash(p) for p in pixels], dtype=object))


def test_copies_saved_again_and_brightened_are_found_and_nothing_else():
    pixels = scenes(200)
    again = np.stack([saved_again(p) for p in pixels[:10]])
    bright = np.clip(pixels[10:15].astype(int) * 0.9 + 20, 0, 255).astype(np.uint8)
    copies = copies_of(np.concatenate([pixels, again, bright, pixels[20:22]]))
    twin_of = [*range(10), *range(10, 15), *range(20, 22)]
    assert (copies.group[200:] == copies.group[twin_of]).all()
    assert copies.n_exact == 2
    assert copies.n_near == 15
    assert len(np.unique(copies.group)) == 200


def test_pictures_of_one_kind_that_look_alike_are_no_copies():
    pixels, _ = shape_set(600, size=12)
    assert not copies_of(pixels).any
    assert not copies_of(np.zeros((1, 8, 8, 1), np.uint8)).any


def test_flat_pictures_are_not_near_to_each_other():
    pixels = np.stack([np.full((16, 16, 1), v, np.uint8) for v in range(0, 100, 5)])
    assert copies_of(pixels).n_near == 0


def test_the_banded_lookup_meets_every_close_pair_of_a_full_search():
    """Slow twin: all pairs. Two hashes that differ in at most 7 of 128 bits share a band of 16."""
    pixels = scenes(80)
    pixels = np.concatenate([pixels, np.stack([saved_again(p, 60) for p in pixels[:40]])])
    bands = difference_hashes(small_greys(pixels, np.arange(len(pixels))))
    bits = np.unpackbits(bands.view(np.uint8), axis=1)
    different = (bits[:, None] != bits[None]).sum(-1)
    i, j = np.nonzero(np.triu(different <= 7, 1))
    assert len(i) > 20
    found = {tuple(pair) for pair in _candidates(bands).tolist()}
    assert {(int(a), int(b)) for a, b in zip(i, j, strict=True)} <= found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 12))
def test_no_copy_is_on_both_sides_of_any_cut(seed, n_copies):
    import dataclasses

    pictures = _pictures_with_copies(seed, n_copies)
    made = split_pictures(pictures, seed=seed)
    group, plan = made.copies.group, made.plan
    assert not np.intersect1d(group[plan.test], group[plan.train]).size
    for fold in plan.folds:
        assert not np.intersect1d(group[fold.train], group[fold.validation]).size
    validated = np.concatenate([f.validation for f in plan.folds])
    assert sorted(validated) == sorted(plan.train)
    assert {f.code for f in made.findings} >= {"duplicate-rows"}
    assert dataclasses.is_dataclass(made)


def _pictures_with_copies(seed, n_copies):
    import pandas as pd

    from soundfit.data.picture_source import PictureSource
    from soundfit.data.pictures import Pictures
    from soundfit.data.table import Column, Table

    rng = np.random.default_rng(seed)
    pixels, codes = shape_set(60, seed=seed)
    again = rng.choice(60, n_copies)
    pixels, codes = np.concatenate([pixels, pixels[again]]), np.concatenate([codes, codes[again]])
    n = len(pixels)
    frame = pd.DataFrame({"file": [f"{i}.png" for i in range(n)], "picture": [array_hash(p) for p in pixels]})
    columns = tuple(Column(c, "text", used=False) for c in frame)
    table = Table(
        frame, codes, "class", "classification", ("a", "b", "c"), columns, np.arange(n), n, "x", "0" * 64
    )
    from pathlib import Path

    source = PictureSource("x", Path(), tuple(frame["file"]), tuple(codes))
    return Pictures(pixels, table, np.array([], dtype=str), source)


def test_given_roles_are_kept_and_copies_of_the_exam_are_left_out_of_training(tmp_path):
    for name, n, seed in (("train", 60, 0), ("val", 15, 1), ("test", 21, 2)):
        write_folder(tmp_path / "p" / name, n, seed=seed)
    stolen = tmp_path / "p" / "test" / "disc" / "0002.png"
    (tmp_path / "p" / "train" / "disc" / "same.png").write_bytes(stolen.read_bytes())
    made = split_pictures(read_pictures(tmp_path / "p"))
    files = made.pictures.table.frame["file"]
    assert made.plan.kind == "given"
    assert all(f.startswith("test/") for f in files.iloc[made.plan.test])
    assert len(made.plan.test) == 21
    (fold,) = made.plan.folds
    assert all(f.startswith("val/") for f in files.iloc[fold.validation])
    assert "train/disc/same.png" not in set(files)
    assert any("left out (train/disc/same.png)" in f.message for f in made.findings)


def test_near_copies_planted_across_given_roles_never_stay_on_two_sides(tmp_path):
    """Saved again, scaled, brightened, blurred: left out where the exam or validation has them."""
    from PIL import ImageEnhance, ImageFilter

    changes = {
        "saved.jpg": lambda p: p,
        "scaled.png": lambda p: p.resize((24, 24)),
        "bright.png": lambda p: ImageEnhance.Brightness(p).enhance(1.15),
        "blurred.png": lambda p: p.filter(ImageFilter.GaussianBlur(0.8)),
    }
    pictures = iter(scenes(120, seed=4))
    for role, n in (("train", 60), ("val", 30), ("test", 30)):
        for i in range(n):
            place = tmp_path / "p" / role / "ab"[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            as_image(next(pictures)).save(place / f"{i:02d}.png")
    planted = set()
    for source, into in (("test", "train"), ("val", "train"), ("test", "val")):
        for i, (name, change) in enumerate(changes.items()):
            label = "ab"[i % 2]
            with Image.open(tmp_path / "p" / source / label / f"{i:02d}.png") as original:
                copy = f"{into}/{label}/{source}-{i}-{name}"
                change(original).save(tmp_path / "p" / copy)
            planted.add(copy)
    made = split_pictures(read_pictures(tmp_path / "p"))
    left = set(made.pictures.table.frame["file"])
    assert sorted(planted & left) == []
    assert len(left) == 120


def test_without_a_test_folder_the_exam_is_drawn_from_the_training_pictures(tmp_path):
    for name, n, seed in (("train", 60, 0), ("val", 15, 1)):
        write_folder(tmp_path / "p" / name, n, seed=seed)
    made = split_pictures(read_pictures(tmp_path / "p"))
    files = made.pictures.table.frame["file"]
    assert all(f.startswith("train/") for f in files.iloc[made.plan.test])
    assert len(made.plan.test) == 12
    assert all(f.startswith("val/") for f in files.iloc[made.plan.folds[0].validation])


def test_a_copy_under_another_label_is_a_conflict(tmp_path):
    folder = write_folder(tmp_path / "p", 45)
    (folder / "bar" / "also.png").write_bytes((folder / "disc" / "0002.png").read_bytes())
    found = {f.code: f for f in split_pictures(read_pictures(folder)).findings}
    assert "bar/also.png and disc/0002.png" in found["label-conflict"].message


def test_rare_classes_and_a_test_file_are_told(tmp_path):
    folder = write_folder(tmp_path / "p", 45)
    for path in sorted((folder / "bar").iterdir())[3:]:
        path.unlink()
    pictures = read_pictures(folder)
    assert "rare-class" in {f.code for f in split_pictures(pictures).findings}
    with pytest.raises(UsageError, match="folder named test"):
        split_pictures(pictures, test="other/")
