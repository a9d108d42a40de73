from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from soundfit.records.said import say
from soundfit.report.progress import training_progress


def shown(*, tty: bool, quiet: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=tty, color_system=None, legacy_windows=False)
    with training_progress(console, quiet=quiet) as progress:
        progress.stage("reading [the] table")
        progress.stage("training")
        progress.total(20)
        for _ in range(4):
            progress.advance(5)
        time.sleep(0.25)  # the bar is redrawn ten times a second
    return stream.getvalue()


def test_quiet_says_nothing() -> None:
    assert shown(tty=True, quiet=True) == ""
    assert shown(tty=False, quiet=True) == ""


def test_a_pipe_gets_one_plain_line_per_stage() -> None:
    lines = shown(tty=False).splitlines()
    assert [line.rpartition(" (")[0] for line in lines] == ["reading [the] table", "training"]
    assert "\x1b" not in "".join(lines)


def test_stages_are_named_in_the_readers_language() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, color_system=None, legacy_windows=False)
    with training_progress(console, lang="zh") as progress:
        progress.stage("training")
        progress.stage(say("logging to {tracker}", tracker="mlflow"))
        progress.stage("a stage of somebody else")
    names = [line.rpartition(" (")[0] for line in stream.getvalue().splitlines()]
    assert names == ["训练", "记录到 mlflow", "a stage of somebody else"]


def test_a_terminal_gets_a_bar_with_counts_and_a_tick_per_stage() -> None:
    text = shown(tty=True)
    assert "✓ reading [the] table" in text
    assert "✓ training" in text
    assert "20/20" in text


def test_an_error_leaves_no_tick_and_restores_the_cursor() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None, legacy_windows=False)

    def interrupted() -> None:
        with training_progress(console, quiet=False) as progress:
            progress.stage("training")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "✓" not in stream.getvalue()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
