"""Progress in a notebook: the stages done and a bar for the one at work, in the cell's output."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from soundfit.report.numbers import duration
from soundfit.report.progress import TrainingProgress, stage_words
from soundfit.report.words import Words

__all__ = ["in_notebook", "notebook_progress"]

_UPDATE_SECONDS = 0.5


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel, whose cells show HTML."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def notebook_progress(*, lang: str = "en") -> Iterator[TrainingProgress]:
    """Yield a progress display in the cell that runs; what is done stays there as lines."""
    cell = _Cell(Words(lang))
    yield cell
    cell.close()


class _Cell:
    def __init__(self, words: Words) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found]

        self.words, self.html = words, HTML
        self.lines: list[str] = []
        self.name = ""
        self.done, self.whole = 0.0, 0.0
        self.since = self.shown = time.monotonic()
        self.handle: Any = display(HTML(""), display_id=True)

    def stage(self, name: str) -> None:
        self.close()
        self.name, self.since = stage_words(name, self.words), time.monotonic()
        self.done = self.whole = 0.0
        self._show()

    def total(self, n: float) -> None:
        self.whole = n
        self._show()

    def advance(self, n: float = 1) -> None:
        self.done += n
        if time.monotonic() - self.shown > _UPDATE_SECONDS:
            self._show()

    def close(self) -> None:
        """Put a tick to the stage at work."""
        if self.name:
            took = duration(time.monotonic() - self.since)
            self.lines.append(f"✓ {html.escape(self.name)} ({took})")
            self.name = ""
            self._show()

    def _show(self) -> None:
        self.shown = time.monotonic()
        parts = list(self.lines)
        if self.name:
            bar = (
                f'<progress value="{self.done:.0f}" max="{self.whole:.0f}"></progress> ' if self.whole else ""
            )
            count = f" {self.done:,.0f}/{self.whole:,.0f}" if self.whole else " …"
            parts.append(f"{bar}{html.escape(self.name)}{count}")
        self.handle.update(self.html("<br>".join(parts)))
