"""Picture cache: pictures decoded once, as one memory-mapped array on disk.

An entry is named by what it was made from: names, sizes and times of the files, and the size of the
result. It is written beside its place and moved there whole. Entries that were not used for long go when
the cache grows too large. ``SOUNDFIT_CACHE`` names another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from soundfit.data.picture_decode import BrokenPicture, Decoded, decode, no_bombs

__all__ = ["CACHE_VARIABLE", "DecodedPictures", "decode_all", "decode_here"]

CACHE_VARIABLE = "SOUNDFIT_CACHE"
_VERSION = 1
_MOST_CACHE_BYTES = 20_000_000_000
_MOST_WORKERS = 8


@dataclass(frozen=True)
class DecodedPictures:
    """Pixels (N, H, W, C), one content hash per picture ("" where broken), and why some are broken."""

    pixels: NDArray[np.uint8]
    content: tuple[str, ...]
    broken: dict[int, str]


def decode_all(
    root: Path,
    files: Sequence[str],
    shape: tuple[int, int, int],
    *,
    on_total: Callable[[int], None] = lambda n: None,
    on_picture: Callable[[int], None] = lambda n: None,
) -> DecodedPictures:
    """Decode files (relative to ``root``, or absolute) to ``shape`` (H, W, C), or find them in the cache.

    Where no cache can be written, pixels are kept in memory. A broken file has zeros.
    """
    on_total(len(files))
    entry = _entry(root, files, shape)
    found = _read(entry, len(files), shape)
    if found is not None:
        on_picture(len(files))
        return found
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        needed = len(files) * int(np.prod(shape))
        _make_room(entry.parent, needed)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=entry.parent) as name:
            folder = Path(name) / "entry"
            folder.mkdir()
            pixels = np.lib.format.open_memmap(
                folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(files), *shape)
            )
            content, broken = _fill(pixels, root, files, shape, on_picture)
            pixels.flush()
            del pixels
            described = {"content": content, "broken": {str(i): why for i, why in broken.items()}}
            (folder / "pictures.json").write_text(json.dumps(described), encoding="utf-8")
            try:
                os.replace(folder, entry)
            except OSError:
                if not entry.is_dir():  # else another process was first: theirs is the same
                    raise
        found = _read(entry, len(files), shape)
        if found is not None:
            return found
    except OSError:
        pass
    return decode_here(root, files, shape, on_picture=on_picture)


def decode_here(
    root: Path,
    files: Sequence[str],
    shape: tuple[int, int, int],
    *,
    on_picture: Callable[[int], None] = lambda n: None,
) -> DecodedPictures:
    """Decode files into memory."""
    pixels = np.zeros((len(files), *shape), dtype=np.uint8)
    content, broken = _fill(pixels, root, files, shape, on_picture)
    return DecodedPictures(pixels, tuple(content), broken)


def _entry(root: Path, files: Sequence[str], shape: tuple[int, int, int]) -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else Path(user_cache_dir("soundfit", appauthor=False)) / "pictures"
    digest = hashlib.blake2b(repr((_VERSION, str(root.resolve()), shape)).encode(), digest_size=16)
    for name in files:
        try:
            status = (root / name).stat()
            digest.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
        except OSError:
            digest.update(repr((name, None)).encode())
    return folder / digest.hexdigest()


def _read(entry: Path, n: int, shape: tuple[int, int, int]) -> DecodedPictures | None:
    try:
        described = json.loads((entry / "pictures.json").read_text(encoding="utf-8"))
        # Copy on write: nobody can change the cache, and torch may share the memory.
        pixels = np.load(entry / "pixels.npy", mmap_mode="c", allow_pickle=False)
        content = tuple(described["content"])
        broken = {int(i): str(why) for i, why in described["broken"].items()}
        if pixels.shape != (n, *shape) or pixels.dtype != np.uint8 or len(content) != n:
            return None
        os.utime(entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return DecodedPictures(pixels, content, broken)


def _fill(
    pixels: NDArray[np.uint8],
    root: Path,
    files: Sequence[str],
    shape: tuple[int, int, int],
    on_picture: Callable[[int], None],
) -> tuple[list[str], dict[int, str]]:
    content, broken = [""] * len(files), {}

    def one(i: int) -> Decoded | BrokenPicture:
        try:
            return decode(root / files[i], *shape)
        except BrokenPicture as error:
            return error

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Decoders release the interpreter: threads use all cores. Set once: warnings belong to the process.
    with no_bombs(), ThreadPoolExecutor(max(1, min(usable, _MOST_WORKERS))) as pool:
        for i, result in enumerate(pool.map(one, range(len(files)))):
            if isinstance(result, BrokenPicture):
                broken[i] = str(result)
            else:
                pixels[i], content[i] = result.pixels, result.content
            on_picture(1)
    return content, broken


def _make_room(folder: Path, needed: int) -> None:
    """Remove the entries that were used longest ago until the cache fits its limit."""
    entries = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    sizes = {p: sum(f.stat().st_size for f in p.iterdir() if f.is_file()) for p in entries}
    total = sum(sizes.values()) + needed
    for path in sorted(entries, key=lambda p: p.stat().st_mtime):
        if total <= _MOST_CACHE_BYTES:
            return
        total -= sizes[path]
        shutil.rmtree(path, ignore_errors=True)
