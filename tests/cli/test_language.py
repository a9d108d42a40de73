"""The command line in Chinese: help of every command, usage errors, lines that break."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.main import get_command

from soundfit.cli.language import help_texts
from soundfit.cli.main import app
from soundfit.report.words import Words

COMMANDS = ("train", "predict", "exam", "audit", "report", "study", "export", "serve", "lesson", "doctor")
# Help of each command in one fresh process: what is set for one must not be needed by the next.
SHOW_ALL = """
import sys
from soundfit.cli.main import run
for command in {commands!r}:
    print("=====", command)
    sys.argv = ["soundfit", *command.split(), *{options!r}]
    try:
        run()
    except SystemExit as stop:
        assert not stop.code, stop.code
assert "torch" not in sys.modules
"""


def shown(*options: str, width: int = 100, **environment: str) -> str:
    code = SHOW_ALL.format(commands=["", *COMMANDS], options=list(options))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": str(width), "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def english(text: str) -> list[str]:
    """Return the runs of three and more English words, but for lines of commands to type."""
    lines = (line for line in text.splitlines() if "soundfit " not in line and "python" not in line)
    return [run for line in lines for run in re.findall(r"\b[A-Za-z]+(?: [a-z']+){2,}", line)]


def test_every_text_of_help_is_translated() -> None:
    _, texts = Words("zh"), set(help_texts(get_command(app)))
    assert len(texts) > 80
    written_alike = {"runs/NAME"}
    assert {text for text in texts if _(text) == text} <= written_alike


@pytest.mark.parametrize("options", [("--help", "--lang", "zh"), ("--lang=zh", "-h")])
def test_help_is_chinese_wherever_the_language_stands(options: tuple[str, ...]) -> None:
    text = shown(*options)
    assert english(text) == []
    for title in ("用法：soundfit", "选项", "参数", "命令", "如何划分各行", "[必需]", "显示本帮助并退出。"):
        assert title in text
    assert "权重衰减" not in text
    assert "交叉验证" in text


def test_help_is_chinese_where_the_environment_says_so_and_english_otherwise() -> None:
    assert english(shown("--help", SOUNDFIT_LANG="zh")) == []
    assert len(english(shown("--help"))) > 50


@pytest.mark.parametrize("width", [72, 100])
def test_no_help_is_cut_for_want_of_spaces(width: int) -> None:
    """Rich breaks lines at spaces; Chinese has none, and a cell that cannot be broken loses its end."""
    text = shown("--help", "--lang", "zh", width=width)
    assert "…" not in text
    # Marks that close stay with what they follow.
    assert re.findall(r"^[│\s]*[，。；：、）]", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("train",), "错误：缺少参数 'DATA'。"),
        (("train", "--fold"), "错误：没有名为 --fold 的选项"),
        (("predictt",), "错误：没有名为 'predictt' 的命令，是否指 'predict'？"),
        (("study", "all", "a.csv"), "错误：'QUESTION' 的值无效：'all' 不是以下之一："),
        (("study", "lr", "a.csv", "--seeds", "x"), "错误：'--seeds' 的值无效：应为整数"),
        (("report", "--output"), "错误：选项 '--output' 需要一个值。"),
    ],
)
def test_usage_errors_are_chinese(soundfit, monkeypatch, args: tuple[str, ...], said: str) -> None:
    monkeypatch.setenv("SOUNDFIT_LANG", "zh")
    done = soundfit(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert english(done.stderr) == []


def test_the_language_may_stand_before_the_command(soundfit) -> None:
    done = soundfit("--lang", "zh", "lesson")
    assert done.returncode == 0
    assert "权重衰减" in done.stdout
