"""Train: the story in order. Read, audit, seal, split, study, choose, examine, save, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import soundfit
from soundfit.artifact import AnyPredictor
from soundfit.artifact.on_device import on_device
from soundfit.bank import Outcome, train_members
from soundfit.bank.shard import Shard, joined
from soundfit.errors import Interrupted, UsageError
from soundfit.executors.threads import one_thread
from soundfit.integrations.training_log import check_tracker
from soundfit.metrics.scores import Metric
from soundfit.records import StudyResult, say
from soundfit.study.baselines import trivial_name
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import Hooks, StudyRun
from soundfit.study.refit import Refit
from soundfit.study.views import StudyViews
from soundfit.workflow import record as records
from soundfit.workflow.examine import examine, run_name
from soundfit.workflow.explain import importance_record
from soundfit.workflow.final import final_record, prediction_shift, refit_record
from soundfit.workflow.folder import check_free
from soundfit.workflow.hardware import describe_hardware, describe_versions
from soundfit.workflow.inquiry import Deadlines, Inquiry, inquire
from soundfit.workflow.journal import journalled, note
from soundfit.workflow.kind import data_kind, material_reader
from soundfit.workflow.material import Material, Steps
from soundfit.workflow.nested import nested_score, nested_sentence
from soundfit.workflow.options import Options, open_executor, pick_device
from soundfit.workflow.prepare import stop_on_errors
from soundfit.workflow.resume import Checkpoint, begin, keeping
from soundfit.workflow.run import Run
from soundfit.workflow.watcher import Watcher

__all__ = ["train_data"]

_TABLE_MODELS = ("auto", "linear", "mlp", "resmlp")
KIND_MODELS = {
    "table": _TABLE_MODELS,
    "large": _TABLE_MODELS,
    "pictures": ("auto", "linear", "mlp", "cnn", "resnet"),
    "sequences": ("auto", "linear", "mlp", "rnn", "gru", "lstm"),
}
KIND_WORDS = {
    "table": say("a table"),
    "large": say("a table"),
    "pictures": say("pictures"),
    "sequences": say("sequences"),
}


def train_data(
    source: str | Path | pd.DataFrame,
    options: Options,
    *,
    watcher: Watcher | None = None,
    started: float | None = None,
) -> Run:
    """Do the main job on any kind of data and return the run; with ``options.out`` it is saved there too.

    Raises:
        UsageError: data or options cannot be used as given.
        StopError: a finding says that the score would be a lie; or nothing could be trained.
        Interrupted: memory, disk or the user ended it before there was a run; what was trained is kept.
    """
    watcher = journalled(watcher or Watcher())
    # A command's budget begins with its process, imports included (by time.perf_counter).
    started = time.perf_counter() if started is None else started
    created = datetime.now(UTC)
    kind = data_kind(source, options)
    if options.model not in KIND_MODELS[kind]:
        raise UsageError(
            say(
                "A model for {kind} is one of {list}",
                kind=KIND_WORDS[kind],
                list=", ".join(KIND_MODELS[kind]),
            ),
            received=repr(options.model),
            fix="leave --model out to let validation choose",
        )
    if options.out is not None:
        check_free(options.out, resume=options.resume)
    elif options.resume:
        raise UsageError(
            "resume goes on with the training that a run folder holds unfinished",
            received="no run folder",
            fix="pass out=…, the folder of the training",
        )
    if options.log_to is not None:
        check_tracker(options.log_to)
        if options.out is None:
            raise UsageError(
                "A log goes into the run folder",
                received="log_to without out",
                fix="pass out=…, a new folder",
            )
    device = pick_device(options.device)
    with joined(device) as shard:
        if shard is not None:
            options = _one_of_several(options, shard)
        note(
            "started",
            data=_name(source),
            kind=kind,
            target=options.target,
            out=options.out,
            seed=options.seed,
        )
        try:
            run = _train_kind(kind, source, options, device, watcher, started, created, shard)
        except Exception as error:
            note("failed", level=logging.ERROR, error=str(error))
            raise
        note("interrupted" if run.interrupted else "finished", **_outcome(run.document))
        return run


def _name(source: str | Path | pd.DataFrame) -> str:
    return "DataFrame" if isinstance(source, pd.DataFrame) else str(source)


def _outcome(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a journal says at the end."""
    exam = document["exam"] or {}
    return {
        "verdict": document["verdict"]["code"],
        "exam": {name: exam[name] for name in ("metric", "value", "low", "high") if name in exam} or None,
        "members": document["study"]["members"],
        "seconds": document["seconds"],
    }


def _one_of_several(options: Options, shard: Shard) -> Options:
    """Return the options of one of the processes that torchrun started: the first writes and examines.

    Raises:
        UsageError: an option lets the clock or a state decide, of which each process has its own.
    """
    for name, given in (
        ("--budget", options.budget is not None),
        ("--resume", options.resume),
        ("--executor ray", options.executor != "local"),
    ):
        if given:
            raise UsageError(
                "Processes that train one model together take every decision alike",
                received=say("{name} under torchrun", name=name),
                fix=say("leave {name} out, or start soundfit without torchrun", name=name),
            )
    return options if shard.rank == 0 else replace(options, out=None, log_to=None, keep_sealed=True)


def _train_kind(
    kind: str,
    source: str | Path | pd.DataFrame,
    options: Options,
    device: torch.device,
    watcher: Watcher,
    started: float,
    created: datetime,
    shard: Shard | None,
) -> Run:
    """Read and audit, then train with all that is done kept on disk, and write the run folder."""
    left = Deadlines(options.budget, started, watcher.interrupted).training_left
    steps = Steps(watcher.on_stage, watcher.on_total, watcher.on_epoch, watcher.interrupted, left)
    material = material_reader(kind)(source, options, steps, device)
    stop_on_errors(material.findings, options.accept)
    if watcher.interrupted():
        raise Interrupted("Training was interrupted before it began", fix="start it again")
    with (
        open_executor(options, device) as executor,
        begin(options, material.table, material.plan, created, of_data=material.identity) as checkpoint,
        keeping(checkpoint, options, watcher.interrupted),
    ):
        watcher.on_kept()
        train = partial(
            train_members,
            # Only one process of several would have a state to go on from.
            checkpoint=checkpoint.members if checkpoint is not None and shard is None else None,
            executor=executor,
            shard=shard,
            precision=_precision(device, kind),
        )
        members = train if material.trainer is None else material.trainer(train)
        run = _train(material, options, device, watcher, started, created, checkpoint, members)
        if options.out is not None:
            watcher.on_stage("writing the run folder and the report")
            run = run.write(options.out, lang=options.lang)
            if options.log_to is not None:
                watcher.on_stage(say("logging to {tracker}", tracker=options.log_to))
                run = run.log(options.log_to)
        if checkpoint is not None and not run.interrupted:
            checkpoint.remove()
        return run


def _precision(device: torch.device, kind: str) -> str:
    """Return in what to compute: members' grouped convolutions have fast ways on a GPU in bfloat16 alone."""
    if device.type != "cuda" or kind != "pictures":
        return "highest"
    # Before Ampere there is neither bfloat16 nor TF32, which is then float32.
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "high"


def _train(
    material: Material,
    options: Options,
    device: torch.device,
    watcher: Watcher,
    started: float,
    created: datetime,
    checkpoint: Checkpoint | None,
    members: Callable[..., list[Outcome]],
) -> Run:
    """Study, choose, examine; what is done is kept in the checkpoint where there is one."""
    spent = checkpoint.spent if checkpoint is not None else 0.0
    watcher.on_stage("fitting preprocessing on training rows")
    views = material.views(material.plan)
    # Time that earlier sessions took is spent.
    deadlines = Deadlines(options.budget, started - spent, watcher.interrupted)
    # BLAS threads wait for each other as OpenMP's do: small products take many times longer so.
    with one_thread(), threadpool_limits(1, "blas"):
        inquiry = inquire(
            views,
            model=options.model,
            seed=options.seed,
            device=device,
            deadlines=deadlines,
            on_stage=watcher.on_stage,
            on_total=watcher.on_total,
            on_epoch=watcher.on_epoch,
            train=members,
            deepen=material.deepen,
        )
        trained = inquiry.result
        inquiry = _with_partners(material, views, inquiry, options, deadlines, watcher)
        blend = blend_study(views, inquiry.study, most=material.blends)
        refit = _on_all_rows(
            material, views, inquiry.study, blend, options, device, deadlines, watcher, members
        )
        if material.refit is not None and not watcher.interrupted():
            hooks = Hooks(watcher.on_total, watcher.on_epoch, watcher.interrupted, train=members)
            predictor = material.refit(views, inquiry.study, hooks)
        else:
            mixed: tuple[Any, ...] = (blend,) if material.blends > 1 else ()
            mixed = mixed if refit is None else (blend, refit)
            predictor = material.predictor(views, inquiry.study, *mixed)
        exam: dict[str, Any] | None = None
        remarks: tuple[str, ...] = ()
        if not options.keep_sealed and not watcher.interrupted():
            watcher.on_stage("opening the sealed test rows")
            with on_device(predictor, device):
                exam, remarks = _exam_once(predictor, material, views.metric, options, checkpoint)
        nested = None
        if options.nested and not watcher.interrupted():
            watcher.on_stage("nested cross-validation")
            hooks = Hooks(watcher.on_total, watcher.on_epoch, watcher.interrupted, train=members)
            nested = _nested(material, views, trained, options, device, hooks)
            remarks = (*remarks, nested_sentence(nested, trained))
        watcher.on_stage("asking what moves the prediction")
        importance = importance_record(
            views,
            inquiry.study,
            blend,
            seed=options.seed,
            device=device,
            should_stop=deadlines.questions_over,
        )
    document = _document(material, views, inquiry, exam, options, device, created)
    if checkpoint is not None:
        document["created"], document["command"] = checkpoint.created, checkpoint.command
    if nested is not None:
        document["cv"]["nested"] = nested
    document["final"] = final_record(blend, inquiry.study, predictor, refit, prediction_shift(views, blend))
    compared = None if refit is None else refit_record(refit)
    if compared is not None:
        document["refit"] = compared
    if importance is not None:
        document["importance"] = importance
    document["seconds"] = round(time.perf_counter() - started + spent, 2)
    if material.stability is not None:
        document["stability"] |= material.stability(views, inquiry.study)
    write = material.write
    return Run(
        document,
        predictor,
        material.table,
        material.plan,
        inquiry.result,
        inquiry.verdict,
        path=None,
        remarks=remarks,
        interrupted=watcher.interrupted(),
        write_more=None if write is None else partial(write, views=views, study=inquiry.study),
    )


def _with_partners(
    material: Material,
    views: StudyViews,
    inquiry: Inquiry,
    options: Options,
    deadlines: Deadlines,
    watcher: Watcher,
) -> Inquiry:
    """Return the inquiry with what may join the final model; what it found stays."""
    if material.partners is None or deadlines.training_over():
        return inquiry
    watcher.on_stage("solving nets of infinite width")
    hooks = Hooks(watcher.on_total, watcher.on_epoch, deadlines.training_over)
    left = deadlines.training_left()
    study = material.partners(views, inquiry.study, seed=options.seed, seconds_left=left, hooks=hooks)
    return replace(inquiry, study=study)


def _on_all_rows(
    material: Material,
    views: StudyViews,
    study: StudyRun,
    blend: Blend,
    options: Options,
    device: torch.device,
    deadlines: Deadlines,
    watcher: Watcher,
    members: Callable[..., list[Outcome]],
) -> Refit | None:
    """Return the refit on all rows and how it compares; None where the fold members stay unasked."""
    if material.on_all_rows is None or deadlines.training_over():
        return None
    watcher.on_stage("refitting on all rows")
    hooks = Hooks(watcher.on_total, watcher.on_epoch, deadlines.training_over, train=members)
    left = deadlines.training_left()
    return material.on_all_rows(
        views, study, blend, seed=options.seed, device=device, seconds_left=left, hooks=hooks
    )


def _exam_once(
    predictor: AnyPredictor,
    material: Material,
    metric: Metric,
    options: Options,
    checkpoint: Checkpoint | None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Open the seal, or read what an earlier session of this training found when it did."""
    kept = checkpoint.exam() if checkpoint is not None else None
    if kept is not None:
        return kept
    ticket = checkpoint.ticket if checkpoint is not None else None
    name = run_name(options.out)
    exam = examine(
        predictor,
        material.table,
        material.plan,
        metric,
        run=name,
        ticket=ticket,
        sealed=material.sealed,
        inputs=material.inputs,
    )
    if checkpoint is not None:
        checkpoint.keep_exam(exam.record, exam.remarks)
    return exam.record, exam.remarks


def _nested(
    material: Material,
    views: StudyViews,
    result: StudyResult,
    options: Options,
    device: torch.device,
    hooks: Hooks,
) -> dict[str, Any]:
    scores = nested_score(
        material.table,
        material.plan,
        result.configurations,
        metric=views.metric,
        seed=options.seed,
        device=device,
        hooks=hooks,
        views_of=material.views,
        predictor_of=material.predictor,
        inputs=material.inputs,
    )
    plain = float(result.scores_CK[result.chosen].mean())
    return scores.record(plain, greater_is_better=result.greater_is_better)


def _document(
    material: Material,
    views: StudyViews,
    inquiry: Inquiry,
    exam: dict[str, Any] | None,
    options: Options,
    device: torch.device,
    created: datetime,
) -> dict[str, Any]:
    table, plan, result = material.table, material.plan, inquiry.result
    return {
        "schema": 1,
        "soundfit": soundfit.__version__,
        "created": created.isoformat(timespec="seconds"),
        "command": options.command,
        "data": {
            **records.data_record(table),
            **material.record,
            **({} if material.compared is None else material.compared(result)),
        },
        "audit": records.audit_record(material.findings),
        "split": records.split_record(plan, material.test_file),
        "study": {
            "members": len(result.members),
            "banks": result.banks,
            "configurations": len(result.configurations),
            "folds": len(plan.folds),
            "seconds": round(result.seconds, 2),
        },
        "cv": records.cv_record(result, views),
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


def _baselines(views: StudyViews, inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return the trivial baseline, the best linear model and boosted trees, on the same folds."""
    result, references = inquiry.result, inquiry.references
    values = {trivial_name(views): float(inquiry.trivial_K.mean())}
    linear = [
        float(result.scores_CK[i].mean())
        for i, c in enumerate(result.configurations)
        # On a backbone's features linear is no baseline.
        if c.model == "linear" and not c.get("backbone") and np.isfinite(result.scores_CK[i].mean())
    ]
    if "linear" in references.scores_K:
        linear.append(float(references.scores_K["linear"].mean()))
    if linear:
        values["linear"] = max(linear) if result.greater_is_better else min(linear)
    if "boosted-trees" in references.scores_K:
        values["boosted-trees"] = float(references.scores_K["boosted-trees"].mean())
    return [{"name": name, "metric": result.metric, "value": value} for name, value in values.items()]
