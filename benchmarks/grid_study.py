"""A full study end to end, 10 folds × 64 configurations, against a plain PyTorch loop.

    python benchmarks/grid_study.py [--device cuda] [--rows 2000] [--epochs 8] [--write]

Everything counts: seating, training, evaluation of each epoch, best checkpoints, out-of-fold
predictions. The loop trains a few of the same members (eager, fused AdamW, one evaluation an epoch, best
checkpoint kept) and is scaled to all 640.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import KFold

import soundfit as sf
from bank import mlp, write
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

SIZES = (20, 64, 64, 1)
FOLDS, BATCH, LOOPED = 10, 32, 4


def loop_member(
    x: torch.Tensor, y: torch.Tensor, train: np.ndarray, validation: np.ndarray, epochs: int
) -> float:
    torch.manual_seed(0)
    module = mlp(SIZES).to(x.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    rows, held_out = torch.from_numpy(train).to(x.device), torch.from_numpy(validation).to(x.device)
    best, state = float("inf"), copy.deepcopy(module.state_dict())
    for _ in range(epochs):
        module.train()
        for batch in rows[torch.randperm(len(rows), device=x.device)].split(BATCH)[: len(rows) // BATCH]:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(x[batch]), y[batch]).backward()
            optimizer.step()
        module.eval()
        with torch.no_grad():
            loss = float(torch.nn.functional.mse_loss(module(x[held_out]), y[held_out]))
        if loss < best:
            best, state = loss, copy.deepcopy(module.state_dict())
    module.load_state_dict(state)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(args.rows, SIZES[0])).astype(np.float32)
    y = np.sin(x[:, 0] * 2) + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=args.rows)
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(x))
    config = Config(epochs=args.epochs, batch_size=BATCH, schedule="constant", warmup=0.0)
    grid = {
        "learning_rate": list(np.geomspace(3e-4, 1e-2, 8)),
        "weight_decay": list(np.geomspace(1e-4, 1, 8)),
    }
    start = time.perf_counter()
    result = sf.cross_validate(
        lambda c: mlp(SIZES), x, y, folds=folds, config=config, grid=grid, device=args.device
    )
    bank = time.perf_counter() - start
    n = result.scores_CK.size
    x_, y_ = torch.from_numpy(x).to(args.device), torch.from_numpy(y[:, None]).float().to(args.device)
    start = time.perf_counter()
    for train, validation in folds[:LOOPED]:
        loop_member(x_, y_, train, validation, args.epochs)
    loop = (time.perf_counter() - start) / LOOPED
    about = ", ".join(str(v) for v in describe_hardware(torch.device(args.device)).values())
    text = "\n".join([
        f"{FOLDS} folds × 64 configurations = {n} members of {'-'.join(map(str, SIZES))}, {args.rows} rows, "
        f"{args.epochs} epochs, batch {BATCH}; n=1; the loop measured on {LOOPED} members. {about}; "
        f"torch {torch.__version__}.",
        "",
        "| what | seconds | per member, ms |",
        "|---|---|---|",
        f"| soundfit, {n} members | {bank:.1f} | {bank / n * 1e3:.1f} |",
        f"| plain loop, {n} members (scaled) | {loop * n:.0f} | {loop * 1e3:.0f} |",
        f"| ratio | **{loop * n / bank:.1f}×** | |",
    ])  # fmt: skip
    print(text)
    if args.write:
        write(Path(__file__).parents[1] / "docs" / "performance.md", f"grid-study-{args.device}",
              "## A study end to end\n\n" + text)  # fmt: skip


if __name__ == "__main__":
    main()
