"""Run folders: written aside and moved to their place whole, so that nothing is ever half written."""

from __future__ import annotations

import glob
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from soundfit.errors import UsageError
from soundfit.records.said import phrases, say

__all__ = [
    "RESUME",
    "check_free",
    "default_folder",
    "is_unfinished",
    "read_json",
    "read_run",
    "through_since",
    "unfinished_folder",
    "whole_folder",
    "write_json",
    "write_json_line",
    "write_record",
]

#: What an unfinished training keeps in its run folder lies in this folder there.
RESUME = ".resume"


def default_folder(source: str) -> Path:
    """Return ``runs/NAME``, or the first free ``runs/NAME-2``, ``-3`` …"""
    stem = _stem(source)
    for n in range(1, 10_000):
        path = Path("runs") / (stem if n == 1 else f"{stem}-{n}")
        if not path.exists():
            return path
    raise UsageError("A new run needs a free folder", received="10,000 runs of that name", fix="pass --out")


def unfinished_folder(source: str) -> Path | None:
    """Return the last unfinished one of ``runs/NAME``, ``runs/NAME-2`` …, None where there is none."""
    stem = _stem(source)
    named = [p for p in Path("runs").glob(f"{glob.escape(stem)}*") if is_unfinished(p)]
    mine = [p for p in named if re.fullmatch(re.escape(stem) + r"(-\d+)?", p.name)]
    return max(mine, key=lambda p: (p / RESUME).stat().st_mtime, default=None)


def _stem(source: str) -> str:
    stem = Path(source).name.split(".")[0] or "table"
    return "table" if stem.startswith("<") else stem


def is_unfinished(out: Path) -> bool:
    """Return whether a folder holds a training that can go on."""
    return (out / RESUME / "training.json").is_file()


def through_since(out: Path, command: str) -> str:
    """Return when a folder's training by this very command was through, empty where it was not.

    A training that is killed after its last write is through; whoever starts it once more with ``--resume``
    is told so.
    """
    if is_unfinished(out) or not (out / "run.json").is_file():
        return ""
    record = read_run(out)
    same = _but_resume(record.get("command")) == _but_resume(command)
    return str(record.get("created", "")) if same else ""


def _but_resume(command: Any) -> list[str]:
    return [word for word in str(command).split() if word != "--resume"]


def check_free(out: Path, *, resume: bool = False) -> None:
    """Refuse a folder that is not empty, not a folder, or cannot be written, before any work is done.

    With ``resume`` it may hold an unfinished training.

    Raises:
        UsageError: with what stands there.
    """
    if out.is_file():
        raise UsageError(
            "The run folder is a new or empty folder",
            received=say("{out} is a file", out=out),
            fix="choose another --out",
        )
    inside = {p.name for p in out.iterdir()} if out.is_dir() else set()
    if is_unfinished(out) and not resume:
        raise UsageError(
            "The run folder is new or empty, so that no earlier run is overwritten",
            received=say("{out}, which holds an unfinished training", out=out),
            fix="go on with it by --resume, choose another --out, or delete the folder first",
        )
    # A training that was killed before it began leaves an empty mark of it.
    if inside - {RESUME} and not (resume and is_unfinished(out)):
        if resume:
            raise UsageError(
                "--resume goes on with an unfinished training",
                received=say("{out}, which holds a finished run", out=out)
                if "run.json" in inside
                else say("{out}, which holds none", out=out),
                fix="choose another --out, or delete the folder to train again",
            )
        raise UsageError(
            "The run folder is new or empty, so that no earlier run is overwritten",
            received=say("{out} is not empty", out=out),
            fix="choose another --out, or delete the folder first",
        )
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise UsageError(
            "The run folder lies where files can be written",
            received=say("no permission to write in {parent}", parent=parent),
            fix="choose another --out",
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder to write into; move it to ``out`` if all went well, else remove it.

    Where ``out`` holds an unfinished training, what is written replaces an earlier run of it, ``run.json``
    last: a folder without one is no run. The training's own state stays; an OSError is then the caller's.
    """
    out = out.absolute()
    if (out / RESUME).is_dir():
        with _inside(out) as folder:
            yield folder
        return
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


@contextmanager
def _inside(out: Path) -> Iterator[Path]:
    temporary = out / RESUME / "whole"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        (out / "run.json").unlink(missing_ok=True)
        for path in sorted(temporary.iterdir(), key=lambda p: p.name == "run.json"):
            if path.is_dir():
                shutil.rmtree(out / path.name, ignore_errors=True)
            path.replace(out / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_record(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``run.json``, and ``words.json`` with what its sentences were made of, for other languages."""
    path = folder / "words.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    write_json(path, {**(known if isinstance(known, dict) else {}), **phrases(document)})
    write_json(folder / "run.json", document)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN and infinities become null (JSON has none)."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object of our own; None where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


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
    if not path.is_file() and is_unfinished(Path(run)):
        raise UsageError(
            "A run is the folder of a training that is through",
            received=say("{run}, which holds an unfinished one", run=run),
            fix="go on with it: soundfit train … --resume, with the options of its beginning",
        )
    if not path.is_file():
        raise UsageError(
            "A run is the folder that soundfit train wrote",
            received=say("{run}, which has no run.json", run=run),
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
            received=say(
                "schema {value}",
                value=record.get("schema") if isinstance(record, dict) else type(record).__name__,
            ),
            fix="read it with the soundfit version that wrote it, or train again",
        )
    return record


def write_json_line(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False))
