"""A full study end to end, 10 folds × 64 configurations, against the ways in which people train many nets.

    python benchmarks/grid_study.py [--task ames|fashion] [--fashion FOLDER] [--epochs 8] [--device cuda]
                                    [--configurations 64] [--sample 4] [--write]

Everything counts: seating, training, evaluation of each epoch, best checkpoints, out-of-fold predictions.
soundfit trains all members. Each peer trains a stated sample of the same members (same fold, net, rate,
batch and epochs), and its time is scaled to all: a full run of the peers takes hours. The peers are
scikit-learn's MLP, skorch (``pip install skorch``) and a plain PyTorch loop with fused AdamW; each on one
thread. CPU seconds, so that the figures hold where others share the machine; wall seconds on a GPU.

Ames: 223 columns, 64-64-1, regression. Fashion-MNIST: the training images as rows of 784, 256-256-10,
classification; ``--rows`` takes the first so many.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

import soundfit as sf
from ames_grid import matrix
from bank import write
from clock import cpu_seconds
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

FOLDS, BATCH = 10, 128
Fold = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """Scaled inputs (N, F), a target (N,), and the hidden widths of the net."""

    name: str
    x: np.ndarray
    y: np.ndarray
    hidden: tuple[int, ...]
    n_outputs: int

    @property
    def classes(self) -> bool:
        return self.n_outputs > 1

    def net(self) -> nn.Module:
        layers: list[nn.Module] = []
        for a, b in pairwise((self.x.shape[1], *self.hidden)):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], self.n_outputs))

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.classes:
            return nn.functional.cross_entropy(output, target)
        return nn.functional.mse_loss(output, target.view_as(output))


def ames(rows: int | None) -> Task:
    x, y = matrix()
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    return Task("Ames", x[:rows].astype(np.float32), ((y - y.mean()) / y.std())[:rows], (64, 64), 1)


def fashion(folder: Path, rows: int | None) -> Task:
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)[:rows]
    y = np.frombuffer(labels, np.uint8, offset=8)[:rows]
    return Task("Fashion-MNIST", (x / np.float32(255)).astype(np.float32), y.astype(np.int64), (256, 256), 10)


def plain_loop(task: Task, rate: float, decay: float, fold: Fold, epochs: int, device: str) -> float:
    """Train one member as anybody would; return its best validation loss."""
    torch.manual_seed(0)
    module = task.net().to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay, fused=True)
    x = torch.from_numpy(task.x).to(device)
    y = torch.from_numpy(task.y).to(device)
    y = y if task.classes else y.float()
    train, held_out = (torch.from_numpy(rows).to(device) for rows in fold)
    best, state = float("inf"), copy.deepcopy(module.state_dict())
    for _ in range(epochs):
        module.train()
        order = train[torch.randperm(len(train), device=device)]
        for batch in order.split(BATCH)[: max(len(train) // BATCH, 1)]:
            optimizer.zero_grad()
            task.loss(module(x[batch]), y[batch]).backward()
            optimizer.step()
        module.eval()
        with torch.no_grad():
            loss = float(task.loss(module(x[held_out]), y[held_out]))
        if loss < best:
            best, state = loss, copy.deepcopy(module.state_dict())
    module.load_state_dict(state)
    return best


def scikit(task: Task, rate: float, decay: float, fold: Fold, epochs: int, device: str) -> float:
    net = (MLPClassifier if task.classes else MLPRegressor)(
        hidden_layer_sizes=task.hidden, batch_size=BATCH, max_iter=epochs, n_iter_no_change=epochs,
        learning_rate_init=rate, alpha=decay, random_state=0,
    )  # fmt: skip
    train, held_out = fold
    return float(net.fit(task.x[train], task.y[train]).score(task.x[held_out], task.y[held_out]))


def skorch_net(task: Task, rate: float, decay: float, fold: Fold, epochs: int, device: str) -> float:
    from skorch import NeuralNet, NeuralNetClassifier
    from skorch.callbacks import Checkpoint
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    train, held_out = fold
    target = task.y if task.classes else task.y.astype(np.float32)[:, None]
    net = (NeuralNetClassifier if task.classes else NeuralNet)(
        task.net(), criterion=nn.CrossEntropyLoss if task.classes else nn.MSELoss,
        optimizer=torch.optim.AdamW, lr=rate, optimizer__weight_decay=decay, batch_size=BATCH,
        max_epochs=epochs, verbose=0, device=device,
        train_split=predefined_split(Dataset(task.x[held_out], target[held_out])),
        callbacks=[("best", Checkpoint(monitor="valid_loss_best", f_params=None, f_optimizer=None,
                                       f_criterion=None, f_history=None))],
    )  # fmt: skip
    net.fit(task.x[train], target[train])
    return float(min(net.history[:, "valid_loss"]))


Peer = Callable[[Task, float, float, Fold, int, str], float]


def peers() -> dict[str, Peer]:
    found: dict[str, Peer] = {"plain PyTorch loop, fused AdamW": plain_loop, "scikit-learn MLP": scikit}
    try:
        import skorch  # noqa: F401
    except ImportError:
        return found
    return {**found, "skorch": skorch_net}


def clock(device: str) -> float:
    """Return seconds of this process's CPU, or of the wall on a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return cpu_seconds()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=("ames", "fashion"), default="ames")
    parser.add_argument("--fashion", type=Path, default=Path("fashion-mnist"), help="folder of idx files")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, help="the first so many rows")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--configurations", type=int, default=64, help="a square number")
    parser.add_argument("--sample", type=int, default=4, help="members that each peer trains")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    task = ames(args.rows) if args.task == "ames" else fashion(args.fashion, args.rows)
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(task.x))
    side = round(args.configurations**0.5)
    rates = [float(v) for v in np.geomspace(3e-4, 1e-2, side)]
    decays = [float(v) for v in np.geomspace(1e-4, 1.0, side)]
    start = clock(args.device)
    result = sf.cross_validate(
        lambda c: task.net(), task.x, task.y, folds=folds, standardize=False, device=args.device,
        config=Config(epochs=args.epochs, batch_size=BATCH, schedule="constant", warmup=0.0),
        grid={"learning_rate": rates, "weight_decay": decays},
    )  # fmt: skip
    mine = clock(args.device) - start
    n = result.scores_CK.size
    unit = "wall" if args.device.startswith("cuda") else "CPU"
    lines = [
        f"| what | {unit} seconds, {n} members | a member, ms | members trained |",
        "|---|---|---|---|",
        f"| soundfit | {mine:.1f} | {mine / n * 1e3:.1f} | {n} |",
    ]
    print("\n".join(lines), flush=True)
    # Members spread over the grid and the folds.
    jobs = [(rates[i % side], decays[-1 - i % side], folds[i % FOLDS]) for i in range(args.sample)]
    for name, train in peers().items():
        # A first training pays for imports that no study pays twice.
        train(task, *jobs[0][:2], (folds[0][0][: 2 * BATCH], folds[0][1]), 1, args.device)
        start = clock(args.device)
        for rate, decay, fold in jobs:
            train(task, rate, decay, fold, args.epochs, args.device)
        each = (clock(args.device) - start) / args.sample
        ratio = f"**{each * n / mine:.1f}×**"
        lines.append(f"| {name}, scaled: {ratio} | {each * n:.0f} | {each * 1e3:.0f} | {args.sample} |")
        print(lines[-1], flush=True)
    about = ", ".join(str(v) for v in describe_hardware(torch.device(args.device)).values())
    shape = "-".join(map(str, (task.x.shape[1], *task.hidden, task.n_outputs)))
    note = (
        f"{task.name}: {FOLDS} folds × {side**2} configurations = {n} members of {shape}, {len(task.x)} "
        f"rows, {args.epochs} epochs, batch {BATCH}; n=1. {about}; torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}."
    )
    print(note)
    if args.write:
        write(Path(__file__).parents[1] / "docs" / "performance.md", f"grid-study-{args.task}-{args.device}",
              f"## A study of {task.name} end to end\n\n" + note + "\n\n" + "\n".join(lines))  # fmt: skip


if __name__ == "__main__":
    main()
