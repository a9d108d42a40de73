"""Run the doctor's suite over seeds: detection, cause named first or second, false alarms, seconds a script.

python benchmarks/doctor.py [--seeds 5] [--only NAME] [--held-out] [--seconds 10]
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "doctor"))


def examine(
    name: str, source: str, seed: int, seconds: float, folder: Path
) -> tuple[bool, list[str], list[float], float]:
    """Run one script under the doctor; return health, codes with confidences, and seconds."""
    from soundfit.doctor.script import watched_run

    path = folder / f"{name}.py"
    path.write_text(source)
    os.environ["SUITE_SEED"] = str(seed)
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        _, visit = watched_run(path, [], seconds=seconds)
    assert visit is not None
    found = [d for d in visit.diagnoses if d.severity != "note"]
    return (
        visit.healthy,
        [d.code for d in found],
        [d.confidence for d in found],
        time.perf_counter() - started,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="all", choices=["all", "faulty", "healthy"])
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    if args.held_out:
        from held_out import FAULTY, HEALTHY
    else:
        from healthy import HEALTHY
        from suite import FAULTY
    detected = first = second = faulty = alarms = healthy = 0
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            cases = [(n, c, s) for n, (c, s) in FAULTY.items() if args.kind != "healthy"]
            cases += [(n, (), s) for n, s in HEALTHY.items() if args.kind != "faulty"]
            for name, codes, source in cases:
                if args.only not in name:
                    continue
                sound, found, sure, took = examine(name, source, seed, args.seconds, Path(folder))
                spent.append(took)
                shown = ", ".join(f"{c} {s:.2f}" for c, s in list(zip(found, sure, strict=True))[:4])
                if codes:
                    faulty += 1
                    detected += not sound
                    top = [i for i, c in enumerate(found) if c in codes]
                    first += bool(top) and top[0] == 0
                    second += bool(top) and top[0] <= 1
                    mark = (
                        "ok  "
                        if top and top[0] == 0
                        else "2nd "
                        if top and top[0] == 1
                        else "MISS"
                        if sound
                        else "wrong"
                    )
                else:
                    healthy += 1
                    alarms += not sound
                    mark = "ok  " if sound else "ALARM"
                print(f"{mark:6}{seed} {name:28} {took:5.1f}s  [{'/'.join(codes)}] {shown}", flush=True)
    if faulty:
        print(
            f"faulty {faulty}: detected {detected / faulty:.1%}, cause first {first / faulty:.1%}, first or second {second / faulty:.1%}"
        )
    if healthy:
        print(f"healthy {healthy}: false alarms {alarms / healthy:.1%}")
    print(f"median {sorted(spent)[len(spent) // 2]:.1f} s a script")


if __name__ == "__main__":
    main()
