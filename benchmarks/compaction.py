"""What leaving is worth: a study whose members stop at different times, with compaction and without.

    python benchmarks/compaction.py [--write]

2 folds × 16 learning rates (3e-4 to 1e-1) of 20-64-64-1 on 600 rows, patience 3: members stop when their
own validation rows say so. CPU seconds of one thread, both ways in turn, the better of two; the share of the
member-epochs that were trained says what leaving could save at most.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import KFold

import soundfit.bank.bank as engine
from bank import mlp, write
from soundfit.bank import BankData, MemberRows, Outcome, train_members
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

SIZES, ROWS, FOLDS, EPOCHS = (20, 64, 64, 1), 600, 2, 60


def study() -> tuple[float, list[Outcome]]:
    """Return CPU seconds and outcomes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, SIZES[0])).astype(np.float32)
    y = (np.sin(x[:, 0] * 2) + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS)).astype(np.float32)
    data = BankData.of(x[None], y[None, :, None])
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(x))
    rates = np.geomspace(3e-4, 1e-1, 16)
    jobs = [(k, rate) for rate in rates for k in range(FOLDS)]
    start = time.process_time()
    outcomes = train_members(
        lambda c: mlp(SIZES),
        [
            Config(epochs=EPOCHS, batch_size=32, patience=3, schedule="constant", learning_rate=float(rate))
            for _, rate in jobs
        ],
        [MemberRows(0, *folds[k], k) for k, _ in jobs],
        data,
        seeds=range(len(jobs)),
        workers=1,
    )
    return time.process_time() - start, outcomes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    share = engine.COMPACT_BELOW
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(2):
        for name, below in (("with", share), ("without", 0.0)):
            engine.COMPACT_BELOW = below
            spent, outcomes = study()
            seconds[name].append(spent)
    trained = sum(o.epochs for o in outcomes) / (EPOCHS * len(outcomes))
    longest = max(o.epochs for o in outcomes) / EPOCHS
    best = {name: min(values) for name, values in seconds.items()}
    about = ", ".join(str(v) for v in describe_hardware(torch.device("cpu")).values())
    text = "\n".join([
        f"{FOLDS} folds × 16 learning rates of {'-'.join(map(str, SIZES))}, {ROWS} rows, batch 32, at most "
        f"{EPOCHS} epochs, patience 3, one thread; CPU seconds, the better of 2. {about}; torch "
        f"{torch.__version__}.",
        "",
        "| what | CPU seconds |",
        "|---|---|",
        f"| finished members leave | {best['with']:.2f} |",
        f"| they stay until the last of their chunk is through | {best['without']:.2f} |",
        f"| ratio | **{best['without'] / best['with']:.2f}×** |",
        "",
        f"Members trained {trained:.0%} of their epochs, the longest {longest:.0%}.",
    ])  # fmt: skip
    print(text)
    if args.write:
        page = Path(__file__).parents[1] / "docs" / "performance.md"
        write(page, "compaction", "## Members that stop at different times\n\n" + text)


if __name__ == "__main__":
    main()
