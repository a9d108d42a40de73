"""Page: a lesson as one self-contained HTML file, and the index of those that were run."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from soundfit import __version__
from soundfit.lessons.catalogue import LESSONS, entry_named
from soundfit.lessons.lesson import Lesson
from soundfit.records.said import retell
from soundfit.report.figures.figure import Figure, Key
from soundfit.report.html import environment, write_page
from soundfit.report.words import Words

__all__ = ["told", "write_index", "write_lesson"]


def told(value: Any, _: Words) -> Any:
    """Return a text, figure or nest of them in the reader's language."""
    if isinstance(value, str):
        return retell(value, {}, _)
    if isinstance(value, Figure):
        changed = {name: told(getattr(value, name), _) for name in ("title", "sentence", "data", "columns")}
        keys = tuple(Key(told(key.text, _), key.mark, key.colour) for key in value.keys)
        return replace(value, **changed, keys=keys, rows=told(value.rows, _))
    if isinstance(value, Mapping):
        return {name: told(item, _) for name, item in value.items()}
    return [told(item, _) for item in value] if isinstance(value, (list, tuple)) else value


def write_lesson(
    lesson: Lesson,
    folder: Path,
    *,
    lang: str = "en",
    seed: int = 0,
    seconds: float = 0.0,
    index: bool = False,
) -> Path:
    """Write ``NAME.html`` into a folder, which is made where it is not there, and return its path.

    Args:
        lesson: what was measured.
        folder: to write to.
        lang: of the page.
        seed: that it was run with.
        seconds: that it took.
        index: whether an index page lies beside it.
    """
    _ = Words(lang)
    entry = entry_named(lesson.name)
    figures = [told(figure, _) for figure in lesson.figures]
    page = (
        environment(lang)
        .get_template("lesson.html.j2")
        .render(
            title=told(entry.title, _),
            question=told(entry.question, _),
            sentences=told(lesson.sentences, _),
            method=told(lesson.method, _),
            figures=figures,
            drawn={
                f.id: {"kind": f.kind, "label": f.title, "sentence": f.sentence, "data": f.data}
                for f in figures
            },
            command=f"soundfit lesson {lesson.name} --seed {seed}",
            seed=seed,
            seconds=seconds,
            versions=f"soundfit {__version__}, torch {_torch_version()}, Python {platform.python_version()}",
            index=index,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    return write_page(folder / f"{lesson.name}.html", page)


def write_index(lessons: Sequence[Lesson], folder: Path, *, lang: str = "en") -> Path:
    """Write ``index.html`` with a link to each lesson, and return its path."""
    _ = Words(lang)
    order = [entry.name for entry in LESSONS]
    items = [
        {
            "file": f"{lesson.name}.html",
            "title": told(entry_named(lesson.name).title, _),
            "question": told(entry_named(lesson.name).question, _),
            "sentence": told(lesson.sentences[0], _),
        }
        for lesson in sorted(lessons, key=lambda lesson: order.index(lesson.name))
    ]
    page = environment(lang).get_template("lessons.html.j2").render(items=items)
    folder.mkdir(parents=True, exist_ok=True)
    return write_page(folder / "index.html", page)


def _torch_version() -> str:
    import torch

    return str(torch.__version__)
