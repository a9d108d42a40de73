"""What watching costs: step time of a 3-layer MLP and a small CNN, watched and unwatched, side by side.

    python benchmarks/doctor_overhead.py [--blocks 60] [--steps 20]

One training in one process: blocks of steps with the watch's hooks in place and blocks with the hooks taken
out alternate, and neighbours are compared (processor time, medians of blocks' medians). The steps that
are looked at in full are rare; what they cost is reported beside it, spread over a training of 1000 steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from soundfit.doctor.steps import full_steps
from soundfit.doctor.watch import Watch


def training(kind: str) -> Callable[[], float]:
    """Return a function that takes one step and returns its processor seconds."""
    torch.manual_seed(0)
    model: nn.Module
    loss_of: nn.Module
    if kind == "mlp":
        model = nn.Sequential(
            nn.Linear(50, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1)
        )
        x, y, loss_of = torch.randn(128, 50), torch.randn(128, 1), nn.MSELoss()
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10),
        )  # fmt: skip
        x, y, loss_of = torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,)), nn.CrossEntropyLoss()
    optimiser = torch.optim.Adam(model.parameters())

    def step() -> float:
        started = time.process_time()
        optimiser.zero_grad()
        loss_of(model(x), y).backward()
        optimiser.step()
        return time.process_time() - started

    return step


def measure(kind: str, blocks: int, steps: int) -> None:
    """Print the overhead of one kind of model."""
    step = training(kind)
    watch = Watch()
    watch.attach()
    full = [step() for n in range(1, 201) if n in full_steps() or step() < 0]
    plain, light, kept, ratios = [], [], [], []
    for _ in range(blocks):
        watch.patches.remove()
        for _ in range(3):  # Python's caches of attributes are cold after a change of hooks
            step()
        here = [step() for _ in range(steps)]
        watch.patches.install()  # as it stands between two looks: the model's own calls alone are heard
        watch.patches.hold(type(watch.main))
        watch.prepare_next()
        for _ in range(3):
            step()
        there = []
        for _ in range(steps):
            rare, rows = watch.full, not watch.quiet
            took = step()
            (full if rare else kept if rows else light).append(took)
            if not rare:
                there.append(took)
        plain += here
        ratios.append(statistics.median(there) / statistics.median(here) - 1)
    watch.detach()
    base, low, high = statistics.median(plain), *statistics.quantiles(ratios)[::2]
    mean = statistics.fmean(sorted(light + kept)[: -max(1, (len(light) + len(kept)) // 100)])
    plain_mean = statistics.fmean(sorted(plain)[: -max(1, len(plain) // 100)])
    many = sum(1 for n in full_steps() if n <= 1000)
    rare = many * (statistics.median(full) - base) / (1000 * base)
    print(
        f"{kind}: {1e6 * base:.0f} µs a step, overhead {statistics.median(ratios):+.2%} "
        f"median of {blocks} pairs of blocks (quartiles {low:+.2%} … {high:+.2%}); means, 1 % trimmed: "
        f"{mean / plain_mean - 1:+.2%}; {many} full steps in 1000 add {rare:+.2%}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for kind in ("mlp", "cnn"):
        measure(kind, args.blocks, args.steps)


if __name__ == "__main__":
    main()
