"""What watching costs: step time of a 3-layer MLP and a small CNN, watched and unwatched, side by side.

    python benchmarks/doctor_overhead.py [--rounds 30] [--steps 400]

Each round runs both in turn, from the same seed, and compares mean step times; the median over rounds is printed.
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn


def train(kind: str, steps: int, watched: bool) -> float:
    """Return the mean seconds a step, the first tenth left out of neither."""
    torch.manual_seed(0)
    if kind == "mlp":
        model = nn.Sequential(
            nn.Linear(50, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1)
        )
        x, y = torch.randn(128, 50), torch.randn(128, 1)
        loss_of = nn.MSELoss()
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10),
        )  # fmt: skip
        x, y = torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,))
        loss_of = nn.CrossEntropyLoss()  # type: ignore[assignment]
    watch = None
    if watched:
        from soundfit.doctor.watch import Watch

        watch = Watch()
        watch.attach()
    optimiser = torch.optim.Adam(model.parameters())
    started = time.process_time()
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(model(x), y).backward()
        optimiser.step()
    took = time.process_time() - started
    if watch is not None:
        watch.detach()
    return took / steps


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for kind in ("mlp", "cnn"):
        train(kind, 200, False), train(kind, 200, True)
        plain, ratios = [], []
        for _ in range(args.rounds):
            a, b = train(kind, args.steps, False), train(kind, args.steps, True)
            plain.append(a)
            ratios.append(b / a - 1)
        print(f"{kind}: {1e6 * statistics.median(plain):.0f} µs a step, overhead {statistics.median(ratios):+.2%} "
              f"(quartiles {statistics.quantiles(ratios)[0]:+.2%} … {statistics.quantiles(ratios)[2]:+.2%}, n={args.rounds})")  # fmt: skip


if __name__ == "__main__":
    main()
