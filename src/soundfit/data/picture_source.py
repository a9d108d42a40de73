"""Picture source: which files and arrays are pictures, their labels and given roles. Decodes nothing.

Folders as torchvision's ImageFolder reads them: the top-level sub-folder is the class, whatever lies below
it; ``train``, ``validation`` and ``test`` folders above them are roles. Or a table with a column of paths,
or arrays in idx (MNIST) and npz files.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.picture_arrays import Arrays, array_files, holds_arrays, read_arrays
from soundfit.data.source import read_frame
from soundfit.errors import DataError, UsageError, did_you_mean
from soundfit.records.said import say

__all__ = [
    "ROLES",
    "PictureSource",
    "holds_pictures",
    "list_files",
    "list_pictures",
    "path_column",
    "picture_endings",
    "table_endings",
]

#: Words for a role, by role; compared without case.
ROLES = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "tst"),
}
# Formats that Pillow only recognises, or that need other programs.
_NOT_PICTURES = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS", "PDF"}
_LOOKS_LIKE_PICTURE = re.compile(rb"\.(jpe?g|png|bmp|gif|tiff?|webp|ppm|pgm|jp2|avif|heic)\b", re.IGNORECASE)
_PEEK_BYTES = 65_536
_TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".data", ".parquet", ".pq", ".feather", ".arrow", ".ipc")


@dataclass(frozen=True)
class PictureSource:
    """Pictures that were found, in a stable order.

    Attributes:
        name: what errors and ``run.json`` call the source.
        root: what ``files`` are relative to.
        files: names, one per picture; of arrays ``images[17]``.
        labels: one per picture, None where there is none.
        roles: ``train``, ``validation`` or ``test`` per picture, or empty where none are given.
        target: the name of what is predicted.
        columns: of a table, the columns beside path and target.
        arrays: the pictures themselves, where they came as arrays.
        ignored: how many files were no pictures, by ending.
        folders: whether labels are names of folders.
    """

    name: str
    root: Path
    files: tuple[str, ...]
    labels: tuple[Any, ...]
    roles: tuple[str, ...] = ()
    target: str = "class"
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    arrays: NDArray[np.uint8] | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    folders: bool = True

    def __len__(self) -> int:
        return len(self.files)


@cache
def picture_endings() -> frozenset[str]:
    """Return the file endings (with dot, lower case) of all formats that Pillow can open."""
    from PIL import Image

    Image.init()
    known = Image.registered_extensions()
    return frozenset(e.lower() for e, f in known.items() if f in Image.OPEN and f not in _NOT_PICTURES)


def holds_pictures(path: Path, target: str = "") -> bool:
    """Return whether a folder or file holds pictures, by names, magic bytes and shapes alone."""
    if path.is_dir():
        return bool(array_files(path)) or next(_walk(path), None) is not None
    if not path.is_file():
        return False
    if path.suffix.lower() in _TABLE_ENDINGS:
        return _table_holds_pictures(path, target)
    return holds_arrays(path) or path.suffix.lower() in picture_endings()


def list_pictures(path: Path, *, target: str = "") -> PictureSource:
    """List the pictures of a folder, a table of paths, or files of arrays.

    Raises:
        DataError: nothing there, or no labels.
        UsageError: no such target column.
    """
    if path.is_dir():
        arrays = array_files(path)
        return _from_arrays(path, read_arrays(arrays), target) if arrays else _from_folder(path, target)
    if path.suffix.lower() in _TABLE_ENDINGS:
        return _from_table(path, target)
    if holds_arrays(path):
        return _from_arrays(path, read_arrays(array_files(path.parent, only=path) or [path]), target)
    raise DataError(
        "Training needs a folder of pictures in sub-folders, one per class",
        received=say("{path}, a single picture", path=path),
        fix="name the folder above the classes",
    )


def list_files(folder: Path) -> list[str]:
    """Return the names of all pictures in a folder and below it, sorted, whatever their class."""
    return sorted(_walk(folder))


def table_endings() -> tuple[str, ...]:
    """Return the endings of tables."""
    return _TABLE_ENDINGS


# ---- folders -----------------------------------------------------------------------------------------


def _walk(root: Path, ignored: Counter[str] | None = None) -> Iterator[str]:
    """Yield relative names of picture files in a stable order; links to folders are followed once."""
    seen = {os.path.realpath(root)}
    pending = [root]
    endings = picture_endings()
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError:
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    folders.append(Path(entry.path))
                continue
            ending = os.path.splitext(entry.name)[1].lower()
            if ending in endings or (not ending and _opens(entry.path)):
                yield Path(entry.path).relative_to(root).as_posix()
            elif ignored is not None:
                ignored[ending or entry.name] += 1
        pending.extend(reversed(folders))


def _opens(path: str) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.format not in _NOT_PICTURES
    except Exception:
        return False


def _from_folder(root: Path, target: str) -> PictureSource:
    ignored: Counter[str] = Counter()
    names = sorted(_walk(root, ignored))
    parts = [tuple(name.split("/")) for name in names]
    depth = 0
    # A folder that holds one folder alone says nothing: look inside.
    while (
        parts
        and len({p[depth] for p in parts if len(p) > depth + 1}) == 1
        and all(len(p) > depth + 1 for p in parts)
    ):
        if _role(parts[0][depth]) or len({p[depth + 1] for p in parts if len(p) > depth + 2}) < 2:
            break
        depth += 1
    tops = {p[depth] for p in parts if len(p) > depth + 1}
    given = {top: _role(top) for top in tops}
    has_roles = "train" in given.values() and all(given.values())
    roles: list[str] = []
    labels: list[str | None] = []
    for p in parts:
        inner = p[depth:]
        if has_roles:
            roles.append(given.get(inner[0], "") or "")
            inner = inner[1:]
        labels.append(inner[0] if len(inner) > 1 else None)
    if len({label for label in labels if label is not None}) < 2:
        inside = ", ".join(sorted({str(label) for label in labels if label is not None})[:3]) or say("none")
        raise DataError(
            "A folder of pictures has a sub-folder per class, two or more",
            received=say(
                "{root} with {n_names:,} pictures and {n_value} such ({inside})",
                root=root,
                n_names=len(names),
                n_value=len(set(labels) - {None}),
                inside=inside,
            ),
            fix="sort the pictures into sub-folders, or give a table with a column of paths and --target",
        )
    return PictureSource(
        str(root), root, tuple(names), tuple(labels), tuple(roles), target or "class", ignored=dict(ignored)
    )


def _role(name: str) -> str:
    folded = name.casefold()
    return next((role for role, words in ROLES.items() if folded in words), "")


# ---- tables of paths ---------------------------------------------------------------------------------


def _table_holds_pictures(path: Path, target: str) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_PEEK_BYTES)
    except OSError:
        return False
    if not _LOOKS_LIKE_PICTURE.search(head):
        return False
    try:
        frame = read_frame(path)
    except (DataError, UsageError):
        return False
    name = path_column(frame, path.parent, target)
    return name is not None


def path_column(frame: pd.DataFrame, folder: Path, target: str = "") -> str | None:
    """Return the column whose values are paths of picture files that are there, None where there is none."""
    endings = picture_endings()
    for name in frame.columns:
        if name == target:
            continue
        values = frame[name].dropna().head(50).map(str)
        if not len(values) or values.map(lambda v: Path(v).suffix.lower() in endings).mean() < 0.8:
            continue
        only = len(frame.columns) <= 2
        if only or any((folder / v).is_file() or Path(v).is_file() for v in values):
            return str(name)
    return None


def _from_table(path: Path, target: str) -> PictureSource:
    frame = read_frame(path)
    column = path_column(frame, path.parent, target)
    assert column is not None
    others = [str(c) for c in frame.columns if c != column]
    if not target and len(others) == 1:
        target = others[0]
    if not target or target not in others:
        raise UsageError(
            "A table of pictures needs --target, the column with their labels",
            received=say("--target {target!r}, which is not in {path}", target=target, path=path)
            if target
            else "none",
            fix=did_you_mean(target, others)
            if target
            else say("name one of: {list}", list=", ".join(others[:12])),
        )
    root = path.parent
    files = tuple(
        str(v)
        if isinstance(v, str) and ((root / v).is_file() or not Path(v).is_file())
        else os.path.abspath(str(v))
        for v in frame[column]
    )
    labels = tuple(None if pd.isna(v) else v for v in frame[target])
    rest = frame[[c for c in others if c != target]].reset_index(drop=True)
    return PictureSource(str(path), root, files, labels, (), target, rest, folders=False)


# ---- arrays ------------------------------------------------------------------------------------------


def _from_arrays(path: Path, parts: list[Arrays], target: str) -> PictureSource:
    shapes = {part.pictures.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise DataError(
            "Arrays of pictures have one height, width and number of channels",
            received=say("{path} with {list}", path=path, list=", ".join(map(str, sorted(shapes)))),
            fix="bring them to one size",
        )
    roles = tuple(part.role for part in parts for _ in range(len(part.pictures)))
    labels = tuple(label for part in parts for label in part.labels.tolist())
    files = tuple(f"{part.name}[{i}]" for part in parts for i in range(len(part.pictures)))
    pictures = np.concatenate([part.pictures for part in parts]) if len(parts) > 1 else parts[0].pictures
    return PictureSource(
        str(path),
        path if path.is_dir() else path.parent,
        files,
        labels,
        roles if len(set(roles)) > 1 else (),
        target or "class",
        arrays=pictures,
        folders=False,
    )
