"""Kill a training at random moments, go on with it each time, and compare with a run that nobody killed.

    python benchmarks/resume.py --kills 20
    python benchmarks/resume.py --kills 20 --model mlp --folds 3    # with configurations that leave the race

Each kill is a SIGKILL at a uniformly random share of the time that a session may take. Everything in the
two run folders must be equal but times and the command; the ledger must have counted one opening.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).parents[1] / "tests" / "tables" / "hitters.csv"
# Members save every twentieth of a second instead of every ten, so that kills fall between saves too.
START = (
    "import sys; sys.argv[0] = 'soundfit'\n"
    "import soundfit.bank.chunk_run as saving; saving.SAVE_SECONDS = 0.05\n"
    "from soundfit.cli.main import run; run()"
)


def main() -> None:
    """Kill, go on, compare, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="linear")
    parser.add_argument("--folds", default="auto")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    options = ["--model", args.model, "--folds", args.folds]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        begun = time.perf_counter()
        assert start(folder / "whole", options, folder / "ledger-whole").wait() == 0
        takes = time.perf_counter() - begun
        print(f"a run that nobody kills takes {takes:.1f} s", flush=True)
        kills = trainings = 0
        differences: list[str] = []
        openings: list[int] = []
        # A training is through after some kills; then the next begins, until all kills are spent.
        while kills < args.kills:
            trainings += 1
            out, ledger = folder / f"killed{trainings}", folder / f"ledger{trainings}"
            while True:
                process = start(out, options, ledger)
                left_to_live = takes * rng.uniform(0.15, 1.0) if kills < args.kills else None
                try:
                    code = process.wait(timeout=left_to_live)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    states = len(list(out.rglob("*.safetensors")))
                    print(f"kill {kills}, training {trainings}: {states} states kept", flush=True)
                else:
                    assert code == 0, f"exit code {code}"
                    break
            differences += [f"{name} of training {trainings}" for name in compare(folder / "whole", out)]
            openings.append(count(ledger))
            print(f"training {trainings} is through: {differences or 'no differences'}", flush=True)
        left = members_that_left(folder / "whole")
    told = f"differences: {differences or 'none'}; openings of each seal: {openings}"
    print(f"{kills} kills of {trainings} trainings; {told}; {left}")
    sys.exit(bool(differences) or set(openings) != {1})


def start(out: Path, asked: list[str], ledger: Path) -> subprocess.Popen[bytes]:
    """Start or go on with a training into ``out``."""
    options = ["--target", "Salary", *asked, "--out", str(out), "--resume", "--quiet"]
    command = [sys.executable, "-c", START, "train", str(TABLE), *options]
    return subprocess.Popen(command, env={**os.environ, "SOUNDFIT_LEDGER": str(ledger)})


def compare(a: Path, b: Path) -> list[str]:
    """Return the names of what differs between two run folders."""
    names = sorted({str(p.relative_to(x)) for x in (a, b) for p in x.rglob("*") if p.is_file()})
    return [name for name in names if name != "report.html" and not equal(a / name, b / name)]


def members_that_left(run: Path) -> str:
    """Return how many members' traces end before the longest of them."""
    epochs = pd.read_parquet(run / "trace.parquet").groupby("member")["epoch"].max()
    return f"{len(epochs)} members, {int((epochs < epochs.max()).sum())} of them not to the last epoch"


def equal(a: Path, b: Path) -> bool:
    """Return whether two files hold the same, but for times and the command."""
    if not (a.exists() and b.exists()):
        return False
    if a.name == "run.json":
        return timeless(a) == timeless(b)
    if a.suffix == ".parquet":
        return bool(pd.read_parquet(a).equals(pd.read_parquet(b)))
    return a.read_bytes() == b.read_bytes()


def timeless(path: Path) -> dict[str, object]:
    """Return a record without its times and its command."""
    document = json.loads(path.read_text())
    document["study"].pop("seconds")
    return {k: v for k, v in document.items() if k not in ("created", "seconds", "command")}


def count(ledger: Path) -> int:
    """Return the openings that a ledger has counted."""
    return int(sqlite3.connect(ledger).execute("SELECT COUNT(*) FROM openings").fetchone()[0])


if __name__ == "__main__":
    main()
