"""The main job as a Python function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from soundfit.errors import UsageError
from soundfit.records.said import say
from soundfit.report.notebook import in_notebook, notebook_progress
from soundfit.workflow.options import Options, parse_budget, parse_memory
from soundfit.workflow.run import Run
from soundfit.workflow.train import train_data
from soundfit.workflow.watcher import Watcher

__all__ = ["train"]


def train(
    data: str | Path | pd.DataFrame,
    *,
    target: str = "",
    task: str = "auto",
    model: str = "auto",
    folds: int | str = "auto",
    test: float | str | Path = 0.2,
    group: str | tuple[str, ...] | list[str] = (),
    time: str | None = None,
    stratify: bool | None = None,
    drop: str | tuple[str, ...] | list[str] = (),
    accept: str | tuple[str, ...] | list[str] = (),
    seed: int = 0,
    device: str = "auto",
    budget: str | float | None = None,
    keep_sealed: bool = False,
    nested: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    image_size: int | None = None,
    backbone: str = "auto",
    weights: str | Path | None = None,
    sequence: str = "",
    executor: str = "local",
    ray_address: str | None = None,
    memory: str | int | None = None,
    log_to: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Do what ``soundfit train`` does: read, audit, seal, split, train, choose, examine.

    Args:
        data: a table file, a DataFrame, a folder of pictures, or a file of pictures or sequences (npz, idx).
        target: the column to predict; a folder of pictures needs none.
        task: ``auto``, ``regression`` or ``classification``.
        model: ``auto``, ``linear``, ``mlp``, ``resmlp``; for pictures also ``cnn``, ``resnet``;
            for sequences ``lstm``, ``gru``, ``rnn``.
        folds: number of folds, ``auto`` or ``holdout``.
        test: fraction of rows to seal, or a file with the test rows.
        group: columns whose equal values stay on one side of each split.
        time: a column in whose order rows are split, or ``"row"``.
        stratify: keep the target's distribution in each fold (None: where it makes sense).
        drop: columns that models must not read.
        accept: codes of error findings to train in spite of.
        seed: for everything drawn.
        device: ``auto``, ``cpu`` or ``cuda``.
        budget: seconds, or a text such as ``"5m"``.
        keep_sealed: do not open the test rows.
        nested: also score the whole procedure, selection included, by nested cross-validation.
        out: also write the run folder there.
        resume: go on with the training that ``out`` holds unfinished, to the same result.
        image_size: longer side in pixels that pictures are scaled to; from the pictures if None.
        backbone: ``timm:NAME``, a pretrained net on whose features heads are trained, ``none``, or ``auto``:
            one that lies on this machine, for folders of few pictures.
        weights: file of the backbone's weights; looked for in the caches of this machine if None.
        sequence: a column of arrays, or with ``time`` the column that says whose step a row is.
        executor: ``local`` (the cores of this machine) or ``ray`` (a Ray cluster).
        ray_address: of a running cluster; one is started on this machine if None.
        memory: bytes, or a text such as ``"8GiB"``; larger table files are read in batches.
        log_to: ``tensorboard`` or ``mlflow``: also log the training into ``out`` (or to
            ``MLFLOW_TRACKING_URI``).
        progress: called with the number of member-epochs just done; a notebook shows stages and a bar
            without it. The logger ``soundfit`` tells stages, progress and result at level INFO.

    Raises:
        UsageError: data or options cannot be used as given.
        StopError: a finding says that the score would be a lie.
    """
    options = Options(
        target=target,
        task=task,
        folds=str(folds),
        test=str(test),
        group=_several("group", group),
        time=time,
        stratify=stratify,
        drop=_several("drop", drop),
        accept=_several("accept", accept),
        seed=seed,
        device=device,
        budget=parse_budget(None if budget is None else str(budget)),
        model=model,
        keep_sealed=keep_sealed,
        nested=nested,
        resume=resume,
        image_size=image_size,
        backbone=backbone,
        weights=None if weights is None else str(weights),
        sequence=sequence,
        executor=executor,
        ray_address=ray_address,
        memory=parse_memory(None if memory is None else str(memory)),
        log_to=log_to,
        out=Path(out) if out is not None else None,
    )
    if progress is None and in_notebook():
        with notebook_progress(lang=options.lang) as cell:
            return train_data(data, options, watcher=Watcher(cell.stage, cell.total, cell.advance))
    return train_data(data, options, watcher=Watcher(on_epoch=progress or (lambda n: None)))


def _several(option: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str):
        return (names,)
    try:
        return tuple(names)
    except TypeError:
        raise UsageError(
            say("The option {option!r} is a name or a list of names", option=option),
            received=repr(names),
            fix=say("write {option}=['…'], or leave it out", option=option),
        ) from None
