"""``soundfit lesson [NAME]``. Imports nothing heavy before it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from soundfit.cli import options as opt

__all__ = ["lesson_command"]


def lesson_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Lesson to run, or all; without one they are listed.", show_default=False
        ),
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder to write the page to.")] = Path("lessons"),
    lang: opt.Lang = "en",
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    quiet: opt.Quiet = False,
    seed: opt.Seed = 0,
) -> None:
    """Run an experiment that shows one idea of training, and write it as a page; list them without a name.

    Example:  soundfit lesson polynomial --open
    """
    from rich.console import Console

    from soundfit.lessons.catalogue import LESSONS, entry_named, run_lesson
    from soundfit.lessons.page import told, write_index, write_lesson
    from soundfit.report.progress import training_progress
    from soundfit.report.words import Words

    console, _ = Console(), Words(lang)
    if not name:
        _list([(e.name, told(e.title, _), told(e.question, _)) for e in LESSONS], console, _)
        return
    every = name == "all"
    chosen = LESSONS if every else (entry_named(name),)
    lessons, took = [], []
    with training_progress(console, quiet=quiet, lang=lang) as progress:
        progress.stage(told(chosen[0].title, _) if not every else _("Lessons"))
        progress.total(len(chosen))
        for entry in chosen:
            start = time.perf_counter()
            lessons.append(run_lesson(entry.name, seed=seed))
            took.append(time.perf_counter() - start)
            progress.advance()
    paths = [
        write_lesson(lesson, out, lang=lang, seed=seed, seconds=seconds, index=every)
        for lesson, seconds in zip(lessons, took, strict=True)
    ]
    if every:
        paths.append(write_index(lessons, out, lang=lang))
    if not quiet:
        for entry, lesson in zip(chosen, lessons, strict=True):
            console.print(told(entry.title, _), style="bold", markup=False, highlight=False)
            for sentence in lesson.sentences:
                console.print(f"- {told(sentence, _)}", markup=False, highlight=False)
    typer.echo(_("wrote {path}").format(path=paths[-1]))
    if open_:
        import webbrowser

        webbrowser.open(paths[-1].absolute().as_uri())


def _list(rows: list[tuple[str, str, str]], console: Any, _: Any) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, title, question in rows:
        table.add_row(
            name, _("{title}. {question}").format(title=title, question=question).replace("[", "\\[")
        )
    console.print(table)
    console.print(_("soundfit lesson NAME, or all"), style="dim")
