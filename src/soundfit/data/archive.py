"""Archive: the arrays of an npz file, or an error that says what is wrong with it. Reads no pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["BROKEN_ARCHIVE", "array_header", "load_archive", "opened_archive"]

#: What numpy and zipfile raise where an npz file is cut off, damaged, encrypted or packed in a way they lack.
BROKEN_ARCHIVE = (
    *(OSError, ValueError, EOFError, LookupError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, MemoryError),
)


@contextmanager
def opened_archive(path: Path) -> Iterator[NpzFile]:
    """Open an npz file whose arrays are read one by one.

    Raises:
        OSError, ValueError and the others of ``BROKEN_ARCHIVE``: it is none, or not whole.
    """
    # Opened here: numpy leaves a file open that turns out to be no archive.
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("a single array, where an archive of named ones is needed")
        with archive:
            yield archive


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type that an array in the npy format says it has; its values are not read.

    Raises:
        ValueError: it is none.
    """
    newer = npy.read_magic(file) >= (2, 0)
    shape, _, dtype = (npy.read_array_header_2_0 if newer else npy.read_array_header_1_0)(file)
    return shape, dtype


def load_archive(path: Path, fix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file by name.

    Args:
        path: the file.
        fix: what the user should save instead.

    Raises:
        DataError: there is no such file, it is not whole, or it holds Python objects.
    """
    try:
        with opened_archive(path) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(
            "The data file must exist",
            received=say("{path}, which does not", path=path),
            fix="check the path",
        ) from None
    except BROKEN_ARCHIVE as error:
        pickled = "allow_pickle" in str(error)
        raise DataError(
            "An npz file holds arrays of numbers or text, and is whole",
            received=f"{path}: {'an array of Python objects' if pickled else error}",
            fix=fix,
        ) from None
