"""Run folders as `soundfit train` leaves them, drawn from a seed: numbers that hang together, no pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Rng = np.random.Generator

TASKS: dict[str, dict[str, Any]] = {
    "regression": {
        "target": "Sale_Price",
        "path": "examples/ames.csv",
        "rows": 2930,
        "metric": "rmse_log",
        "classes": [],
        "floor": 0.105,
        "linear": 0.142,
        "mean": 0.407,
    },
    "binary": {
        "target": "Status",
        "path": "credit_data.csv",
        "rows": 4454,
        "metric": "log_loss",
        "classes": ["bad", "good"],
        "floor": 0.41,
        "linear": 0.442,
        "mean": 0.594,
    },
    "many-class": {
        "target": "species",
        "path": "flora.csv",
        "rows": 1600,
        "metric": "log_loss",
        "classes": ["acer", "betula", "corylus", "fagus", "picea", "pinus", "quercus", "tilia"],
        "floor": 0.55,
        "linear": 0.81,
        "mean": 2.05,
    },
}


def write_run(
    folder: Path,
    *,
    task: str = "regression",
    seed: int = 0,
    sealed: bool = False,
    curves: bool = True,
    rename: Callable[[str], str] = str,
) -> Path:
    """Write a run folder of that task; ``rename`` is applied to every name that users supply."""
    rng = np.random.default_rng(seed)
    facts = TASKS[task]
    classes = [rename(name) for name in facts["classes"]]
    folder.mkdir(parents=True, exist_ok=True)
    n_folds, rows = 5, facts["rows"]
    split = _split(rng, rows, n_folds)
    members = _members(rng, facts, n_folds)
    chosen = _choose(members)
    members["chosen"] = members["configuration"] == chosen
    trace = _trace(rng, members)
    outside = split[split["role"] != "test"]
    predictions = _predictions(rng, facts, classes, outside)
    for name, frame in {
        "split": split,
        "members": members,
        "trace": trace,
        "predictions": predictions,
    }.items():
        frame.to_parquet(folder / f"{name}.parquet")
    record = _record(rng, facts, task, classes, members, split, sealed, curves, rename)
    (folder / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return folder


def _split(rng: Rng, rows: int, n_folds: int) -> pd.DataFrame:
    shuffled = rng.permutation(rows)
    n_test = rows // 5
    fold = np.full(rows, -1)
    fold[shuffled[n_test:]] = np.arange(rows - n_test) % n_folds
    role = np.where(fold < 0, "test", "train")
    return pd.DataFrame(
        {"row": np.arange(rows), "role": role, "fold": pd.array(fold).astype("Int64")}
    ).assign(fold=lambda frame: frame["fold"].mask(frame["role"] == "test"))


def _members(rng: Rng, facts: dict[str, Any], n_folds: int) -> pd.DataFrame:
    grid: list[dict[str, Any]] = [
        {"model": "linear", "width": 0, "depth": 0, "dropout": 0.0, "weight_decay": decay, "parameters": 301}
        for decay in (0.0, 0.1)
    ]
    for width, depth in ((8, 1), (32, 1), (64, 2), (128, 2), (256, 3), (512, 3)):
        for dropout, decay in ((0.0, 1e-4), (0.0, 1e-1), (0.2, 1e-2)):
            grid.append(
                {
                    "model": "mlp",
                    "width": width,
                    "depth": depth,
                    "dropout": dropout,
                    "weight_decay": decay,
                    "parameters": 300 * width + (depth - 1) * width**2 + width + 1,
                }
            )
    offset = rng.normal(0, 0.03, n_folds)
    lines = []
    for number, configuration in enumerate(grid):
        linear = configuration["model"] == "linear"
        size = np.log10(configuration["parameters"])
        held = configuration["dropout"] + min(configuration["weight_decay"], 0.1)
        error = (
            facts["linear"] if linear else facts["floor"] * (1.02 + 0.06 * (size - 4.4) ** 2 - 0.05 * held)
        )
        fitted = error * (0.96 if linear else np.clip(0.95 - 0.28 * (size - 3.2) * (1 - held), 0.1, 1))
        for fold in range(n_folds):
            lines.append(
                {
                    "configuration": number,
                    "fold": fold,
                    "seed": 0,
                    **configuration,
                    "learning_rate": 3e-3,
                    "epochs": 60,
                    "best_epoch": int(rng.integers(24, 50)),
                    "training_score": fitted * (1 + rng.normal(0, 0.01)),
                    "validation_score": error * (1 + offset[fold] + rng.normal(0, 0.012)),
                    "status": "stopped-early" if rng.random() < 0.3 else "done",
                }
            )
    return pd.DataFrame(lines)


def _choose(members: pd.DataFrame) -> int:
    """Return the smallest configuration within one standard error of the best."""
    by = members.groupby("configuration").agg(
        mean=("validation_score", "mean"), se=("validation_score", "sem"), size=("parameters", "first")
    )
    best = by.loc[by["mean"].idxmin()]
    return int(by[by["mean"] <= best["mean"] + best["se"]]["size"].idxmin())


def _trace(rng: Rng, members: pd.DataFrame) -> pd.DataFrame:
    frames = []
    for number, member in enumerate(members.itertuples()):
        epoch = np.arange(1, int(member.epochs) + 1)
        training = (
            member.training_score * (1 + 6 * np.exp(-epoch / 6)) * (1 + rng.normal(0, 0.01, len(epoch)))
        )
        rise = np.maximum(epoch - member.best_epoch, 0) * 0.002
        validation = member.validation_score * (1 + 4 * np.exp(-epoch / 7) + rise)
        frames.append(
            pd.DataFrame(
                {
                    "member": number,
                    "fold": member.fold,
                    "configuration": member.configuration,
                    "seed": 0,
                    "epoch": epoch,
                    "training_loss": training,
                    "validation_loss": validation * (1 + rng.normal(0, 0.008, len(epoch))),
                    "chosen": member.chosen,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _predictions(rng: Rng, facts: dict[str, Any], classes: list[str], rows: pd.DataFrame) -> pd.DataFrame:
    n = len(rows)
    frame = pd.DataFrame({"row": rows["row"].to_numpy(), "fold": rows["fold"].astype(int).to_numpy()})
    if not classes:
        target = np.exp(rng.normal(12.0, 0.4, n))
        frame["target"] = target.round(-2)
        frame["prediction"] = target * np.exp(rng.standard_t(5, n) * facts["floor"] * 0.8)
        return frame
    truth = rng.choice(len(classes), n, p=rng.dirichlet(np.full(len(classes), 8.0)))
    logits = rng.normal(0, 1.0, (n, len(classes)))
    logits[np.arange(n), truth] += 1.9
    logits[:, 0] += (truth == 1) * 0.7
    odds = np.exp(logits * 1.1)
    probability = odds / odds.sum(axis=1, keepdims=True)
    names = np.array(classes, dtype=object)
    frame["target"] = names[truth]
    frame["prediction"] = names[probability.argmax(axis=1)]
    for position, name in enumerate(classes):
        frame[f"probability_{name}"] = probability[:, position]
    return frame


def _record(
    rng: Rng,
    facts: dict[str, Any],
    task: str,
    classes: list[str],
    members: pd.DataFrame,
    split: pd.DataFrame,
    sealed: bool,
    curves: bool,
    rename: Callable[[str], str],
) -> dict[str, Any]:
    best = members[members["chosen"]]
    first = best.iloc[0]
    score = best.groupby("fold")["validation_score"].mean()
    se = float(score.std() / np.sqrt(len(score)))
    value = float(score.mean())
    training = float(best["training_score"].mean())
    n_test = int((split["role"] == "test").sum())
    exam = value * (1 + rng.normal(0, 0.02))
    target = rename(facts["target"])
    others = (
        {"accuracy": 0.81, "roc_auc": 0.838} if classes else {"rmse": 21_480.0, "mae": 13_902.0, "r2": 0.921}
    )
    return {
        "schema": 1,
        "soundfit": "0.1.0",
        "created": "2026-11-23T16:40:12+00:00",
        "command": f"soundfit train {rename(facts['path'])} --target {target} --out run/",
        "data": {
            "path": rename(facts["path"]),
            "sha256": "9f2c" * 16,
            "rows": facts["rows"],
            "columns": 74,
            "target": target,
            "task": "classification" if classes else "regression",
            "classes": classes,
        },
        "audit": {"findings": _findings(rename)},
        "split": {
            "kind": "stratified" if classes else "k-fold",
            "reason": "rows look exchangeable: no group column and no order in time was found",
            "train": facts["rows"] - n_test,
            "test": n_test,
            "folds": 5,
            "group": None,
            "time": None,
            "seed": 0,
        },
        "study": {"members": len(members), "banks": 7, "configurations": 20, "folds": 5, "seconds": 31.2},
        "cv": {
            "metric": facts["metric"],
            "greater_is_better": False,
            "value": value,
            "se": se,
            "per_fold": score.tolist(),
        },
        "chosen": {
            "model": first["model"],
            "width": int(first["width"]),
            "depth": int(first["depth"]),
            "dropout": float(first["dropout"]),
            "weight_decay": float(first["weight_decay"]),
            "learning_rate": 3e-3,
            "epochs": 60,
            "parameters": int(first["parameters"]),
            "rule": "simplest within one standard error of the best",
        },
        "baselines": [
            {"name": "majority" if classes else "mean", "metric": facts["metric"], "value": facts["mean"]},
            {"name": "linear", "metric": facts["metric"], "value": facts["linear"]},
        ],
        "curves": _curves(rng, facts, members)
        if curves
        else {"capacity": [], "learning": [], "regularization": []},
        "verdict": {
            "code": "good-fit",
            "text": "Good fit: validation error is close to the best that such models reach here.",
            "evidence": [
                f"training error {training:.3f}, validation error {value:.3f} ± {se:.3f}",
                f"the linear baseline reaches {facts['linear']:.3f}",
                "the learning curve still falls: more rows would help a little",
            ],
            "prescriptions": [
                "Collect more rows: from half of the rows to all of them the error fell by 6 %.",
                "Look at the five worst rows: two have a sale condition that occurs nowhere else.",
            ],
        },
        "stability": {
            "events": [
                {
                    "kind": "rollback",
                    "step": 412,
                    "member": 17,
                    "message": "loss was not finite; learning rate halved",
                }
            ]
        },
        "exam": None
        if sealed
        else {
            "metric": facts["metric"],
            "value": exam,
            "low": exam * 0.91,
            "high": exam * 1.1,
            "level": 0.95,
            "rows": n_test,
            "openings": 1,
            "others": others,
        },
        "hardware": {"device": "cpu", "processor": "x86_64", "cores": 2, "memory_gib": 23.4},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "pandas": "3.0.1", "scikit-learn": "1.9.0"},
        "seconds": 48.7,
    }


def _curves(rng: Rng, facts: dict[str, Any], members: pd.DataFrame) -> dict[str, Any]:
    learning = []
    for rows in (150, 300, 600, 1200, int(facts["rows"] * 0.64)):
        validation = facts["floor"] * (1 + 6 * rows**-0.45) * (1 + rng.normal(0, 0.01))
        training = facts["floor"] * (0.85 - 2.0 * rows**-0.35)
        learning.append(
            {
                "rows": rows,
                "training": training,
                "validation": validation,
                "se": validation * 0.6 / np.sqrt(rows),
            }
        )
    decay = []
    for value in (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        held = np.log10(value + 1e-5) + 5
        decay.append(
            {
                "weight_decay": value,
                "training": facts["floor"] * (0.55 + 0.004 * held**3),
                "validation": facts["floor"] * (1.1 - 0.05 * held + 0.011 * held**2),
                "se": facts["floor"] * 0.012,
            }
        )
    return {"capacity": [], "learning": learning, "regularization": decay}


def _findings(rename: Callable[[str], str]) -> list[dict[str, Any]]:
    return [
        {
            "code": "target-leak",
            "severity": "error",
            "message": f"{rename('Price_per_sqft')} alone predicts the target (R² 0.998 on held-out rows).",
            "columns": [rename("Price_per_sqft")],
            "rows": [],
            "fix": f"--drop {rename('Price_per_sqft')}",
        },
        {
            "code": "duplicate-rows",
            "severity": "warning",
            "message": "12 rows occur more than once; copies were kept on one side of every split.",
            "columns": [],
            "rows": list(range(140, 160)),
            "fix": "remove the copies if they are not real repeated measurements",
        },
        {
            "code": "missing-informative",
            "severity": "note",
            "message": f"Whether {rename('Mas_Vnr_Type')} is missing tells something of the target.",
            "columns": [rename("Mas_Vnr_Type")],
            "rows": [],
            "fix": "",
        },
    ]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run folder into a fresh place: ``make_run(task=…, sealed=…)``."""
    made: list[Path] = []

    def make(**options: Any) -> Path:
        made.append(tmp_path / f"run{len(made)}")
        return write_run(made[-1], **options)

    return make
