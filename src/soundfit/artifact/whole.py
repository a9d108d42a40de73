"""Whole: a file written beside its place and moved there, so that it is never half written."""

from __future__ import annotations

import os
from pathlib import Path

from soundfit.errors import UsageError

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write the file whole or not at all.

    Raises:
        UsageError: it can't be written there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UsageError(
            "A file is written where there is room and permission",
            received=f"{path}: {error.strerror or error}",
            fix="choose another -o",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
