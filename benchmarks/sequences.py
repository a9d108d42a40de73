"""Sequences: the adding problem and parity over 100 steps, by RNN, GRU and LSTM, through the whole story.

    python benchmarks/sequences.py [--steps 100] [--tasks adding parity] [--models rnn lstm gru]

Adding (Hochreiter & Schmidhuber 1997, experiment 4): two of T random numbers are marked, one in each half;
predict their sum. A net that learns nothing has an error of 1 in the target's deviation. Parity: is the
number of ones odd, in sequences of 1 to T bits (the short ones teach the rule that the long ones need).
Each line: task, model, held-out score of the best configuration, processor seconds; n as in the columns.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import soundfit as sf


def adding(n: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Return X (n, steps, 2) and y (n,)."""
    rng = np.random.default_rng(seed)
    value, mark = rng.random((n, steps)), np.zeros((n, steps))
    rows = np.arange(n)
    first, second = rng.integers(0, steps // 2, n), rng.integers(steps // 2, steps, n)
    mark[rows, first] = mark[rows, second] = 1.0
    x = np.stack([value, mark], axis=2).astype(np.float32)
    return {"X": x, "y": value[rows, first] + value[rows, second]}


def parity(n: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Return X (n, steps), lengths (n,) and y (n,)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, steps + 1, n)
    bits = rng.integers(0, 2, (n, steps)).astype(np.float32)
    odd = np.array([int(row[:k].sum()) % 2 for row, k in zip(bits, lengths, strict=True)])
    return {"X": bits, "lengths": lengths, "y": np.where(odd == 1, "odd", "even")}


TASKS = {"adding": (adding, 2_000), "parity": (parity, 4_000)}


def main() -> None:
    """Run the tasks and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=sorted(TASKS))
    parser.add_argument("--models", nargs="+", choices=["rnn", "gru", "lstm"], default=["rnn", "gru", "lstm"])
    parser.add_argument("--folds", default="holdout")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print("task     steps      n  model  score of the exam                     gradient ratio  processor s")
    with tempfile.TemporaryDirectory() as folder:
        for task in options.tasks:
            make, n = TASKS[task]
            path = Path(folder) / f"{task}.npz"
            np.savez(path, **make(n, options.steps, options.seed))
            for model in options.models:
                started = time.process_time()
                run = sf.train(path, model=model, folds=options.folds, seed=options.seed)
                seconds = time.process_time() - started
                exam = run.exam
                assert exam is not None
                others = exam["others"]
                score = f"{exam['metric']} {exam['value']:.4f} [{exam['low']:.4f}, {exam['high']:.4f}]"
                score += f" r2 {others['r2']:.4f}" if "r2" in others else f" acc {others['accuracy']:.4f}"
                norms = run.document["stability"]["gradient_by_step"][model]["norms"]
                known = [v for v in norms if v is not None]
                print(
                    f"{task:8s} {options.steps:5d} {n:6d}  {model:5s}  {score:36s}  "
                    f"{known[0] / known[-1]:14.2g}  {seconds:11.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
