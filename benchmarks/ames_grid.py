"""The Ames grid: 5 folds × 16 configurations × 30 epochs at batch 128, soundfit against scikit-learn.

    python benchmarks/ames_grid.py [--write] [--skip-train]

The peer is ``GridSearchCV(MLPRegressor, n_jobs=2)`` over the same grid, folds, nets and inputs. Also the
wall time and peak memory of ``soundfit train examples/ames.csv`` as a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import soundfit as sf
from bank import write
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

ROOT = Path(__file__).parents[1]
EPOCHS, BATCH = 30, 128
WIDTHS, RATES, DECAYS = (64, 128), (1e-3, 3e-3), (0.0, 1e-4, 1e-2, 1e-1)


def matrix() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (N, F) and log prices (N,)."""
    frame = pd.read_csv(ROOT / "examples" / "ames.csv")
    y = np.log(frame.pop("Sale_Price").to_numpy(dtype=np.float64))
    wide = pd.get_dummies(frame, dtype=np.float64)
    wide = wide.fillna(wide.median())
    common = wide.columns[(wide != 0).sum() >= 20]
    return wide[common].to_numpy(), y


def ours(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, np.ndarray]:
    def make(config: Config) -> nn.Module:
        w = config.width
        return nn.Sequential(nn.Linear(x.shape[1], w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1))

    start = time.perf_counter()
    result = sf.cross_validate(
        make, x, y, folds=folds, metric="rmse",
        config=Config(epochs=EPOCHS, batch_size=BATCH),
        grid={"width": WIDTHS, "learning_rate": RATES, "weight_decay": DECAYS},
    )  # fmt: skip
    return time.perf_counter() - start, np.asarray(result.scores_CK).mean(1)


def theirs(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, np.ndarray]:
    net = MLPRegressor(batch_size=BATCH, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0)
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), net), transformer=StandardScaler())
    grid = {
        "regressor__mlpregressor__hidden_layer_sizes": [(w, w) for w in WIDTHS],
        "regressor__mlpregressor__learning_rate_init": list(RATES),
        "regressor__mlpregressor__alpha": list(DECAYS),
    }
    search = GridSearchCV(model, grid, scoring="neg_root_mean_squared_error", cv=folds, n_jobs=2, refit=False)
    start = time.perf_counter()
    search.fit(x, y)
    return time.perf_counter() - start, -search.cv_results_["mean_test_score"]


def train_command() -> tuple[float, float]:
    """Return seconds and peak memory (GiB) of ``soundfit train`` on Ames."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "soundfit.cli.main", "train", str(ROOT / "examples" / "ames.csv"),
                   "--target", "Sale_Price", "--out", str(Path(folder) / "run"), "--quiet"]  # fmt: skip
        script = Path(sys.executable).with_name("soundfit")
        if script.exists():
            command[:3] = [str(script)]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--skip-train", action="store_true", help="the grid alone")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    os.environ["PYTHONWARNINGS"] = "ignore"
    lines = ["| what | seconds | CV RMSE of log price, best | mean over the grid |", "|---|---|---|---|"]
    if not args.skip_train:
        seconds, memory = train_command()
    x, y = matrix()
    folds = list(KFold(5, shuffle=True, random_state=0).split(x))
    mine, my_scores = ours(x, y, folds)
    peer, peer_scores = theirs(x, y, folds)
    for name, t, s in (("soundfit, one bank per width", mine, my_scores),
                       ("scikit-learn GridSearchCV(MLPRegressor, n_jobs=2)", peer, peer_scores)):  # fmt: skip
        lines.append(f"| {name} | {t:.1f} | {s.min():.4f} | {s.mean():.4f} |")
    lines.append(f"| ratio | **{peer / mine:.1f}×** | {my_scores.min() / peer_scores.min():.3f} | |")
    if not args.skip_train:
        lines.append("")
        lines.append(f"`soundfit train examples/ames.csv`: {seconds:.1f} s, peak memory {memory:.2f} GiB.")
    about = ", ".join(str(v) for v in describe_hardware(torch.device("cpu")).values())
    note = (
        f"5 folds × 16 configurations × {EPOCHS} epochs, batch {BATCH}, {x.shape[0]} rows × {x.shape[1]} "
        f"columns; n=1. {about}; torch {torch.__version__}, scikit-learn {sklearn.__version__}."
    )
    text = note + "\n\n" + "\n".join(lines)
    print(text)
    if args.write:
        write(ROOT / "docs" / "performance.md", "ames-grid", "## The Ames grid\n\n" + text)


if __name__ == "__main__":
    main()
