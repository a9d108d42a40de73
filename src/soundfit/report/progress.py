"""Progress of a run in the terminal: stage, bar, time left. Knows no training; it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from soundfit.records.said import Said, retell
from soundfit.report.numbers import duration
from soundfit.report.words import Words

__all__ = ["TrainingProgress", "stage_words", "training_progress"]


class TrainingProgress(Protocol):
    """What a workflow tells while it works.

    ``stage(name)`` opens the next stage and closes the one before; ``total(n)`` says how many units of
    work the stage has, ``advance(n)`` that so many more are done.
    """

    def stage(self, name: str) -> None:
        """Open the next stage."""

    def total(self, n: float) -> None:
        """Say how many units of work the stage has."""

    def advance(self, n: float = 1) -> None:
        """Say that ``n`` more units are done."""


@contextmanager
def training_progress(
    console: Console, *, quiet: bool = False, lang: str = "en"
) -> Iterator[TrainingProgress]:
    """Yield a progress display that is gone, or finished, when the block ends.

    Stages are named in English and shown in the language ``lang``.

    In a terminal each stage is a line with a bar and the time left, and a tick once done; elsewhere
    (a log file, a pipe) one line per stage; nothing at all when ``quiet``.
    """
    if quiet:
        yield _Silent()
    elif console.is_terminal:
        with _Bars(console, Words(lang)) as bars:
            yield bars
    else:
        lines = _Lines(console, Words(lang))
        yield lines
        lines.close()


class _Silent:
    def stage(self, name: str) -> None:
        pass

    def total(self, n: float) -> None:
        pass

    def advance(self, n: float = 1) -> None:
        pass


class _Lines:
    """One line per stage, printed when it ends, with the time that it took."""

    def __init__(self, console: Console, words: Words) -> None:
        self.console = console
        self.words = words
        self.name = ""
        self.since = 0.0

    def stage(self, name: str) -> None:
        self.close()
        self.name, self.since = stage_words(name, self.words), time.monotonic()

    def total(self, n: float) -> None:
        pass

    def advance(self, n: float = 1) -> None:
        pass

    def close(self) -> None:
        if self.name:
            took = duration(time.monotonic() - self.since)
            self.console.print(f"{self.name} ({took})", markup=False, highlight=False)
            self.name = ""


class _Left(ProgressColumn):
    """How much is done and how long the rest will take; nothing while that is unknown."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def render(self, task: Task) -> Text:
        """Return ``12/50 · 8 s left``."""
        if not task.total:
            return Text("")
        text = Text(f"{task.completed:,.0f}/{task.total:,.0f}")
        left = task.time_remaining
        if left is not None and not task.finished:
            text.append(" · " + _left(duration(max(left, 1.0)), self.words), style="dim")
        return text


class _Bars:
    """One line with a bar for the stage at work, a ticked line for each stage done."""

    def __init__(self, console: Console, words: Words) -> None:
        self.console = console
        self.words = words
        self.progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            _Left(words),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.name = ""
        self.since = 0.0

    def __enter__(self) -> _Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(is_done=kind is None)
        self.progress.stop()

    def stage(self, name: str) -> None:
        self._close(is_done=True)
        self.name, self.since = stage_words(name, self.words), time.monotonic()
        self.task = self.progress.add_task(self.name, total=None)

    def total(self, n: float) -> None:
        if self.task is not None:
            self.progress.update(self.task, total=n)

    def advance(self, n: float = 1) -> None:
        if self.task is not None:
            self.progress.advance(self.task, n)

    def _close(self, *, is_done: bool) -> None:
        if self.task is None:
            return
        self.progress.remove_task(self.task)
        self.task = None
        if is_done:
            took = duration(time.monotonic() - self.since)
            self.progress.console.print(
                f"  [green]✓[/] {_escaped(self.name)} [dim]{took}[/]", highlight=False
            )


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def stage_words(name: str, _: Words) -> str:
    """Return the name of a stage in the reader's language."""
    return retell(name, {}, _) if isinstance(name, Said) else _(name)


def _left(time_left: str, _: Words) -> str:
    return _("{time} left").format(time=time_left)
