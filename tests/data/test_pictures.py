"""Finding, decoding and labelling pictures, whatever their format, mode and place."""

import gzip

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shapes import NAMES, as_image, shape_picture, shape_set, write_folder
from soundfit.data import picture_cache
from soundfit.data.picture_arrays import as_pictures, read_idx
from soundfit.data.picture_batch import read_batch
from soundfit.data.picture_cache import CACHE_VARIABLE, decode_all
from soundfit.data.picture_decode import BrokenPicture, array_hash, decode, no_bombs
from soundfit.data.picture_source import holds_pictures, list_pictures
from soundfit.data.pictures import read_pictures
from soundfit.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def idx(path, array):
    """Write a uint8 array as idx."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


# ---- finding -----------------------------------------------------------------------------------------


def test_top_folders_are_classes_whatever_lies_below_and_the_rest_is_ignored(tmp_path):
    folder = write_folder(tmp_path / "p", 12)
    (folder / "disc" / "2021").mkdir()
    as_image(shape_picture(2, np.random.default_rng(9))).save(folder / "disc" / "2021" / "x.bmp")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "y.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "disc" / ".DS_Store").write_bytes(b"")
    source = list_pictures(folder)
    assert len(source) == 13
    assert set(source.labels) == set(NAMES)
    assert dict(zip(source.files, source.labels, strict=True))["disc/2021/x.bmp"] == "disc"
    assert source.ignored == {".txt": 1}
    assert list(source.files) == sorted(source.files)


def test_a_lone_wrapping_folder_is_looked_into(tmp_path):
    write_folder(tmp_path / "outer" / "dataset", 6)
    assert set(list_pictures(tmp_path / "outer").labels) == set(NAMES)


def test_role_folders_above_the_classes_are_roles_by_any_of_their_names(tmp_path):
    for name, seed in (("Train", 0), ("val", 1), ("TEST", 2)):
        write_folder(tmp_path / "p" / name, 6, seed=seed)
    source = list_pictures(tmp_path / "p")
    assert set(source.roles) == {"train", "validation", "test"}
    assert set(source.labels) == set(NAMES)
    assert all(f.startswith("TEST") == (r == "test") for f, r in zip(source.files, source.roles, strict=True))


def test_one_class_or_none_is_refused_in_words(tmp_path):
    (tmp_path / "p" / "only").mkdir(parents=True)
    as_image(shape_picture(0, np.random.default_rng(0))).save(tmp_path / "p" / "only" / "a.png")
    with pytest.raises(DataError, match="a sub-folder per class"):
        list_pictures(tmp_path / "p")


def test_a_table_of_paths_reads_its_labels_and_needs_a_target_where_there_are_several(tmp_path):
    folder = write_folder(tmp_path / "p", 12)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in folder.rglob("*.png"))
    frame = pd.DataFrame({"path": files, "kind": [f.split("/")[1] for f in files], "site": 1})
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame[["path", "kind"]].to_csv(tmp_path / "two.csv", index=False)
    assert holds_pictures(tmp_path / "all.csv", "kind")
    assert list(list_pictures(tmp_path / "all.csv", target="kind").columns) == ["site"]
    assert list_pictures(tmp_path / "two.csv").target == "kind"
    with pytest.raises(UsageError, match="needs --target"):
        list_pictures(tmp_path / "all.csv")
    assert not holds_pictures(tmp_path / "all.csv", "path")


def test_ordinary_tables_and_folders_hold_no_pictures(tmp_path, tables):
    assert not holds_pictures(tables / "penguins.csv")
    assert not holds_pictures(tables)
    assert not holds_pictures(tmp_path / "nothing")
    np.savez(tmp_path / "sequences.npz", x=np.zeros((9, 5, 3)), y=np.arange(9) % 2)
    assert not holds_pictures(tmp_path / "sequences.npz")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_give_training_and_exam(tmp_path, ending):
    pictures, codes = shape_set(30)
    for name, rows in (("train", slice(0, 24)), ("t10k", slice(24, 30))):
        idx(tmp_path / f"{name}-images-idx3-ubyte{ending}", pictures[rows, ..., 0])
        idx(tmp_path / f"{name}-labels-idx1-ubyte{ending}", codes[rows])
    found = read_pictures(tmp_path)
    assert (found.pixels == pictures).all()
    assert found.table.classes == (0, 1, 2)
    assert (found.roles == ["train"] * 24 + ["test"] * 6).all()
    alone = read_pictures(tmp_path / f"train-images-idx3-ubyte{ending}")
    assert len(alone) == 24
    assert not len(alone.roles)


def test_a_damaged_idx_file_is_refused(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte"
    idx(path, np.zeros((3, 4, 4)))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="where its header says"):
        read_idx(path)


def test_npz_files_with_roles_in_their_names(tmp_path):
    pictures, codes = shape_set(30, channels=3)
    np.savez(
        tmp_path / "p.npz",
        train_images=pictures[:20],
        train_labels=codes[:20, None],
        test_images=pictures[20:],
        test_labels=codes[20:, None],
    )
    assert holds_pictures(tmp_path / "p.npz")
    found = read_pictures(tmp_path / "p.npz")
    assert found.pixels.shape == (30, 16, 16, 3)
    assert (found.roles == "test").sum() == 10


def test_arrays_of_fractions_and_channels_first_are_read():
    pictures, _ = shape_set(4, channels=3)
    first = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255.0
    assert (as_pictures(first, "x") == pictures).all()
    with pytest.raises(DataError, match="1, 3 or 4 channels"):
        as_pictures(np.zeros((5, 6)), "x")


# ---- decoding ----------------------------------------------------------------------------------------


def grey_square(value, mode):
    return Image.new("L", (8, 8), value).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F", "I", "HSV"])
def test_every_mode_reads_as_the_same_white_and_black(tmp_path, mode):
    for value in (0, 255):
        picture = grey_square(value, mode)
        path = tmp_path / f"{value}.tiff"
        if mode in ("HSV",):
            picture = picture.convert("RGB")
        picture.save(path)
        for channels in (1, 3):
            assert abs(int(decode(path, 8, 8, channels).pixels.mean()) - value) <= 2


def test_sixteen_bits_keep_their_scale(tmp_path):
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "r.png")
    pixels = decode(tmp_path / "r.png", 8, 8, 1).pixels[..., 0]
    assert np.abs(pixels - ramp / 257.0).max() <= 1.0


def test_transparency_is_on_white_and_an_animation_is_its_first_frame(tmp_path):
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.save(tmp_path / "t.png")
    assert (decode(tmp_path / "t.png", 8, 8, 3).pixels == 255).all()
    frames = [Image.new("L", (8, 8), v) for v in (200, 10)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert abs(int(decode(tmp_path / "a.gif", 8, 8, 1).pixels.mean()) - 200) <= 2


def test_exif_orientation_is_undone(tmp_path):
    picture = np.zeros((8, 8), dtype=np.uint8)
    picture[:4] = 255
    image = Image.fromarray(picture).rotate(90)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "e.png", exif=exif)
    assert (decode(tmp_path / "e.png", 8, 8, 1).pixels[..., 0] == picture).all()


def test_broken_files_and_bombs_are_refused_in_a_few_words(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"nonsense")
    (tmp_path / "b.png").write_bytes(b"")
    as_image(shape_picture(0, np.random.default_rng(0), size=64)).save(tmp_path / "c.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes()[:900])
    Image.new("L", (300, 300)).save(tmp_path / "d.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
    with no_bombs():
        for name, why in (
            ("a", "no picture"),
            ("b", "empty"),
            ("c", "runcated"),
            ("d", "bomb"),
            ("e", "no such"),
        ):
            with pytest.raises(BrokenPicture, match=why):
                decode(tmp_path / f"{name}.png", 8, 8, 1)


def test_content_is_that_of_the_pixels_whatever_lossless_format_and_size(tmp_path):
    picture = shape_picture(1, np.random.default_rng(3))
    as_image(picture).save(tmp_path / "a.png")
    as_image(picture).save(tmp_path / "a.bmp")
    as_image(np.repeat(picture, 3, axis=2)).save(tmp_path / "a.tiff")
    marks = {decode(tmp_path / f"a.{e}", n, n, 1).content for e in ("png", "bmp", "tiff") for n in (8, 16)}
    assert marks == {array_hash(picture)}
    other = picture.copy()
    other[0, 0] ^= 1
    assert array_hash(other) not in marks


# ---- cache -------------------------------------------------------------------------------------------


def test_pictures_are_decoded_once_until_a_file_changes(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "p", 12)
    files = list_pictures(folder).files
    first = decode_all(folder, files, (8, 8, 1))
    monkeypatch.setattr(picture_cache, "decode", None)
    seen = []
    again = decode_all(folder, files, (8, 8, 1), on_total=seen.append, on_picture=seen.append)
    assert (again.pixels == first.pixels).all()
    assert again.content == first.content
    assert seen == [12, 12]
    again.pixels[:] = 0  # copy on write: the cache does not change
    assert (decode_all(folder, files, (8, 8, 1)).pixels == first.pixels).all()
    monkeypatch.undo()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    as_image(np.full((16, 16, 1), 99, np.uint8)).save(folder / files[0])
    assert (decode_all(folder, files, (8, 8, 1)).pixels[0] == 99).all()


def test_without_a_cache_and_with_a_damaged_one_pictures_are_decoded_all_the_same(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "p", 9)
    files = list_pictures(folder).files
    good = decode_all(folder, files, (8, 8, 1)).pixels.copy()
    (entry,) = [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]
    (entry / "pixels.npy").write_bytes(b"damaged")
    assert (decode_all(folder, files, (8, 8, 1)).pixels == good).all()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert (decode_all(folder, files, (8, 8, 1)).pixels == good).all()


# ---- reading -----------------------------------------------------------------------------------------


def test_broken_and_unlabelled_pictures_are_left_out_with_their_names(tmp_path):
    folder = write_folder(tmp_path / "p", 30)
    (folder / "disc" / "bad.png").write_bytes(b"no")
    as_image(shape_picture(0, np.random.default_rng(5))).save(folder / "loose.png")
    pictures = read_pictures(folder)
    assert len(pictures) == 30
    found = {f.code: f for f in pictures.table.findings}
    assert "disc/bad.png" in found["broken-pictures"].message
    assert "loose.png" in found["missing-target"].message
    assert pictures.table.n_file_rows == 32
    names = np.array(pictures.source.files)[pictures.table.file_rows]
    assert (names == pictures.table.frame["file"]).all()


def test_size_and_colour_come_from_the_pictures(tmp_path):
    assert read_pictures(write_folder(tmp_path / "a", 12, size=20)).pixels.shape[1:] == (20, 20, 1)
    assert read_pictures(write_folder(tmp_path / "b", 12, size=100, channels=3)).pixels.shape[1:] == (
        64,
        64,
        3,
    )
    assert read_pictures(tmp_path / "b", image_size=32).pixels.shape[1:] == (32, 32, 3)
    grey = write_folder(tmp_path / "c", 12)
    for path in grey.rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    assert read_pictures(grey).pixels.shape[3] == 1
    with pytest.raises(UsageError, match="--image-size"):
        read_pictures(grey, image_size=2)


def test_a_table_of_numbers_is_a_regression(tmp_path):
    folder = write_folder(tmp_path / "p", 12)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in folder.rglob("*.png"))
    pd.DataFrame({"path": files, "age": np.linspace(1, 9, 12)}).to_csv(tmp_path / "t.csv", index=False)
    assert read_pictures(tmp_path / "t.csv").table.task == "regression"


def test_pictures_to_predict_come_in_order_broken_ones_too(tmp_path):
    folder = write_folder(tmp_path / "p", 6)
    (folder / "bar" / "0000.png").write_bytes(b"no")
    batch = read_batch(folder, (16, 16, 1))
    assert batch.files == tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")))
    assert list(batch.broken) == [batch.files.index("bar/0000.png")]
    one = read_batch(folder / "disc" / "0002.png", (16, 16, 1))
    assert one.pixels.shape == (1, 16, 16, 1)
    with pytest.raises(DataError, match="does not exist"):
        read_batch(folder / "none.png", (16, 16, 1))


def test_a_folder_may_be_called_null(tmp_path):
    for name in ("null", "NA", "eins"):
        (tmp_path / name).mkdir()
        for i in range(12):
            shade = np.full((8, 8), 20 * i + len(name), dtype=np.uint8)
            Image.fromarray(shade).save(tmp_path / name / f"{i}.png")
    read = read_pictures(tmp_path)
    assert sorted(map(str, read.table.classes)) == ["NA", "eins", "null"]
    assert len(read) == 36
    assert not read.table.findings
