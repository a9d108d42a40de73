"""Train on Fashion-MNIST (or any folder of pictures) from the command line and report accuracy and time.

    python benchmarks/images.py PATH/fashion-mnist --model mlp
    python benchmarks/images.py PATH/fashion-mnist --model cnn
    python benchmarks/images.py PATH/fashion-mnist                # all families
    python benchmarks/images.py --drawn 1000                      # a folder of drawn pictures

Prints one line: accuracy on the sealed pictures with its 95 % interval, wall and processor time, hardware,
versions. Everything goes through the command that a user types; the ledger is one of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    """Run the command and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawn", type=int, help="make a folder of that many drawn pictures instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        data = args.data if args.drawn is None else str(_drawn(here / "pictures", args.drawn))
        if data is None:
            parser.error("name the data, or --drawn N")
        out = here / "run"
        command = [sys.executable, "-m", "soundfit.cli.main", "train", data, "--out", str(out)]
        command += ["--model", args.model, "--device", args.device, "--seed", str(args.seed), "--quiet"]
        command += ["--budget", args.budget] if args.budget else []
        start = time.perf_counter()
        own = {"SOUNDFIT_LEDGER": str(here / "ledger.sqlite"), "SOUNDFIT_CACHE": str(here / "cache")}
        subprocess.run(command, check=True, env={**os.environ, **own})
        wall = time.perf_counter() - start
        cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
        document = json.loads((out / "run.json").read_text())
        size = (out / "report.html").stat().st_size
    others = document["exam"]["others"]
    chosen = document["chosen"]
    print(
        f"{args.model}: accuracy {others['accuracy']:.4f} "
        f"({others['accuracy_low']:.4f} to {others['accuracy_high']:.4f}, n={document['exam']['rows']:,}), "
        f"{chosen['model']} {chosen['width']} × {chosen['depth']} of {document['study']['configurations']} "
        f"configurations, {wall:.0f} s wall, {cpu.ru_utime + cpu.ru_stime:.0f} s of processor, "
        f"report {size / 1e6:.2f} MB; {document['hardware']}; {document['versions']}"
    )


def _drawn(folder: Path, n: int) -> Path:
    from shapes import write_folder

    return write_folder(folder, n, size=64, channels=3)


if __name__ == "__main__":
    main()
