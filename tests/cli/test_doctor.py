"""``soundfit doctor``: whose option is whose, exit codes, and findings written whatever the script did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from soundfit.cli.doctor import own_options
from soundfit.errors import UsageError

SHOWS = "import sys\nprint(sys.argv[1:])\n"


@pytest.mark.parametrize(
    ("args", "source", "own", "rest"),
    [
        (["--epochs", "3", "--json", "o.json"], "", {"--json": "o.json"}, ["--epochs", "3"]),
        (["--json=o.json", "--fix", "x"], "", {"--json": "o.json", "--fix": ""}, ["x"]),
        (["--price", "full", "--html", "p"], "", {"--price": "full", "--html": "p"}, []),
        (["--json", "o.json"], "p.add_argument('--json')", {}, ["--json", "o.json"]),
        (["--fix", "--", "--json", "a"], "", {"--fix": ""}, ["--json", "a"]),
        (["--", "--fix", "--"], "", {}, ["--fix", "--"]),
        (["-j", "--jsonx", "--seconds", "3"], "", {}, ["-j", "--jsonx", "--seconds", "3"]),
    ],
)
def test_options_after_the_script_are_divided(
    args: list[str], source: str, own: dict[str, str], rest: list[str]
) -> None:
    assert own_options(args, source) == (own, rest)


def test_a_missing_value_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match=r"--json needs a value\. Received: --json\. Fix: write --json VALUE"
    ):
        own_options(["--json"], "")


def doctor(folder: Path, source: str | None, *args: str) -> subprocess.CompletedProcess[str]:
    if source is not None:
        (folder / "train.py").write_text(source)
    run = "from soundfit.cli.main import run; raise SystemExit(run())"
    return subprocess.run(
        [sys.executable, "-c", run, "doctor", *args], cwd=folder, capture_output=True, text=True, check=False
    )


def test_options_before_and_after_the_script(tmp_path: Path) -> None:
    made = doctor(tmp_path, SHOWS, "--json", "a.json", "train.py", "--epochs", "3", "--json=b.json")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "['--epochs', '3']\n"
    assert json.loads((tmp_path / "b.json").read_text())["diagnoses"] == []
    mine = SHOWS + "# --json is this script's\n"
    made = doctor(tmp_path, mine, "--json", "c.json", "train.py", "--json", "d.json")
    assert made.stdout == "['--json', 'd.json']\n"
    assert (tmp_path / "c.json").exists()
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("def broken(:\n", 1, "SyntaxError"),
        ("raise RuntimeError('their bug')\n", 1, "their bug"),
        ("import os, sys\nos.chdir('/')\nsys.exit(3)\n", 3, "exit code 3"),
        ("raise SystemExit('stopped: no data')\n", 1, "stopped: no data"),
    ],
)
def test_a_failing_script_keeps_its_exit_code_and_findings_are_written(
    tmp_path: Path, source: str, code: int, says: str
) -> None:
    made = doctor(tmp_path, source, "train.py", "--json", "out.json")
    assert made.returncode == code
    assert says in made.stderr
    assert "soundfit/doctor/" not in made.stderr
    assert json.loads((tmp_path / "out.json").read_text())["repair"] is None


def test_a_missing_script_or_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    made = doctor(tmp_path, None, "nowhere.py")
    assert made.returncode == 2
    assert "The script must be a file" in made.stderr
    made = doctor(tmp_path, SHOWS, "train.py", "--json", "no/out.json")
    assert made.returncode == 2
    assert "The folder that --json and --html write into must exist" in made.stderr
    assert made.stdout == ""
