"""The README's code runs, and its commands exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(_blocks("python"))))
def test_python_blocks_run(number, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = subprocess.run(
        [sys.executable, "-c", _blocks("python")[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_first_command_trains_on_house_prices_and_writes_the_run(soundfit, tmp_path):
    """The part of the first command after the set-up, which CI's own set-up stands for."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    first = _blocks("bash")[0].strip()
    command = first.split("&&")[-1].split()
    assert command[0].endswith("soundfit")
    done = soundfit(*command[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
    assert "Exam" in done.stdout
    new = soundfit("predict", "run", "examples/ames.csv", "-o", "new.csv", cwd=tmp_path)
    assert new.returncode == 0, new.stderr
    assert len((tmp_path / "new.csv").read_text().splitlines()) == 2931
    again = soundfit(*command[1:], cwd=tmp_path)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_the_second_command_is_what_ci_runs():
    assert _blocks("bash")[1].strip() == "bash scripts/test"
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [x for x in _blocks("console")[0].splitlines() if x.startswith("soundfit ")])
def test_commands_named_in_the_readme_exist(soundfit, line):
    done = soundfit(line.split()[1], "--help")
    assert done.returncode == 0, done.stderr
