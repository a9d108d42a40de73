"""Journal: what a training does, as records of the logger ``soundfit`` and as lines of JSON.

Each record has an ``event`` (started, stage, progress, finished, interrupted, failed) and its ``facts``.
Knows no terminal and no tracker.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from soundfit.errors import UsageError
from soundfit.records.said import say
from soundfit.workflow.watcher import Watcher

__all__ = ["JsonLine", "journalled", "log_lines", "note"]

_LOGGER = logging.getLogger("soundfit")
_PROGRESS_SECONDS = 5.0


def note(event: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event with its facts (JSON-ready)."""
    if _LOGGER.isEnabledFor(level):
        shown = ", ".join(f"{name}={value}" for name, value in facts.items())
        _LOGGER.log(level, "%s: %s", event, shown, extra={"event": event, "facts": facts})


class JsonLine(logging.Formatter):
    """A record as one line of JSON: ``time`` (UTC), ``level``, ``event``, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: Mapping[str, Any] = getattr(record, "facts", {"message": record.getMessage()})
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": getattr(record, "event", "message")}
        return json.dumps({**line, **facts}, ensure_ascii=False, default=str)


@contextmanager
def log_lines(path: str | None) -> Iterator[None]:
    """Append the journal to a file as lines of JSON while the block lasts; ``"-"`` is the error stream.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler: logging.Handler = (
            logging.StreamHandler(sys.stderr) if path == "-" else logging.FileHandler(path, encoding="utf-8")
        )
    except OSError as error:
        raise UsageError(
            "--log-lines names a file that can be written, or - for the error stream",
            received=say("{path}: {error}", path=path, error=str(error)),
            fix="name another one",
        ) from error
    handler.setFormatter(JsonLine())
    before = _LOGGER.level, _LOGGER.disabled
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.disabled = (
        False  # another library's logging configuration may have done so: this one is asked for
    )
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(before[0])
        _LOGGER.disabled = before[1]
        handler.close()


def journalled(watcher: Watcher) -> Watcher:
    """Return a watcher that also notes stages, and every five seconds how far training is."""
    if not _LOGGER.isEnabledFor(logging.INFO):
        return watcher
    done, total, told = 0, 0, time.monotonic()

    def stage(name: str) -> None:
        nonlocal done, total
        done = total = 0
        note("stage", name=str(name))
        watcher.on_stage(name)

    def count(n: int) -> None:
        nonlocal total
        total = n
        watcher.on_total(n)

    def advance(n: int) -> None:
        nonlocal done, told
        done += n
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            note("progress", done=done, total=total or None)
        watcher.on_epoch(n)

    return replace(watcher, on_stage=stage, on_total=count, on_epoch=advance)
