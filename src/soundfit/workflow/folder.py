"""Run folders: written beside their place and moved there whole, so that nothing is ever half written."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from soundfit.errors import UsageError

__all__ = ["check_free", "default_folder", "read_run", "whole_folder", "write_json", "write_json_line"]


def default_folder(source: str) -> Path:
    """Return ``runs/NAME``, or the first free ``runs/NAME-2``, ``-3`` …"""
    stem = Path(source).name.split(".")[0] or "table"
    stem = "table" if stem.startswith("<") else stem
    for n in range(1, 10_000):
        path = Path("runs") / (stem if n == 1 else f"{stem}-{n}")
        if not path.exists():
            return path
    raise UsageError("A new run needs a free folder", received="10,000 runs of that name", fix="pass --out")


def check_free(out: Path) -> None:
    """Refuse a folder that is not empty, not a folder, or cannot be written, before any work is done.

    Raises:
        UsageError: with what stands there.
    """
    if out.is_file():
        raise UsageError(
            "The run folder is a new or empty folder",
            received=f"{out} is a file",
            fix="choose another --out",
        )
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(
            "The run folder is new or empty, so that no earlier run is overwritten",
            received=f"{out} is not empty",
            fix="choose another --out, or delete the folder first",
        )
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise UsageError(
            "The run folder lies where files can be written",
            received=f"no permission to write in {parent}",
            fix="choose another --out",
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder to write into; move it to ``out`` if all went well, else remove it."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{os.getpid()}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if out.is_dir():
            out.rmdir()
        temporary.replace(out)
    except OSError as error:
        raise UsageError(
            "A run folder needs a place that can be written and enough space",
            received=f"{type(error).__name__}: {error}",
            fix="free some space or choose another --out",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN and infinities become null (JSON has none)."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)


def read_run(run: str | Path) -> dict[str, Any]:
    """Read ``run.json`` of a run folder.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    path = Path(run) / "run.json"
    if not path.is_file():
        raise UsageError(
            "A run is the folder that soundfit train wrote",
            received=f"{run}, which has no run.json",
            fix="name the folder given to --out",
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(
            "run.json is the record that soundfit train wrote", received=str(error), fix="train again"
        ) from error
    if not isinstance(record, dict) or record.get("schema") != 1:
        raise UsageError(
            "run.json is a record of schema 1",
            received=f"schema {record.get('schema') if isinstance(record, dict) else type(record).__name__}",
            fix="read it with the soundfit version that wrote it, or train again",
        )
    return record


def write_json_line(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False))
