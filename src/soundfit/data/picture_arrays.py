"""Picture arrays: idx files (MNIST's format, LeCun 1998) and npz archives into uint8 (N, H, W, C).

Knows no folders of pictures and no splits.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundfit.data.archive import BROKEN_ARCHIVE, array_header, load_archive, opened_archive
from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["Arrays", "array_files", "holds_arrays", "read_arrays", "read_idx"]

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_BYTES = 64_000_000_000
_TEST_WORDS = ("t10k", "test")
_VALIDATION_WORDS = ("validation", "valid", "val", "dev")
_LABEL_NAMES = ("y", "labels", "label", "targets", "target", "classes")
_PICTURE_NAMES = ("x", "images", "image", "pictures", "data", "arr_0", "inputs", "pixels")


@dataclass(frozen=True)
class Arrays:
    """One set of pictures (N, H, W, C) with labels (N,), and its role."""

    name: str
    pictures: NDArray[np.uint8]
    labels: NDArray[np.generic]
    role: str = "train"


def holds_arrays(path: Path) -> bool:
    """Return whether a file is an idx file of pictures or labels, or an npz with pictures."""
    if path.suffix.lower() == ".npz":
        return bool(_npz_parts(path))
    return _idx_dimensions(path) >= 1 and ("idx" in path.name.lower() or _idx_dimensions(path) >= 3)


def array_files(folder: Path, *, only: Path | None = None) -> list[Path]:
    """Return the idx files of pictures in a folder; with ``only`` those of the same set (its exam too)."""
    found = [
        p
        for p in sorted(folder.iterdir())
        if p.is_file() and re.search(r"images?[-._]idx\d|idx[34]", p.name.lower()) and _idx_dimensions(p) >= 3
    ]
    if only is None or _idx_dimensions(only) < 3:
        return found
    if only.suffix.lower() == ".npz":
        return []
    return [only]


def read_arrays(files: Sequence[Path]) -> list[Arrays]:
    """Read sets of pictures with their labels: an idx pair per set, or all sets of an npz file.

    Raises:
        DataError: a file is damaged, labels are missing or do not fit.
    """
    parts: list[Arrays] = []
    for file in files:
        if file.suffix.lower() == ".npz":
            parts.extend(_read_npz(file))
        else:
            pictures = as_pictures(read_idx(file), str(file))
            parts.append(
                _checked(file.name.split(".")[0], pictures, read_idx(_labels_of(file)), _role(file.name))
            )
    order = {"train": 0, "validation": 1, "test": 2}
    return sorted(parts, key=lambda p: order[p.role])


def read_idx(path: Path) -> NDArray[np.generic]:
    """Read an idx file, gzipped or not.

    Raises:
        DataError: it is none, or cut short.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise _damaged(path, "no idx header")
    n_axes = content[3]
    shape = tuple(int(v) for v in np.frombuffer(content, ">u4", n_axes, 4)) if n_axes else ()
    kind = np.dtype(_IDX_TYPES[content[2]])
    expected = 4 + 4 * n_axes + int(np.prod(shape)) * kind.itemsize
    if len(content) != expected:
        raise _damaged(path, f"{len(content):,} bytes where its header says {expected:,}")
    return np.frombuffer(content, kind, offset=4 + 4 * n_axes).reshape(shape)


def as_pictures(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Return an array (N, H, W), (N, H, W, C) or (N, C, H, W) as uint8 (N, H, W, C).

    Fractions are read as 0 to 1 where none lies outside, else everything as 0 to 255 (or 0 to 65,535).

    Raises:
        DataError: it cannot be a set of pictures.
    """
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or not all(array.shape):
        raise DataError(
            "Pictures come as arrays (N, height, width), with 1, 3 or 4 channels on a last or second axis",
            received=say("{name}: shape {shape}", name=name, shape=array.shape),
            fix="save the array in one of these shapes",
        )
    if array.shape[3] == 4:
        array = array[..., :3]
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(
            "Pixels are finite numbers",
            received=say("{name} holds NaN or infinity", name=name),
            fix="clean it",
        )
    low, high = float(values.min()), float(values.max())
    if low < 0:
        values = (values - low) / max(high - low, 1e-12) * 255.0
    elif np.issubdtype(array.dtype, np.floating) and high <= 1.0:
        values = values * 255.0
    elif high > 255:
        values = values / 257.0 if high <= 65535 else values / high * 255.0
    return np.ascontiguousarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _idx_dimensions(path: Path) -> int:
    """Return the number of axes that an idx header says, 0 where there is no such header."""
    try:
        with path.open("rb") as raw:
            head = raw.read(4)
            if head[:2] == b"\x1f\x8b":
                raw.seek(0)
                with gzip.open(raw) as packed:
                    head = packed.read(4)
    except (OSError, EOFError, zlib.error):
        return 0
    return head[3] if len(head) == 4 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES else 0


def _labels_of(pictures: Path) -> Path:
    name = pictures.name.lower().replace("images", "labels").replace("image", "label")
    stem = re.sub(r"idx\d.*", "", name)
    for path in sorted(pictures.parent.iterdir()):
        if (
            path.is_file()
            and path.name.lower().startswith(stem)
            and path != pictures
            and _idx_dimensions(path) == 1
        ):
            return path
    raise DataError(
        "An idx file of pictures has a file of labels beside it",
        received=say("{pictures}, without {stem}idx1-ubyte", pictures=pictures, stem=stem),
        fix="put the labels there, named as MNIST names them",
    )


def _role(name: str) -> str:
    folded = re.split(r"[-_.]", name.casefold())
    if any(word in folded for word in _TEST_WORDS):
        return "test"
    return "validation" if any(word in folded for word in _VALIDATION_WORDS) else "train"


def _npz_parts(path: Path) -> list[tuple[str, str, str]]:
    """Return (role, name of pictures, name of labels) of each set in an npz archive."""
    try:
        with opened_archive(path) as archive:
            names = list(archive.files)
            shapes = {name: _npz_header(archive, name) for name in names}
    except BROKEN_ARCHIVE:
        return []
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = re.split(r"[-_.]", name.casefold())
        rest = [w for w in words if w not in ("train", "training", *_TEST_WORDS, *_VALIDATION_WORDS)]
        role = _role(name)
        kind = "_".join(rest) or name
        shape, dtype = shapes[name]
        if kind in _LABEL_NAMES and len(shape) in (1, 2):
            found.setdefault(role, {})["labels"] = name
        elif len(shape) == 4 or (kind in _PICTURE_NAMES and len(shape) == 3 and dtype == np.uint8):
            # (N, T, F) of fractions is a set of sequences; pixels come as bytes, or with a channel axis.
            found.setdefault(role, {})["pictures"] = name
    return [(r, f["pictures"], f["labels"]) for r, f in found.items() if {"pictures", "labels"} <= set(f)]


def _npz_header(archive: Mapping[str, NDArray[np.generic]], name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.zip.open(f"{name}.npy") as file:  # type: ignore[attr-defined]
        return array_header(file)


def _read_npz(path: Path) -> list[Arrays]:
    archive = load_archive(path, say("save it with numpy.savez(path, images=…, labels=…)"))
    parts = [
        _checked(pictures, as_pictures(archive[pictures], f"{path}:{pictures}"), archive[labels], role)
        for role, pictures, labels in _npz_parts(path)
    ]
    if not parts:
        raise DataError(
            "An npz of pictures holds images and labels (or train_images, train_labels, …)",
            received=str(path),
            fix="save it with numpy.savez(path, images=…, labels=…)",
        )
    return parts


def _checked(name: str, pictures: NDArray[np.uint8], labels: NDArray[np.generic], role: str) -> Arrays:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(pictures):
        raise DataError(
            "There is one label per picture",
            received=say(
                "{name}: {n_pictures:,} pictures and labels of shape {shape}",
                name=name,
                n_pictures=len(pictures),
                shape=labels.shape,
            ),
            fix="save them in the same order",
        )
    return Arrays(name, pictures, labels, role)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "An idx file is whole: a header with its sizes, then as many values",
        received=f"{path}: {why}",
        fix="fetch the file again",
    )
