"""An npz file is whole, or refused in words: cut off, damaged, or holding Python objects."""

from __future__ import annotations

import io

import numpy as np
import pytest

from soundfit.data.archive import load_archive
from soundfit.data.picture_arrays import holds_arrays, read_arrays
from soundfit.data.sequence_npz import from_npz
from soundfit.errors import DataError

RNG = np.random.default_rng(0)
ARRAYS = {
    "sequences": {"X": RNG.normal(size=(6, 5, 2)), "y": RNG.normal(size=6)},
    "pictures": {"images": RNG.integers(0, 256, (6, 8, 8)).astype(np.uint8), "labels": np.arange(6) % 2},
}


def _npz(kind, save=np.savez_compressed):
    stream = io.BytesIO()
    save(stream, **ARRAYS[kind])
    return stream.getvalue()


def _either(work):
    try:
        return work(), None
    except DataError as error:
        return None, error


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", ARRAYS)
def test_mutated_archives_are_read_or_refused_in_words(tmp_path, kind, save):
    rng = np.random.default_rng(3)
    content = _npz(kind, save)
    path = tmp_path / "made.npz"
    refused = 0
    for _ in range(40):
        body = bytearray(content if rng.random() < 0.7 else content[: rng.integers(len(content))])
        for _ in range(rng.integers(1, 6)):
            if body:
                body[rng.integers(len(body))] = rng.integers(256)
        path.write_bytes(bytes(body))
        for read in (lambda: load_archive(path, "save it again"), lambda: from_npz(path, "", None)):
            _, refusal = _either(read)
            refused += refusal is not None
            assert refusal is None or refusal.fix
        with np.errstate(all="ignore"):
            _, refusal = _either(lambda: holds_arrays(path) and read_arrays([path]))
        assert refusal is None or refusal.fix
    assert refused


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "o.npz", X=np.array([[1, None]], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        load_archive(tmp_path / "o.npz", "save numbers")
    with pytest.raises(DataError, match="must exist"):
        load_archive(tmp_path / "none.npz", "save numbers")
