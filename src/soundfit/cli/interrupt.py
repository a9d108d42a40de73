"""Interrupt: Ctrl-C or SIGTERM asks for a stop between epochs; a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["EXIT_INTERRUPTED", "Asked", "asking_to_stop"]

EXIT_INTERRUPTED = 3


class Asked:
    """Whether a stop was asked for; ``wait()`` says that from now on there is something to keep."""

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def wait(self) -> None:
        """From now on the first request waits for the end of an epoch."""
        self.patient = True


@contextmanager
def asking_to_stop(
    tell: Callable[[], None], *, last_words: Callable[[], str] = lambda: "", patient: bool = True
) -> Iterator[Asked]:
    """Give what says whether Ctrl-C was pressed or SIGTERM sent.

    Args:
        tell: called at the first request.
        last_words: what the second request prints before it ends the process, with exit code 3: no thread
            is waited for, since all files are written whole or not at all.
        patient: False makes the first request a KeyboardInterrupt, until :meth:`Asked.wait`.
    """
    asked = Asked(patient=patient)

    def note(number: int, frame: FrameType | None) -> None:
        if not asked.patient:
            raise KeyboardInterrupt
        if asked.asked:
            _leave(last_words())
        asked.asked = True
        tell()

    signals: list[int] = [signal.SIGINT, signal.SIGTERM]
    before: dict[int, Any] = {}
    try:
        for number in signals:
            before[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread: whoever runs us handles signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(words: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            if stream.isatty():
                stream.write("\x1b[?25h")  # a progress bar hides the cursor
            stream.flush()
    with suppress(Exception):
        print(words, file=sys.stderr, flush=True)
    os._exit(EXIT_INTERRUPTED)
