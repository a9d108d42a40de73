"""Accuracy against scikit-learn on the same split and, for the peers, the same encoder matrix.

Prints Markdown: RMSE of log price on the sealed rows of Ames over seeds as ratios to RidgeCV and to
HistGradientBoosting; cross-validated log-loss on credit, accuracy on penguins. Other tables of a folder
given by --tables join as ``name.csv:target`` pairs.

    python benchmarks/accuracy.py --seeds 5
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("KMP_BLOCKTIME", "0")
os.environ["SOUNDFIT_LEDGER"] = str(Path(tempfile.mkdtemp()) / "ledger.sqlite")

import numpy as np
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from threadpoolctl import threadpool_limits

import soundfit as sf
from clock import cpu_seconds
from soundfit.data.encoder import fit_encoder
from soundfit.data.layout import plan_features
from soundfit.data.target import choose_transform, fit_target
from soundfit.metrics.scores import metric_named

ROOT = Path(__file__).parents[1]


def peers(run: Any) -> dict[str, float]:
    """Return each peer's score on the run's sealed rows, fitted on all other rows."""
    table, plan = run.table, run.plan
    rows, test = plan.train, plan.test
    encoder = fit_encoder(plan_features(table, rows), table.frame, rows)
    x = encoder.transform(table.frame).astype(np.float64)
    metric = metric_named(run.exam["metric"])
    target = table.target
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if table.task == "classification":
            models: dict[str, Any] = {
                "linear": LogisticRegressionCV(Cs=8, scoring="neg_log_loss", max_iter=500),
                "hgb": HistGradientBoostingClassifier(random_state=0),
            }
            return {
                name: metric(target[test], m.fit(x[rows], target[rows]).predict_proba(x[test]))
                for name, m in models.items()
            }
        scale = fit_target(target, rows, choose_transform(target, rows))
        models = {
            "linear": RidgeCV(alphas=np.logspace(-2, 4, 25)),
            "hgb": HistGradientBoostingRegressor(random_state=0),
        }
        z = scale.forward(target[rows])
        return {
            name: metric(target[test], scale.inverse(m.fit(x[rows], z).predict(x[test])))
            for name, m in models.items()
        }


def measure(path: Path, target: str, seed: int, **options: Any) -> dict[str, Any]:
    """Train once and return scores, ratios and times."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    run = sf.train(path, target=target, seed=seed, **options)
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    others = peers(run)
    value = run.exam["value"]
    return {
        "seed": seed,
        "metric": run.exam["metric"],
        "value": value,
        "cv": run.document["cv"]["value"],
        "linear": others["linear"],
        "hgb": others["hgb"],
        "accuracy": run.exam["others"].get("accuracy"),
        "coverage": run.exam["others"].get("interval_coverage"),
        "chosen": "{model} {width}×{depth}".format(**run.document["chosen"]),
        "verdict": run.verdict.code,
        "cpu": cpu,
        "wall": wall,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--tables",
        nargs="*",
        default=[
            f"{ROOT / 'examples' / 'ames.csv'}:Sale_Price",
            f"{ROOT / 'tests' / 'tables' / 'credit_data.csv'}:Status",
            f"{ROOT / 'tests' / 'tables' / 'penguins.csv'}:species",
        ],
        help="FILE:TARGET …",
    )
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}, "
        f"soundfit {sf.__version__}; n = {given.seeds} seeds\n"
    )
    print(
        "| table | seed | metric | soundfit | / linear | / HistGB | cv | acc. | cover | chosen | verdict | "
        "CPU s | wall s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for entry in given.tables:
        file, _, target = entry.rpartition(":")
        rows = []
        for seed in range(given.seeds):
            r = measure(Path(file), target, seed, accept=("grouped-rows",))
            rows.append(r)
            print(_line(Path(file).stem, r), flush=True)
        if len(rows) > 1:
            ratios = [np.mean([r["value"] / r[peer] for r in rows]) for peer in ("linear", "hgb")]
            print(
                f"| **{Path(file).stem}** | mean of {len(rows)} | {rows[0]['metric']} | "
                f"{np.mean([r['value'] for r in rows]):.4f} | **{ratios[0]:.3f}** | **{ratios[1]:.3f}** | "
                f"{np.mean([r['cv'] for r in rows]):.4f} | | | | | {np.mean([r['cpu'] for r in rows]):.0f} | "
                f"{np.mean([r['wall'] for r in rows]):.0f} |",
                flush=True,
            )


def _line(name: str, r: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return (
        f"| {name} | {r['seed']} | {r['metric']} | {r['value']:.4f} | {r['value'] / r['linear']:.3f} | "
        f"{r['value'] / r['hgb']:.3f} | {r['cv']:.4f} | {shown(r['accuracy'])} | {shown(r['coverage'])} | "
        f"{r['chosen']} | {r['verdict']} | {r['cpu']:.0f} | {r['wall']:.0f} |"
    )


if __name__ == "__main__":
    main()
