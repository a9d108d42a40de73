"""Cross-validate a small CNN, 5 folds × 8 configurations, against one ordinary run of the same net.

    python benchmarks/picture_grid.py PATH/fashion-mnist [--device cuda] [--rows 60000] [--epochs 4]

One ordinary run: a plain loop with fused AdamW over one fold's training rows, evaluated after each epoch,
with the same augmentation, in TF32 on a GPU. Both count everything from modules to scores; each is run twice
in one process and the second is told too, for the first pays for libraries and kernels. Wall seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch import nn

import soundfit as sf
from soundfit.data.picture_arrays import read_idx
from soundfit.models.conv import build_picture_net
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

SHAPE = (28, 28, 1)
FOLDS = 5
GRID = {"learning_rate": [0.001, 0.002, 0.004, 0.008], "weight_decay": [0.02, 0.1]}


def one_run(
    config: Config, x: torch.Tensor, y: torch.Tensor, train: np.ndarray, held_out: np.ndarray
) -> float:
    """Train one net as anybody would; return its last validation accuracy."""
    torch.manual_seed(0)
    device = x.device
    net = build_picture_net(config, SHAPE, 10).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, fused=True)
    rows, judged = torch.from_numpy(train).to(device), torch.from_numpy(held_out).to(device)
    accuracy = 0.0
    for _ in range(config.epochs):
        net.train()
        for batch in rows[torch.randperm(len(rows), device=device)].split(config.batch_size)[:-1]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            right = sum((net(x[b]).argmax(1) == y[b]).sum() for b in judged.split(1024))
        accuracy = float(right) / len(judged)
    return accuracy


def main() -> None:
    """Run both twice and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = True
    pixels = read_idx(args.data / "train-images-idx3-ubyte.gz")[: args.rows].reshape(-1, *SHAPE)
    labels = read_idx(args.data / "train-labels-idx1-ubyte.gz")[: args.rows].astype(np.int64)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(pixels, labels))
    config = Config(
        model="cnn", width=16, depth=4, dropout=0.2, batch_size=64, epochs=args.epochs,
        options={"beta2": 0.98, "shift": 0.1, "flip": 0.5},
    )  # fmt: skip
    x = torch.from_numpy(pixels.copy()).to(args.device)
    y = torch.from_numpy(labels).to(args.device)
    cuda = args.device.startswith("cuda")

    def timed(run: object) -> tuple[float, object]:
        start = time.perf_counter()
        value = run()  # type: ignore[operator]
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start, value

    for attempt in ("first", "second"):
        alone, accuracy = timed(lambda: one_run(config, x, y, *folds[0]))
        many, result = timed(
            lambda: sf.cross_validate(
                lambda c: build_picture_net(c, SHAPE, 10), pixels, labels, folds=folds,
                config=config, grid=GRID, metric="accuracy", standardize=False, device=args.device,
                precision="bf16" if cuda else "highest",
            )
        )  # fmt: skip
        best = np.nanmax(result.scores_CK.mean(axis=1))  # type: ignore[attr-defined]
        print(
            f"{attempt}: one run {alone:.1f} s (accuracy {accuracy:.4f}), 40 members {many:.1f} s (best mean "
            f"accuracy {best:.4f}): {many / alone:.2f} of one run",
            flush=True,
        )
    about = ", ".join(str(v) for v in describe_hardware(torch.device(args.device)).values())
    print(f"{len(pixels):,} pictures, {args.epochs} epochs, n=1; {about}; torch {torch.__version__}")


if __name__ == "__main__":
    sys.exit(main())
