"""The command line as a user meets it: help, errors that teach, exit codes, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import soundfit
from soundfit.cli import main

COMMANDS = ("train", "predict", "exam", "audit", "report", "study", "export", "serve", "lesson", "doctor")


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run the command line in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["soundfit", *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            main.run()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run


def test_help_imports_no_torch_and_lists_the_commands(soundfit):
    check = "import sys; sys.argv=['soundfit','--help']\n"
    check += "from soundfit.cli.main import run\n"
    check += "try: run()\nexcept SystemExit: pass\n"
    check += "heavy = {'torch','pandas','numpy','sklearn','scipy','pyarrow'} & set(sys.modules)\n"
    check += "assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout


def test_the_version_is_told_without_a_command(cli):
    code, out, _ = cli("--version")
    assert (code, out) == (0, f"soundfit {soundfit.__version__}\n")


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "soundfit", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"soundfit {soundfit.__version__}\n")


def test_extras_are_named_whole(cli):
    # In the help's markup a bare [ray] would be a style.
    assert "soundfit[ray]" in cli("train", "--help")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert "Usage" in out
    assert len(out.splitlines()) > 8


# ---- errors that teach ---------------------------------------------------------------------------------


def _frame(n=60, **columns):
    rng = np.random.default_rng(0)
    base = {"a": rng.normal(size=n), "b": rng.choice(["x", "y"], size=n), "y": rng.normal(size=n)}
    return pd.DataFrame({**base, **columns})


def _save(tmp_path, frame, name="data.csv"):
    frame.to_csv(tmp_path / name, index=False)
    return name


BAD = {
    "unknown target": (lambda p: [_save(p, _frame()), "--target", "Y_"], 2, "did you mean 'y'?"),
    "constant target": (
        lambda p: [_save(p, _frame(y=1.0)), "--target", "y"],
        2,
        "[Cc]onstant|same value|one value|vary|varies",
    ),
    "one class only": (lambda p: [_save(p, _frame(y="yes")), "--target", "y"], 2, "class|value"),
    "three rows": (lambda p: [_save(p, _frame(3)), "--target", "y"], 2, "10 rows"),
    "folds 1": (lambda p: [_save(p, _frame()), "--target", "y", "--folds", "1"], 2, "2 or more"),
    "folds as a word": (lambda p: [_save(p, _frame()), "--target", "y", "--folds", "many"], 2, "[Ff]olds"),
    "more folds than rows": (lambda p: [_save(p, _frame()), "--target", "y", "--folds", "500"], 2, "500"),
    "test 1.5": (lambda p: [_save(p, _frame()), "--target", "y", "--test", "1.5"], 2, "0.9"),
    "unknown group": (lambda p: [_save(p, _frame()), "--target", "y", "--group", "B"], 2, "did you mean 'b'"),
    "unknown drop": (lambda p: [_save(p, _frame()), "--target", "y", "--drop", "aa"], 2, "did you mean 'a'"),
    "unknown model": (
        lambda p: [_save(p, _frame()), "--target", "y", "--model", "cnn9"],
        2,
        "A model for a table",
    ),
    "bad budget": (lambda p: [_save(p, _frame()), "--target", "y", "--budget", "now"], 2, "--budget 5m"),
    "text target as regression": (
        lambda p: [_save(p, _frame()), "--target", "b", "--task", "regression"],
        2,
        "[Rr]egression",
    ),
    "infinite target": (
        lambda p: [_save(p, _frame(y=[np.inf, *np.arange(59.0)])), "--target", "y"],
        2,
        "[Ii]nfinit",
    ),
    "missing file": (lambda p: ["houses.csv", "--target", "y"], 2, "houses.csv"),
    "all rows equal": (
        lambda p: [_save(p, pd.concat([_frame(1)] * 40)), "--target", "y"],
        2,
        "same|equal|copies|duplicate|constant",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_paragraph_with_the_fix_and_writes_nothing(cli, tmp_path, case):
    arguments, code, text = BAD[case]
    args = arguments(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    got, out, err = cli("train", *args, "--out", "run")
    assert got == code, err
    assert re.search(text, err), err
    assert "Fix:" in err
    assert "Traceback" not in err + out
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_empty_file_and_a_binary_file_are_refused(cli, tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 40)
    for name in ("empty.csv", "binary.csv"):
        code, _, err = cli("train", name, "--target", "y", "--out", "run")
        assert code == 2
        assert name in err
        assert "Fix:" in err
        assert "Traceback" not in err


def test_a_full_out_folder_is_refused_before_any_work(cli, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep me")
    code, _, err = cli("train", _save(tmp_path, _frame()), "--target", "y", "--out", "run")
    assert code == 2
    assert "is not empty" in err
    assert (tmp_path / "run" / "mine.txt").read_text() == "keep me"


def test_missing_option_and_unknown_command_are_usage_errors(cli):
    code, _, err = cli("train", "x.csv")
    assert code == 2
    assert "--target" in err
    assert cli("trian")[0] == 2


def test_debug_shows_the_traceback(monkeypatch):
    from soundfit.errors import UsageError

    monkeypatch.setattr(sys, "argv", ["soundfit", "--debug", "train", "none.csv", "--target", "y"])
    with pytest.raises(UsageError):
        main.run()


# ---- what works although it looks bad -------------------------------------------------------------------


def test_odd_but_usable_files_train(cli, tmp_path):
    """Latin-1 text, an all-missing column and infinities in a feature are handled, not refused."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    frame = _frame(80, a=x, y=2 * x + 0.1 * rng.normal(size=80), nothing=np.nan)
    frame["Größe"] = rng.choice(["groß", "klein"], size=80)
    frame.loc[3, "a"] = np.inf
    frame.to_csv(tmp_path / "data.csv", index=False, encoding="latin-1")
    code, _, err = cli("train", "data.csv", "--target", "y", "--model", "linear", "--out", "run", "--quiet")
    assert code == 0, err
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    codes = {f["code"] for f in document["audit"]["findings"]}
    assert {"infinite-values", "constant-column"} <= codes


def test_train_predict_report_exam_and_json(cli, tmp_path, tables):
    data = tables / "penguins.csv"
    train = ("train", data, "--target", "species", "--model", "linear", "--out", "run", "--keep-sealed")
    code, out, err = cli(*train, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["exam"] is None
    assert "exam" not in (tmp_path / "run" / "report.html").name

    code, out, _ = cli("predict", "run", data)
    assert code == 0
    assert out.splitlines()[0] == "prediction,probability_Adelie,probability_Chinstrap,probability_Gentoo"
    assert len(out.splitlines()) == 345
    for ending in ("csv", "parquet", "json"):
        assert cli("predict", "run", data, "-o", f"p.{ending}")[0] == 0
    frames = [pd.read_csv("p.csv"), pd.read_parquet("p.parquet"), pd.read_json("p.json")]
    assert all((f["prediction"] == frames[0]["prediction"]).all() for f in frames)
    code, _, err = cli("predict", "run", data, "-o", "p.xlsx")
    assert code == 2
    assert ".csv" in err

    first = cli("exam", "run", "--json")
    again = cli("exam", "run", "--json")
    opened = [json.loads(out) for _, out, _ in (first, again)]
    assert opened[1]["openings"] == opened[0]["openings"] + 1
    assert opened[1]["high"] - opened[1]["low"] > opened[0]["high"] - opened[0]["low"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exam"]["value"] == opened[1]["value"]
    assert cli("report", "run")[0] == 0


def test_predict_names_the_column_that_is_missing(cli, tmp_path, tables):
    cli("train", tables / "penguins.csv", "--target", "species", "--model", "linear", "--out", "run", "-q")
    frame = pd.read_csv(tables / "penguins.csv").rename(columns={"bill_length_mm": "bill_length"})
    code, _, err = cli("predict", "run", _save(tmp_path, frame))
    assert code == 2
    assert "bill_length_mm" in err


def test_audit_prints_one_json_object_and_stops_on_errors(cli, tables):
    code, out, _ = cli("audit", tables / "bikeshare.csv", "--target", "bikers", "--json")
    findings = json.loads(out)["findings"]
    parts = [f for f in findings if f["code"] == "target-parts"]
    assert code == 1
    assert set(parts[0]["columns"]) == {"casual", "registered"}
    code, out, _ = cli("audit", tables / "penguins.csv", "--target", "species")
    assert code == 0
    assert out.strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)], ids=str
)
def test_a_signal_keeps_what_was_done_and_says_how_to_go_on(number, times, tmp_path, tables):
    """The first waits for the end of an epoch, the second for nothing; both leave with exit code 3."""
    command = [sys.executable, "-m", "soundfit.cli.main", "train", str(tables / "concrete.csv")]
    options = ["--target", "compressive_strength", "--accept", "grouped-rows", "--out", "run"]
    process = subprocess.Popen(
        [*command, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "preprocessing" in line:  # this stage is over, training begins
            break
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.5)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 3, out + err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
    assert (tmp_path / "run" / ".resume" / "training.json").is_file()
    assert re.search(r"go on with: .*--out run --resume", err, re.IGNORECASE | re.DOTALL)
    assert ("Stopped at once" in err) == (times == 2)
    if (tmp_path / "run" / "run.json").exists():
        assert json.loads((tmp_path / "run" / "run.json").read_text())["exam"] is None


def test_a_signal_before_training_leaves_nothing(cli, monkeypatch, tables, tmp_path):
    def signalled(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("soundfit.workflow.material.prepare", signalled)
    code, _, err = cli("train", tables / "penguins.csv", "--target", "species", "--out", "run")
    assert code == 3
    assert "before training began" in err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_resuming_a_training_that_is_through_says_so(cli, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    record = {"schema": 1, "created": "2026-11-25T20:00"}
    record["command"] = "soundfit train t.csv --target y --out run"
    (run / "run.json").write_text(json.dumps(record))
    given = ("train", "t.csv", "--target", "y", "--out", "run", "--resume")
    code, out, err = cli(*given)
    assert (code, out) == (0, "")
    assert "run is through (2026-11-25T20:00): nothing is left to do" in err
    # Another command is another training; its file is not even there.
    code, _, err = cli("train", "t.csv", "--target", "z", "--out", "run", "--resume")
    assert code == 2
