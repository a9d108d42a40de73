"""Inject faults into sound training scripts, and ask the doctor what they are: detection by kind of fault.

A mutation operator changes the source of a script as a mistake would (DeepCrime, Humbatova et al. 2021; the
fault kinds of DeepFD, Cao et al. 2022). Each operator is applied to scripts drawn from the sound ones of
folders as ``exposure.py`` reads them. A mutant counts as a fault only where its held-out score, measured like
that of the script it was made from, fell by more than 0.05 (accuracy or R²) or its training broke.

    DATA=../shared/data python benchmarks/mutants.py benchmarks/exposed/* --each 3 --out mutants.json
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from exposure import place_of, run_in
from mutations import OPERATORS

COSTS = 0.05
# The examination after a script may take so long.
SECONDS = 25.0


def watched(path: Path) -> dict[str, Any]:
    """Run one script under the doctor in this process; return what it found and measured."""
    from soundfit.doctor.case import Case
    from soundfit.doctor.script import watched_run

    with contextlib.redirect_stdout(io.StringIO()):
        status, verdict = watched_run(path, [], seconds=SECONDS)
    case = Case(verdict.trace)
    if status:
        return {"error": f"the script ended with status {status}"}
    named = [d for d in verdict.diagnoses if d.severity != "note"]
    return {
        "healthy": verdict.healthy,
        "named": [d.code for d in named],
        "causes": [str(d.cause) for d in named[:3]],
        "notes": [d.code for d in verdict.diagnoses if d.severity == "note"],
        "got": float(case.got),
        "possible": float(case.possible),
        "constant": float(case.constant),
        "nonfinite": bool(case.nonfinite),
    }


def visit(source: str, seed: int, limit: float) -> dict[str, Any]:
    """Run a script's text in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        script, out = Path(scratch) / "train.py", Path(scratch) / "found.json"
        script.write_text(source)
        command = [sys.executable, __file__, "--one", str(script), "--out", str(out)]
        done = run_in(scratch, command, seed, limit)
        if isinstance(done, str):
            return {"error": done}
        if not out.exists():
            return {"error": (done.stderr or done.stdout).strip()[-600:]}
        return dict(json.loads(out.read_text()))


def told(result: dict[str, Any]) -> str:
    """Return one word on a mutant: first, second, other or missed; failed; harmless (named or clean)."""
    if "error" in result["found"]:
        return "failed"
    found, sound = result["found"], result["sound"]
    fell = sound["got"] - found["got"]
    costly = found["nonfinite"] or (fell > COSTS if math.isfinite(fell) else not math.isnan(sound["got"]))
    if not costly:
        return "harmless" if found["healthy"] else "harmless, named"
    if found["healthy"]:
        return "missed"
    return place_of(found["named"], list(result["codes"]))


def scripts_of(folders: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name and text of every sound script."""
    for folder in folders:
        for entry in json.loads((folder / "manifest.json").read_text()):
            if entry["kind"] != "fault":
                yield f"{folder.name}/{entry['name']}", (folder / f"{entry['name']}.py").read_text()


def drawn(
    folders: list[Path], each: int, pool: int, seed: int, only: list[str]
) -> list[tuple[str, tuple[str, ...], str, str, str]]:
    """Return operator, accepted codes, script name, sound text and mutant text, ``each`` for an operator.

    They are made of ``pool`` scripts (0: of any), for each sound script has to be run as well.
    """
    rng = random.Random(seed)
    scripts = list(scripts_of(folders))
    scripts = rng.sample(scripts, min(pool or len(scripts), len(scripts)))
    made = []
    for name, (operator, codes) in OPERATORS.items():
        if only and name not in only:
            continue
        order = rng.sample(scripts, len(scripts))
        taken = 0
        for script, text in order:
            mutant = operator(text) if taken < each else None
            if mutant is not None:
                made.append((name, codes, script, text, mutant))
                taken += 1
    return made


def main() -> None:
    """Print a line for each mutant and a table of operators at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--each", type=int, default=3, help="mutants for each operator")
    parser.add_argument("--pool", type=int, default=0, help="of so many sound scripts (0: of all)")
    parser.add_argument("--operators", nargs="*", default=[], help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a script")
    parser.add_argument("--cache", type=Path, help="JSON file of what sound scripts scored")
    parser.add_argument("--keep", type=Path, help="folder for the mutants' sources")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        given.out.write_text(json.dumps(watched(given.one)))
        return
    sound: dict[str, Any] = {}
    if given.cache and given.cache.exists():
        sound = json.loads(given.cache.read_text())
    results = []

    def run(job: tuple[str, tuple[str, ...], str, str, str]) -> dict[str, Any]:
        operator, codes, script, text, mutant = job
        if script not in sound:
            sound[script] = visit(text, given.seed, given.limit)
            if given.cache:
                given.cache.write_text(json.dumps(sound, indent=1))
        if "error" in sound[script] or math.isnan(sound[script]["got"]):
            return {"operator": operator, "script": script, "skipped": "the sound script has no score"}
        found = visit(mutant, given.seed, given.limit)
        return {
            "operator": operator,
            "codes": codes,
            "script": script,
            "sound": sound[script],
            "found": found,
        }

    jobs = drawn(given.folders, given.each, given.pool, given.seed, given.operators)
    with ThreadPoolExecutor(given.jobs) as pool:
        for job, result in zip(jobs, pool.map(run, jobs), strict=True):
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{job[0]}__{job[2].replace('/', '_')}.py").write_text(job[4])
            if "skipped" in result:
                print(f"{'skipped':15} {job[0]:18} {job[2]}", flush=True)
                continue
            results.append({**result, "told": told(result)})
            found, base = result["found"], result["sound"]
            shown = found.get("error", "").splitlines()[-1:] or [
                f"{base['got']:.3f} → {found['got']:.3f}  {', '.join(found['named'][:4])}"
            ]
            print(f"{told(result):15} {job[0]:18} {job[2]:28} {shown[0]}", flush=True)
            if given.out:
                given.out.write_text(json.dumps(results, indent=1))
    words = ("first", "second", "other", "missed", "harmless", "harmless, named", "failed")
    print("\n| operator | " + " | ".join(words) + " |\n|" + "---|" * (len(words) + 1))
    for name in (*OPERATORS, "all"):
        mine = [r["told"] for r in results if name in (r["operator"], "all")]
        if mine:
            print(f"| {name} | " + " | ".join(str(mine.count(w)) for w in words) + " |")


if __name__ == "__main__":
    main()
