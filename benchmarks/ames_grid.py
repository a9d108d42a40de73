"""The Ames grid: 5 folds × 16 configurations × 30 epochs at batch 128, soundfit against scikit-learn.

    python benchmarks/ames_grid.py [--write] [--skip-train]

The peers are ``GridSearchCV(MLPRegressor, n_jobs=2)`` and ``HalvingGridSearchCV`` (whose resource is epochs)
over the same grid, folds, nets and inputs; soundfit trains every configuration to its end, with the race
(``halving=True``), and halving to a half at each rung. All keep two cores busy, so that ratios of CPU seconds
hold on a machine that others share; wall seconds stand beside. Also the wall time and peak memory of
``soundfit train examples/ames.csv`` as a process of its own.
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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import soundfit as sf
from bank import write
from clock import cpu_seconds
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


Result = tuple[float, float, np.ndarray]
"""Wall seconds, CPU seconds of this process and its children, scores of those trained to the end."""


def timed(run: Callable[[], np.ndarray]) -> Result:
    wall, cpu = time.perf_counter(), cpu_seconds()
    scores = run()
    # joblib's workers count once they have ended.
    wall = time.perf_counter() - wall
    get_reusable_executor().shutdown(wait=True)
    return wall, cpu_seconds() - cpu, scores


def ours(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], halving: sf.Halving | None
) -> np.ndarray:
    def make(config: Config) -> nn.Module:
        w = config.width
        return nn.Sequential(nn.Linear(x.shape[1], w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1))

    result = sf.cross_validate(
        make, x, y, folds=folds, metric="rmse",
        config=Config(epochs=EPOCHS, batch_size=BATCH),
        grid={"width": WIDTHS, "learning_rate": RATES, "weight_decay": DECAYS},
        halving=halving,
    )  # fmt: skip
    means = np.asarray(result.scores_CK).mean(1)
    return means[np.isfinite(means)]


def theirs(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], halving: bool
) -> np.ndarray:
    net = MLPRegressor(batch_size=BATCH, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0)
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), net), transformer=StandardScaler())
    grid = {
        "regressor__mlpregressor__hidden_layer_sizes": [(w, w) for w in WIDTHS],
        "regressor__mlpregressor__learning_rate_init": list(RATES),
        "regressor__mlpregressor__alpha": list(DECAYS),
    }
    common = {"scoring": "neg_root_mean_squared_error", "cv": folds, "n_jobs": 2, "refit": False}
    if not halving:
        return -GridSearchCV(model, grid, **common).fit(x, y).cv_results_["mean_test_score"]
    search = HalvingGridSearchCV(
        model, grid, resource="regressor__mlpregressor__max_iter", factor=2, min_resources=4,
        max_resources=EPOCHS, **common,
    ).fit(x, y)  # fmt: skip
    last = search.cv_results_["iter"] == search.cv_results_["iter"].max()
    return -search.cv_results_["mean_test_score"][last]


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
    parser.add_argument("--skip-peers", action="store_true", help="soundfit alone")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    os.environ["PYTHONWARNINGS"] = "ignore"
    lines = [
        "| what | wall, s | CPU, s | × GridSearchCV, by CPU | best CV RMSE of log price | to the end |",
        "|---|---|---|---|---|---|",
    ]
    if not args.skip_train:
        seconds, memory = train_command()
    x, y = matrix()
    folds = list(KFold(5, shuffle=True, random_state=0).split(x))
    rows = {
        "scikit-learn GridSearchCV(MLPRegressor, n_jobs=2)": lambda: theirs(x, y, folds, False),
        "scikit-learn HalvingGridSearchCV, factor 2": lambda: theirs(x, y, folds, True),
        "soundfit, every configuration": lambda: ours(x, y, folds, None),
        "soundfit, `halving=True`": lambda: ours(x, y, folds, sf.Halving()),
        "soundfit, `halving=sf.Halving(keep=0.5)`": lambda: ours(x, y, folds, sf.Halving(keep=0.5)),
    }
    reference = 0.0
    for name, run in rows.items():
        if args.skip_peers and name.startswith("scikit"):
            continue
        wall, cpu, scores = timed(run)
        reference = reference or cpu
        ratio = f"**{reference / cpu:.1f}×**"
        lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {ratio} | {scores.min():.4f} | {len(scores)} |")
        print(lines[-1], flush=True)
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
