"""Picture batch: pictures to predict, from files, folders, tables of paths or arrays, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soundfit.data.archive import load_archive
from soundfit.data.picture_arrays import array_files, as_pictures, holds_arrays, read_idx
from soundfit.data.picture_cache import decode_here
from soundfit.data.picture_decode import from_image
from soundfit.data.picture_source import list_files, path_column, picture_endings, table_endings
from soundfit.data.source import read_frame
from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["PictureBatch", "read_batch"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PictureBatch:
    """Names (N), bytes (N, H, W, C), and what is wrong with broken ones (by position)."""

    files: tuple[str, ...]
    pixels: NDArray[np.uint8]
    broken: dict[int, str] = field(default_factory=dict)


def read_batch(source: Path | Sequence[Path], shape: Shape) -> PictureBatch:
    """Read and scale pictures to ``shape``.

    Raises:
        DataError: no such file, or nothing in it that is a picture.
    """
    if not isinstance(source, Path):
        return _of_files(Path(), [str(p) for p in source], shape)
    if source.is_dir():
        files = list_files(source)
        arrays = array_files(source)
        if arrays and not files:
            return _of_arrays(arrays, shape)
        if not files:
            raise DataError(
                "A folder to predict holds pictures",
                received=say("{source}, which holds none", source=source),
                fix="name the folder of the pictures, or one picture",
            )
        return _of_files(source, files, shape)
    if not source.is_file():
        raise DataError(
            "Pictures to predict are a file or a folder",
            received=say("{source}, which does not exist", source=source),
            fix="check the path for a typing error",
        )
    ending = source.suffix.lower()
    if ending in table_endings():
        frame = read_frame(source)
        column = path_column(frame, source.parent)
        if column is None:
            raise DataError(
                "A table of pictures has a column of their paths",
                received=say(
                    "{source} with {list}", source=source, list=", ".join(map(repr, list(frame.columns)[:8]))
                ),
                fix="name a folder or a picture, or add the column",
            )
        return _of_files(source.parent, [str(v) for v in frame[column]], shape)
    if ending not in picture_endings() and holds_arrays(source):
        return _of_arrays([source], shape)
    return _of_files(source.parent, [source.name], shape)


def _of_files(root: Path, files: Sequence[str], shape: Shape) -> PictureBatch:
    decoded = decode_here(root, files, shape)
    return PictureBatch(tuple(files), decoded.pixels, decoded.broken)


def _of_arrays(paths: Sequence[Path], shape: Shape) -> PictureBatch:
    names: list[str] = []
    parts = []
    for path in paths:
        for name, pictures in _arrays_of(path):
            names += [f"{name}[{i}]" for i in range(len(pictures))]
            parts.append(_scaled(pictures, shape))
    return PictureBatch(tuple(names), np.concatenate(parts))


def _arrays_of(path: Path) -> list[tuple[str, NDArray[np.uint8]]]:
    if path.suffix.lower() != ".npz":
        return [(path.name.split(".")[0], as_pictures(read_idx(path), str(path)))]
    found = load_archive(path, say("save it with numpy.savez(path, images=…)")).items()
    pictures = [(n, as_pictures(a, f"{path}:{n}")) for n, a in found if a.ndim >= 3]
    if not pictures:
        raise DataError(
            "An npz to predict holds arrays of pictures (N, height, width)",
            received=str(path),
            fix="save it with numpy.savez(path, images=…)",
        )
    return pictures


def _scaled(pictures: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    if pictures.shape[1:] == shape:
        return pictures
    grey = pictures.shape[3] == 1
    return np.stack([from_image(Image.fromarray(p[..., 0] if grey else p), *shape) for p in pictures])
