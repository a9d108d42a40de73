"""Record: ``run.json`` and the tables of a run folder, from what the steps of a training handed over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.data.table import Table
from soundfit.metrics.interval import mean_and_se, score_se
from soundfit.records import Finding, Plan, StudyResult, Verdict
from soundfit.study.evidence import ROOTS
from soundfit.study.optimism import optimism_of_choice
from soundfit.study.verdict import capacity_points
from soundfit.study.views import StudyViews

__all__ = [
    "audit_record",
    "capacity_curve_record",
    "chosen_record",
    "cv_record",
    "data_record",
    "members_frame",
    "predictions_frame",
    "regularization_record",
    "split_record",
    "stability_record",
    "standard_error",
    "trace_frame",
    "verdict_record",
]

Array = NDArray[np.float64]


def data_record(table: Table) -> dict[str, Any]:
    """Return ``data``: what was read."""
    return {
        "path": table.source,
        "sha256": table.sha256,
        "rows": len(table),
        "columns": table.frame.shape[1],
        "target": table.target_name,
        "task": table.task,
        "classes": [c.item() if isinstance(c, np.generic) else c for c in table.classes],
    }


def audit_record(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return ``audit``."""
    return {"findings": [f.to_dict() for f in findings]}


def split_record(plan: Plan, test_file: Path | None = None) -> dict[str, Any]:
    """Return ``split``: kind, reason and sizes; and the test file, where the test rows came from one."""
    given = {"test_file": str(test_file)} if test_file is not None else {}
    return {
        **given,
        "kind": plan.kind,
        "reason": plan.reason,
        "train": len(plan.train),
        "test": len(plan.test),
        "folds": len(plan.folds),
        "group": list(plan.group) or None,
        "time": plan.time,
        "seed": plan.seed,
    }


def cv_record(result: StudyResult, views: StudyViews) -> dict[str, Any]:
    """Return ``cv``: the chosen configuration's score over folds; of a holdout with its SE over rows.

    ``corrected`` is the score with configuration and checkpoint chosen by the other folds; None for one fold.
    """
    scores = result.scores_CK[result.chosen]
    ratio = optimism_of_choice(result)
    corrected = float(scores.mean()) * (ratio**0.5 if result.metric in ROOTS else ratio)
    se = standard_error(scores)
    if se is None and result.predictions is not None:
        rows = views.folds[0].validation
        over_rows = score_se(views.metric, views.target[rows], result.predictions[rows])
        se = over_rows if np.isfinite(over_rows) else None
    return {
        "metric": result.metric,
        "greater_is_better": result.greater_is_better,
        "value": float(scores.mean()),
        "se": se,
        "per_fold": [float(s) for s in scores],
        "corrected": None if len(scores) < 2 or result.greater_is_better else corrected,
    }


def chosen_record(result: StudyResult) -> dict[str, Any]:
    """Return ``chosen``."""
    config = result.chosen_config
    return {
        "model": config.model,
        "width": config.width,
        "depth": config.depth,
        "dropout": config.dropout,
        "weight_decay": config.weight_decay,
        "learning_rate": config.learning_rate,
        "epochs": config.epochs,
        "parameters": result.parameters[result.chosen],
        "rule": result.rule,
    }


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return ``verdict``."""
    return verdict.to_dict()


def capacity_curve_record(result: StudyResult) -> list[dict[str, Any]]:
    """Return ``curves.capacity``: the best configuration at each number of parameters."""
    return [{k: v for k, v in p.items() if k != "configuration"} for p in capacity_points(result)]


def regularization_record(result: StudyResult) -> list[dict[str, Any]]:
    """Return ``curves.regularization``: best score over weight decay and dropout at the chosen size."""
    chosen = result.chosen_config
    points: dict[tuple[float, float], tuple[float, int]] = {}
    for i, config in enumerate(result.configurations):
        if (config.model, config.width, config.depth) != (chosen.model, chosen.width, chosen.depth):
            continue
        score = float(result.scores_CK[i].mean())
        loss = -score if result.greater_is_better else score
        key = (config.weight_decay, config.dropout)
        if np.isfinite(loss) and (key not in points or loss < points[key][0]):
            points[key] = (loss, i)
    return [
        {
            "weight_decay": decay,
            "dropout": dropout,
            "training": float(result.training_scores_CK[i].mean()),
            "validation": float(result.scores_CK[i].mean()),
            "se": standard_error(result.scores_CK[i]),
        }
        for (decay, dropout), (_, i) in sorted(points.items())
    ]


def standard_error(scores: Array) -> float | None:
    """Return the standard error of fold scores; None for one fold, as JSON has it."""
    _, se = mean_and_se(scores)
    return se if np.isfinite(se) else None


def stability_record(result: StudyResult) -> dict[str, Any]:
    """Return ``stability``: what happened to members on the way."""
    events = [
        {"kind": e.kind, "step": e.step, "member": i, "message": e.message}
        for i, m in enumerate(result.members)
        for e in m.trace.events
    ]
    failed = sum(m.status == "failed" for m in result.members)
    return {"events": events[:200], "rollbacks": len(events), "failed": failed}


def members_frame(result: StudyResult) -> pd.DataFrame:
    """Return ``members.parquet``: one row a member, everything tried.

    Where there is a pretrained net, ``backbone`` says which members stand on it.
    """
    on = [bool(m.member.config.get("backbone")) for m in result.members]
    rows = [
        {
            "member": i,
            "configuration": m.member.configuration,
            "fold": m.member.fold,
            "seed": m.member.seed,
            "model": m.member.config.model,
            "width": m.member.config.width,
            "depth": m.member.config.depth,
            "dropout": m.member.config.dropout,
            "weight_decay": m.member.config.weight_decay,
            "learning_rate": m.member.config.learning_rate,
            "batch_size": m.member.config.batch_size,
            "epochs": m.epochs,
            "best_epoch": m.best_epoch,
            "parameters": result.parameters[m.member.configuration],
            "training_score": m.training_score,
            "validation_score": m.validation_score,
            "status": m.status,
            "chosen": m.member.configuration == result.chosen,
        }
        for i, m in enumerate(result.members)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(backbone=on) if any(on) else frame


def trace_frame(result: StudyResult) -> pd.DataFrame:
    """Return ``trace.parquet``: losses per member and evaluated epoch."""
    frames = [
        pd.DataFrame(
            {
                "member": i,
                "configuration": m.member.configuration,
                "fold": m.member.fold,
                "seed": m.member.seed,
                "epoch": m.trace.at.astype(np.int64),
                "training_loss": m.trace.series["training_loss"],
                "validation_loss": m.trace.series["validation_loss"],
                "chosen": m.member.configuration == result.chosen,
            }
        )
        for i, m in enumerate(result.members)
    ]
    return pd.concat(frames, ignore_index=True)


def predictions_frame(table: Table, plan: Plan, result: StudyResult) -> pd.DataFrame:
    """Return ``predictions.parquet``: out-of-fold predictions of every validated row.

    ``row`` is the position in the file; rows that no fold validates (the first block of a split by
    time, training rows of a holdout) are not in it.
    """
    assert result.predictions is not None
    rows = plan.train
    fold = np.full(plan.n_rows, -1, dtype=np.int64)
    for k, f in enumerate(plan.folds):
        fold[f.validation] = k
    keep = fold[rows] >= 0
    rows, output = rows[keep], result.predictions[keep]
    frame: dict[str, Any] = {"row": table.file_rows[rows]}
    if table.task == "regression":
        frame["target"], frame["prediction"] = table.target[rows], output
    else:
        labels = np.empty(len(table.classes), dtype=object)
        labels[:] = table.classes
        frame["target"] = labels[table.target[rows].astype(np.int64)]
        frame["prediction"] = labels[np.nan_to_num(output).argmax(axis=1)]
        for c, label in enumerate(table.classes):
            frame[f"probability_{label}"] = output[:, c]
    frame["fold"] = fold[rows]
    return pd.DataFrame(frame).infer_objects()
