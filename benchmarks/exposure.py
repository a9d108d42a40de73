"""Run the doctor over a folder of scripts whose truth is known: detection, cause, false alarms, repairs.

A folder holds scripts and ``manifest.json``, a list of ``{"name", "kind", "codes"}``: fault, twin or healthy.
A fault's codes are those that a fair expert accepts as its cause, a twin is its repaired script. Scripts
read ``SEED`` and, for tables, ``DATA`` from the environment. Each runs through ``soundfit doctor``.

    DATA=../shared/data python benchmarks/exposure.py benchmarks/exposed/k --out k.json [--kind fault] [--fix]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def run_in(
    scratch: str, command: list[str], seed: int, limit: float
) -> subprocess.CompletedProcess[str] | str:
    """Run a command in a folder of its own on one thread; return words where it took too long."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "SEED": str(seed)}
    try:
        return subprocess.run(
            command, cwd=scratch, env=environment, timeout=limit, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"not done after {limit:.0f} s"


def place_of(named: list[str], codes: list[str]) -> str:
    """Return where an accepted cause stands among those named: first, second or other."""
    places = [i for i, code in enumerate(named) if code in codes]
    return {0: "first", 1: "second"}.get(places[0], "other") if places else "other"


def visit(folder: Path, entry: dict[str, Any], seed: int, limit: float, fix: bool) -> dict[str, Any]:
    """Run one script; return its manifest entry with what was found."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "found.json"
        options = ["--json", str(out), *(["--fix"] if fix else [])]
        command = [sys.executable, "-m", "soundfit", "doctor", *options, str(folder / f"{entry['name']}.py")]
        done = run_in(scratch, command, seed, limit)
        if isinstance(done, str):
            return {**entry, "error": done}
        if not out.exists():
            return {**entry, "error": (done.stderr or done.stdout)[-2000:]}
        found = json.loads(out.read_text())
    named = [d for d in found["diagnoses"] if d["severity"] != "note"]
    return {
        **entry,
        "healthy": found["healthy"],
        "named": [d["code"] for d in named],
        "causes": [d["cause"] for d in named[:3]],
        "repair": found.get("repair"),
        "exit": done.returncode,
    }


def told(result: dict[str, Any]) -> str:
    """Return one word on a result: first, second, other, missed, clean, accused or failed."""
    if "error" in result:
        return "failed"
    if result["kind"] != "fault":
        return "clean" if result["healthy"] else "accused"
    if result["healthy"]:
        return "missed"
    return place_of(result["named"], result["codes"])


def summary(results: list[dict[str, Any]]) -> str:
    """Return the shares of a set in one paragraph."""
    faults = [told(r) for r in results if r["kind"] == "fault"]
    sound = [told(r) for r in results if r["kind"] != "fault"]
    lines = []
    if faults:
        found = sum(word in ("first", "second", "other") for word in faults)
        lines.append(f"{len(faults)} faults: {found} detected, {faults.count('first')} first, "
                     f"{faults.count('second')} second, {faults.count('failed')} failed")  # fmt: skip
    if sound:
        lines.append(
            f"{len(sound)} sound scripts: {sound.count('accused')} accused, {sound.count('failed')} failed"
        )
    tried = [r["repair"] for r in results if r["kind"] == "fault" and r.get("repair")]
    if tried:
        lines.append(f"repairs: {sum(bool(t['accepted']) for t in tried)} of {len(faults)} proven")
    return "\n".join(lines)


def main() -> None:
    """Print a line for each script and the shares at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--kind", choices=("fault", "sound", "all"), default="all")
    parser.add_argument("--only", nargs="*", default=[], help="names of scripts")
    parser.add_argument("--fix", action="store_true", help="repair as well")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a script, 1,500 with --fix")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    entries = json.loads((given.folder / "manifest.json").read_text())
    entries = [
        e
        for e in entries
        if (not given.only or e["name"] in given.only)
        and (given.kind == "all" or (e["kind"] == "fault") == (given.kind == "fault"))
    ]
    limit = max(given.limit, 1500.0) if given.fix else given.limit
    results = []
    with ThreadPoolExecutor(given.jobs) as pool:
        folder = given.folder.resolve()
        for result in pool.map(lambda e: visit(folder, e, given.seed, limit, given.fix), entries):
            results.append(result)
            shown = result.get("error", "").strip().splitlines()[-1:] or [
                ", ".join(result.get("named", [])[:4])
            ]
            wanted = "/".join(result.get("codes") or [])
            print(f"{told(result):8} {result['name']:28} {wanted:40} {shown[0]}", flush=True)
            if result.get("repair"):
                repair = result["repair"]
                print(
                    f"{'':9}repair: accepted {repair['accepted']}, {repair['before']} -> {repair['after']}",
                    flush=True,
                )
            if given.out:
                given.out.write_text(json.dumps(results, indent=1))
    print(summary(results))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{spent.ru_utime + spent.ru_stime:.0f} s of processor time, seed {given.seed}")


if __name__ == "__main__":
    main()
