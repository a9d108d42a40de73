"""Pictures: decoded pictures with labels, ready for splitting. One row per picture in a Table.

N pictures, H × W pixels, C channels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.picture_cache import decode_all
from soundfit.data.picture_decode import BrokenPicture, array_hash, as_bytes, header, no_bombs, resized
from soundfit.data.picture_source import PictureSource, list_pictures
from soundfit.data.source import MIN_ROWS
from soundfit.data.table import Column, Table
from soundfit.data.task import named_classes, read_target
from soundfit.errors import DataError, UsageError
from soundfit.records import Finding
from soundfit.records.said import say

__all__ = ["Pictures", "read_pictures"]

#: Longest side to which ``auto`` scales pictures, by device: cost grows with the area.
MOST_PIXELS = {"cpu": 64, "cuda": 128}
_SAMPLED_HEADERS = 1_000
_SAMPLED_COLOURS = 48


@dataclass(frozen=True)
class Pictures:
    """Pictures with their labels.

    Attributes:
        pixels: uint8 (N, H, W, C), memory-mapped where they were decoded from files.
        table: one row per picture: ``file``, ``picture`` (its content's hash), and a table's other columns;
            the label is the target.
        roles: given role per picture, empty where none are given.
        source: what was found.
    """

    pixels: NDArray[np.uint8]
    table: Table
    roles: NDArray[np.str_]
    source: PictureSource

    def __len__(self) -> int:
        return len(self.table)

    @property
    def content(self) -> Table:
        """The table whose rows are the pictures' content alone, by which they are sealed."""
        return replace(
            self.table, frame=self.table.frame[["picture"]], columns=(self.table.column("picture"),)
        )

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Return these pictures alone; pixels of all of them in order are not copied."""
        whole = len(rows) == len(self) and bool((rows == np.arange(len(self))).all())
        return Pictures(
            self.pixels if whole else self.pixels[rows],
            self.table if whole else self.table.take(rows),
            self.roles[rows] if len(self.roles) else self.roles,
            self.source,
        )


def read_pictures(
    path: str | Path,
    *,
    target: str = "",
    task: str = "auto",
    image_size: int | None = None,
    device: str = "cpu",
    most: int | None = None,
    shape: tuple[int, int, int] | None = None,
    on_total: Callable[[int], None] = lambda n: None,
    on_picture: Callable[[int], None] = lambda n: None,
) -> Pictures:
    """Find, decode (once) and label pictures.

    Broken files and pictures without a label are left out with a finding.

    Args:
        path: a folder, a table with a column of paths, an idx or npz file.
        target: the label's column, for a table of paths.
        task: ``auto``, ``regression`` or ``classification``; folders and arrays of codes are classes.
        image_size: the longer side after scaling; chosen from the pictures if None.
        device: ``cpu`` or ``cuda``, by which the largest size is chosen.
        most: the largest size instead, which smaller pictures do not reach.
        shape: (H, W, C) exactly, as an earlier reading chose it.

    Raises:
        DataError: no pictures, too few, or one class.
        UsageError: an option cannot be used as given.
    """
    if image_size is not None and not 4 <= image_size <= 1024:
        raise UsageError(
            "--image-size is the longer side in pixels, 4 to 1024", received=str(image_size), fix="use 64"
        )
    source = list_pictures(Path(path), target=target)
    most = image_size or most or MOST_PIXELS.get(device, 64)
    if source.arrays is not None:
        on_total(len(source))
        pixels = _fitted(source.arrays, shape or _array_shape(source.arrays, most))
        content = [array_hash(p) for p in source.arrays]
        broken: dict[int, str] = {}
        on_picture(len(source))
    else:
        shape = shape or _choose_shape(source, most, exact=image_size is not None)
        decoded = decode_all(source.root, source.files, shape, on_total=on_total, on_picture=on_picture)
        pixels, content, broken = decoded.pixels, list(decoded.content), decoded.broken
    return _labelled(source, pixels, content, broken, task)


def _labelled(
    source: PictureSource,
    pixels: NDArray[np.uint8],
    content: Sequence[str],
    broken: dict[int, str],
    task: str,
) -> Pictures:
    whole = np.ones(len(source), dtype=bool)
    whole[list(broken)] = False
    if not whole.any():
        first = next(iter(broken.items()), (0, "none was found"))
        raise DataError(
            "Some pictures can be read",
            received=say(
                "{n_source:,} files in {name}, all broken; {files}: {first}",
                n_source=len(source),
                name=source.name,
                files=source.files[first[0]],
                first=first[1],
            ),
            fix="check the files; paths in a table are relative to it",
        )
    if source.folders:
        # Names of folders are classes, also where they look like numbers or like a missing value.
        read = named_classes(source.labels, name=source.target)
    else:
        labels = pd.Series(list(source.labels), dtype=object).infer_objects()
        read = read_target(labels, name=source.target, task=task)
    known = np.flatnonzero(~read.missing & whole)
    if len(known) < MIN_ROWS:
        raise DataError(
            say("Training needs at least {MIN_ROWS} pictures with a label", MIN_ROWS=MIN_ROWS),
            received=say("{n_known:,} in {name}", n_known=len(known), name=source.name),
            fix="add pictures; below a hundred or so, a score says little",
        )
    values, classes = read.values[known], read.classes
    if read.task == "classification":
        values, classes = _present(values, classes, source)
    frame = pd.DataFrame({"file": list(source.files), "picture": content})
    for name in source.columns.columns:
        frame[name if name not in frame else f"{name}.1"] = source.columns[name]
    frame = frame.iloc[known].reset_index(drop=True)
    table = Table(
        frame=frame,
        target=values,
        target_name=source.target,
        task=read.task,
        classes=classes,
        columns=tuple(Column(str(c), "text", used=False, reason="models read pixels") for c in frame.columns),
        file_rows=known.astype(np.int64),
        n_file_rows=len(source),
        source=source.name,
        sha256=_sha256(source, content),
        findings=tuple(_findings(source, broken, np.flatnonzero(read.missing & whole))),
    )
    roles = np.array(source.roles, dtype=np.str_)
    whole_set = len(known) == len(source)
    return Pictures(
        pixels if whole_set else pixels[known], table, roles[known] if len(roles) else roles, source
    )


def _present(
    values: NDArray[np.int64], classes: tuple[object, ...], source: PictureSource
) -> tuple[NDArray[np.int64], tuple[object, ...]]:
    """Renumber classes where some have no picture that can be read."""
    there, codes = np.unique(values, return_inverse=True)
    if len(there) < 2:
        raise DataError(
            "There are pictures of two classes or more",
            received=say(
                "{name}, where only {classes!r} has pictures that can be read",
                name=source.name,
                classes=classes[int(there[0])],
            ),
            fix="check the other sub-folders",
        )
    return codes.astype(np.int64), tuple(classes[int(c)] for c in there)


def _findings(source: PictureSource, broken: dict[int, str], unlabelled: NDArray[np.int64]) -> list[Finding]:
    found = []
    if broken:
        told = "; ".join(f"{source.files[i]}: {why}" for i, why in list(broken.items())[:3])
        n = len(broken)
        found.append(
            Finding(
                "broken-pictures",
                "warning",
                say(
                    "{n:,} of {whole:,} pictures cannot be read, so the training leaves them out: {told}",
                    n=n,
                    whole=len(source),
                    told=told + ("; …" if n > 3 else "."),
                ),
                columns=("file",),
                rows=tuple(sorted(broken)[:20]),
                n_rows=n,
                fix=say("Fetch or save these files again, or delete them."),
                evidence={"files": [source.files[i] for i in sorted(broken)][:200]},
            )
        )
    if len(unlabelled):
        names = ", ".join(source.files[i] for i in unlabelled[:3])
        found.append(
            Finding(
                "missing-target",
                "warning",
                say(
                    "{n:,} pictures without a label are left out: {names}",
                    n=len(unlabelled),
                    names=names + (", …" if len(unlabelled) > 3 else "."),
                ),
                columns=(source.target,),
                rows=tuple(int(i) for i in unlabelled[:20]),
                n_rows=len(unlabelled),
                fix=say("Put them into the sub-folder of their class.")
                if source.folders
                else say("Label them."),
            )
        )
    return found


def _sha256(source: PictureSource, content: Sequence[str]) -> str:
    """Return a digest of all pictures with their names and labels."""
    digest = hashlib.sha256()
    for file, mark, label in zip(source.files, content, source.labels, strict=True):
        digest.update(f"{file}\0{mark}\0{label}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


# ---- size and colour ---------------------------------------------------------------------------------


def _choose_shape(source: PictureSource, most: int, *, exact: bool) -> tuple[int, int, int]:
    """Return (H, W, C): the median shape, at most ``most`` on its longer side; grey where all are."""
    step = max(1, len(source) // _SAMPLED_HEADERS)
    sizes: list[tuple[int, int]] = []
    coloured: list[Path] = []
    with no_bombs():
        for name in source.files[::step]:
            try:
                width, height, colour = header(source.root / name)
            except BrokenPicture:
                continue
            sizes.append((height, width))
            if colour:
                coloured.append(source.root / name)
        channels = 3 if _has_colour(coloured) else 1
    if not sizes:
        return most, most, channels
    common, n = Counter(sizes).most_common(1)[0]
    if not exact and n >= 0.9 * len(sizes) and max(common) <= most:
        return (*common, channels)
    tallest = float(np.median([max(size) for size in sizes]))
    # The shape in the middle of all shapes; half as long at most, so that little is cut off from others.
    ratio = float(np.clip(np.median([h / w for h, w in sizes]), 0.5, 2.0))
    longer = float(most) if exact else min(float(most), tallest)
    tall, wide = (longer, longer / ratio) if ratio >= 1 else (longer * ratio, longer)
    return _even(tall), _even(wide), channels


def _even(value: float) -> int:
    """Return a multiple of four, which halves twice without a rest."""
    return max(4, 4 * round(value / 4))


def _has_colour(paths: Sequence[Path]) -> bool:
    """Return whether pictures stored in colour show any (a scan of greys does not)."""
    from PIL import Image

    step = max(1, len(paths) // _SAMPLED_COLOURS)
    for path in paths[::step]:
        try:
            with Image.open(path) as picture:
                picture.draft("RGB", (64, 64))
                small = np.asarray(as_bytes(picture).convert("RGB").resize((32, 32)), dtype=np.int16)
        except Exception:
            continue
        spread = small.max(axis=2) - small.min(axis=2)
        if (spread > 16).mean() > 0.01:
            return True
    return False


def _array_shape(arrays: NDArray[np.uint8], most: int) -> tuple[int, int, int]:
    """Return the shape of arrays, or a smaller one where they are larger than ``most``."""
    height, width, channels = arrays.shape[1:]
    if max(height, width) <= most:
        return height, width, channels
    scale = most / max(height, width)
    return _even(height * scale), _even(width * scale), channels


def _fitted(arrays: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return arrays as they are, or brought to ``shape``."""
    if arrays.shape[1:] == shape:
        return arrays
    from PIL import Image

    grey = arrays.shape[3] == 1
    return np.stack([resized(Image.fromarray(a[..., 0] if grey else a), *shape) for a in arrays])
