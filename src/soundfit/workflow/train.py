"""Train: the story in order. Read, audit, seal, split, study, choose, examine, save, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import soundfit
from soundfit.bank.threads import one_thread
from soundfit.errors import UsageError
from soundfit.records import StudyResult
from soundfit.study.baselines import trivial_name
from soundfit.study.cross_validation import Hooks
from soundfit.study.views import TableViews, table_views
from soundfit.workflow import record as records
from soundfit.workflow.examine import examine, run_name
from soundfit.workflow.final import final_predictor
from soundfit.workflow.folder import check_free
from soundfit.workflow.hardware import describe_hardware, describe_versions
from soundfit.workflow.inquiry import Deadlines, Inquiry, inquire
from soundfit.workflow.nested import nested_score, nested_sentence
from soundfit.workflow.options import Options, pick_device
from soundfit.workflow.prepare import Prepared, prepare, stop_on_errors
from soundfit.workflow.run import Run

__all__ = ["Watcher", "train_table"]

MODELS = ("auto", "linear", "mlp", "resmlp")


@dataclass(frozen=True)
class Watcher:
    """How a training tells its caller where it is, and asks whether to go on."""

    on_stage: Callable[[str], None] = lambda name: None
    on_total: Callable[[int], None] = lambda n: None
    on_epoch: Callable[[int], None] = lambda n: None
    interrupted: Callable[[], bool] = lambda: False


def train_table(
    source: str | Path | pd.DataFrame,
    options: Options,
    *,
    watcher: Watcher | None = None,
    started: float | None = None,
) -> Run:
    """Do the main job on a table and return the run; with ``options.out`` it is saved there too.

    Raises:
        UsageError: data or options cannot be used as given.
        StopError: a finding says that the score would be a lie; or nothing could be trained.
    """
    watcher = watcher or Watcher()
    # A command's budget begins with its process, imports included (by time.perf_counter).
    started = time.perf_counter() if started is None else started
    created = datetime.now(UTC)
    if options.model not in MODELS:
        raise UsageError(
            f"A model for a table is one of {', '.join(MODELS)}",
            received=repr(options.model),
            fix="leave --model out to let validation choose",
        )
    if options.out is not None:
        check_free(options.out)
    device = pick_device(options.device)
    watcher.on_stage("reading and auditing the data")
    prepared = prepare(source, options)
    stop_on_errors(prepared.findings, options.accept)
    table, plan = prepared.table, prepared.plan
    watcher.on_stage("fitting preprocessing on training rows")
    views = table_views(table, plan)
    with one_thread():
        inquiry = inquire(
            views,
            model=options.model,
            seed=options.seed,
            device=device,
            deadlines=Deadlines(options.budget, started, watcher.interrupted),
            on_stage=watcher.on_stage,
            on_total=watcher.on_total,
            on_epoch=watcher.on_epoch,
        )
        result, verdict = inquiry.result, inquiry.verdict
        predictor = final_predictor(views, inquiry.study)
        exam = None
        remarks: tuple[str, ...] = ()
        if not options.keep_sealed and not watcher.interrupted():
            watcher.on_stage("opening the sealed test rows")
            examined = examine(predictor, table, plan, views.metric, run=run_name(options.out))
            exam, remarks = examined.record, examined.remarks
        nested = None
        if options.nested and not watcher.interrupted():
            watcher.on_stage("nested cross-validation")
            nested = _nested(prepared, views, result, options, device, watcher)
            remarks = (*remarks, nested_sentence(nested, result))
    document = _document(prepared, views, inquiry, exam, options, device, created)
    if nested is not None:
        document["cv"]["nested"] = nested
    document["seconds"] = round(time.perf_counter() - started, 2)
    run = Run(
        document,
        predictor,
        table,
        plan,
        result,
        verdict,
        path=None,
        remarks=remarks,
        interrupted=watcher.interrupted(),
    )
    if options.out is not None:
        watcher.on_stage("writing the run folder and the report")
        run = run.save(options.out)
    return run


def _nested(
    prepared: Prepared,
    views: TableViews,
    result: StudyResult,
    options: Options,
    device: torch.device,
    watcher: Watcher,
) -> dict[str, Any]:
    scores = nested_score(
        prepared.table,
        prepared.plan,
        result.configurations,
        metric=views.metric,
        seed=options.seed,
        device=device,
        hooks=Hooks(watcher.on_total, watcher.on_epoch, watcher.interrupted),
    )
    plain = float(result.scores_CK[result.chosen].mean())
    return scores.record(plain, greater_is_better=result.greater_is_better)


def _document(
    prepared: Prepared,
    views: TableViews,
    inquiry: Inquiry,
    exam: dict[str, Any] | None,
    options: Options,
    device: torch.device,
    created: datetime,
) -> dict[str, Any]:
    table, plan, result = prepared.table, prepared.plan, inquiry.result
    return {
        "schema": 1,
        "soundfit": soundfit.__version__,
        "created": created.isoformat(timespec="seconds"),
        "command": options.command,
        "data": records.data_record(table),
        "audit": records.audit_record(prepared.findings),
        "split": records.split_record(plan, prepared.test_file),
        "study": {
            "members": len(result.members),
            "banks": result.banks,
            "configurations": len(result.configurations),
            "folds": len(plan.folds),
            "seconds": round(result.seconds, 2),
        },
        "cv": records.cv_record(result),
        "chosen": records.chosen_record(result),
        "baselines": _baselines(views, inquiry),
        "curves": {
            "capacity": records.capacity_curve_record(result),
            "learning": inquiry.curve.points() if inquiry.curve is not None else [],
            "regularization": records.regularization_record(result),
        },
        "verdict": records.verdict_record(inquiry.verdict),
        "stability": records.stability_record(result),
        "exam": exam,
        "hardware": describe_hardware(device),
        "versions": describe_versions(),
        "seconds": 0.0,
    }


def _baselines(views: TableViews, inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return the trivial baseline, the best linear model and boosted trees, on the same folds."""
    result, references = inquiry.result, inquiry.references
    values = {trivial_name(views): float(inquiry.trivial_K.mean())}
    linear = [
        float(result.scores_CK[i].mean())
        for i, c in enumerate(result.configurations)
        if c.model == "linear" and np.isfinite(result.scores_CK[i].mean())
    ]
    if "linear" in references.scores_K:
        linear.append(float(references.scores_K["linear"].mean()))
    if linear:
        values["linear"] = max(linear) if result.greater_is_better else min(linear)
    if "boosted-trees" in references.scores_K:
        values["boosted-trees"] = float(references.scores_K["boosted-trees"].mean())
    return [{"name": name, "metric": result.metric, "value": value} for name, value in values.items()]
