"""Two local Ray workers against one, and against this machine's forked workers, on one study.

    python benchmarks/ray_workers.py --pairs 3

Each pair trains the same study once with one worker and once with two, in turn, so that what else the machine
does weighs on both. Workers are started and have imported torch before the clock runs: a study large enough
pays for that once (reported on its own). The outcomes of all runs must be equal bit for bit.
"""

from __future__ import annotations

import argparse
import os
import time
from importlib import metadata
from typing import Any

import numpy as np
import torch
from torch import nn

from soundfit.bank import BankData, MemberRows, Outcome, train_members
from soundfit.executors.ray import RayExecutor
from soundfit.records import Config


def make_net(config: Config) -> nn.Module:
    """An MLP with two hidden layers."""
    w = config.width
    return nn.Sequential(nn.Linear(50, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1))


def study(members: int, epochs: int, **options: Any) -> tuple[float, list[Outcome]]:
    """Train a study of 5 folds and return its seconds and outcomes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2000, 50)).astype(np.float32)
    y = np.sin(x[..., :1]) + 0.1 * rng.normal(size=(5, 2000, 1)).astype(np.float32)
    order = rng.permutation(2000)
    folds = [np.sort(order[k * 400 : (k + 1) * 400]) for k in range(5)]
    rows = [MemberRows(k, np.setdiff1d(order, f), f, k) for k, f in enumerate(folds)]
    configs = [
        Config(width=64, epochs=epochs, batch_size=64, learning_rate=10 ** rng.uniform(-3, -2))
        for _ in range(members // 5)
        for _ in rows
    ]
    data = BankData.of(x, y.astype(np.float32))
    start = time.perf_counter()
    outcomes = train_members(
        make_net, configs, [rows[i % 5] for i in range(len(configs))], data,
        seeds=range(len(configs)), **options,
    )  # fmt: skip
    return time.perf_counter() - start, outcomes


def equal(a: list[Outcome], b: list[Outcome]) -> bool:
    """Return whether two studies ended in the same bits."""
    return all(torch.equal(x.validation_outputs, y.validation_outputs) for x, y in zip(a, b, strict=True))


def main() -> None:
    """Measure pairs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--members", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args()
    # Ray runs workers at nice 15; beside other work that would measure the scheduler, not Ray.
    os.environ.setdefault("RAY_worker_niceness", "0")
    begun = time.perf_counter()
    with RayExecutor(workers=2) as executor:
        for workers in (1, 2):  # both workers import torch
            study(10, 1, executor=executor, workers=workers, at_once=1)
        print(f"start of Ray and two workers: {time.perf_counter() - begun:.1f} s")
        ratios, against_forked = [], []
        reference: list[Outcome] = []
        for pair in range(args.pairs):
            one, first = study(args.members, args.epochs, executor=executor, workers=1)
            two, second = study(args.members, args.epochs, executor=executor, workers=2)
            local, third = study(args.members, args.epochs, workers=2)
            reference = reference or first
            assert all(equal(reference, other) for other in (first, second, third))
            ratios.append(one / two)
            against_forked.append(local / two)
            print(
                f"pair {pair + 1}: one worker {one:.1f} s, two {two:.1f} s, ratio {one / two:.2f}; "
                f"two workers of one process {local:.1f} s",
                flush=True,
            )
    print(
        f"two workers are {np.median(ratios):.2f}× one (n={args.pairs}, median) and "
        f"{np.median(against_forked):.2f}× two forked workers; {args.members} members, {args.epochs} epochs; "
        f"{os.cpu_count()} cores, torch {torch.__version__}, ray {metadata.version('ray')}; outcomes equal"
    )


if __name__ == "__main__":
    main()
