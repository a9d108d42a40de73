"""Material: what one kind of data brings to a training. The story of ``train`` is the same for all kinds.

A kind of data (table, pictures, sequences) is one entry of :data:`KINDS`: which sources it recognises
lies in :mod:`soundfit.workflow.kind`, how it is read, split, audited and viewed in a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.artifact import AnyPredictor
from soundfit.data.table import Table
from soundfit.records import Finding, Plan, StudyResult
from soundfit.study.blend import MOST
from soundfit.study.cross_validation import Hooks, StudyRun
from soundfit.study.infinite import with_infinite
from soundfit.study.refit import Refit, refit_where_better
from soundfit.study.views import StudyViews, table_views
from soundfit.workflow.final import final_predictor
from soundfit.workflow.options import Options
from soundfit.workflow.prepare import prepare

__all__ = ["Material", "Steps", "table_material"]


@dataclass(frozen=True)
class Steps:
    """How reading tells its caller where it is: a stage, how many units it has, units done.

    It asks ``should_stop``, and how many seconds are left, where it takes long.
    """

    on_stage: Callable[[str], None] = lambda name: None
    on_total: Callable[[int], None] = lambda n: None
    on_unit: Callable[[int], None] = lambda n: None
    should_stop: Callable[[], bool] = lambda: False
    seconds_left: Callable[[], float] = lambda: float("inf")


@dataclass(frozen=True)
class Material:
    """Data read, split and audited, and what a study of them needs.

    Attributes:
        table: one row per example, its target, and what is known of it in columns (of pictures: file and
            content). Rows are sealed by the content of ``sealed``.
        plan, findings: sealed rows and folds; what the audit found.
        views: makes the views of a plan's non-test rows; fits preprocessing on training rows alone.
        predictor: the final model from views and a finished study.
        inputs: what ``predictor.outputs`` reads, for rows of the table.
        sealed: the table by whose content rows are sealed; the same rows as ``table``.
        test_file: the file or folder that the test rows came from, where they were given.
        blends: configurations that the final model can hold; with more than 1, ``predictor`` takes the
            blend as a third argument.
        write: ``write(folder, views=…, study=…)`` puts more into a run folder, for the report.
        stability: what ``run.json`` says under that name beside what it says of any study, from views
            and study.
        record: what ``run.json`` says of the data beside what it says of any table.
        deepen: goes on from a study to what is too dear for a grid, ``deepen(views, study, seed=…, device=…,
            hooks=…, on_stage=…)``, and returns the study of both, and views that can train what it chose on
            fewer rows, or None.
        partners: ``partners(views, study, seed=…, seconds_left=…, hooks=…)`` adds to a finished study what
            may join the final model beside what was chosen.
        identity: what else a training depends on, which goes on only with the very same: names and digests.
        trainer: what stands in for a function that trains members, see :class:`Hooks`; that one if None.
        compared: what ``run.json`` says of the data beside ``record``, from the finished study.
        refit: trains the chosen configuration on more rows than the study could hold; instead of
            ``predictor``.
        on_all_rows: ``on_all_rows(views, study, blend, seed=…, device=…, seconds_left=…, hooks=…)`` trains
            the blend again on all non-test rows where that validates better; ``predictor`` takes what it
            returns (None: nothing was compared) after the blend.
    """

    table: Table
    plan: Plan
    findings: tuple[Finding, ...]
    views: Callable[[Plan], StudyViews]
    predictor: Callable[..., AnyPredictor]
    inputs: Callable[[NDArray[np.int64]], Any]
    sealed: Table
    test_file: Path | None = None
    blends: int = 1
    write: Callable[..., None] | None = None
    stability: Callable[..., dict[str, Any]] | None = None
    record: dict[str, Any] = field(default_factory=dict)
    deepen: Callable[..., tuple[StudyRun, StudyViews | None]] | None = None
    partners: Callable[..., StudyRun] | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    trainer: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    compared: Callable[[StudyResult], dict[str, Any]] | None = None
    refit: Callable[[Any, StudyRun, Hooks], AnyPredictor] | None = None
    on_all_rows: Callable[..., Refit | None] | None = None


def table_material(source: Any, options: Options, steps: Steps, device: torch.device) -> Material:
    """Read a table file or frame.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    steps.on_stage("reading and auditing the data")
    prepared = prepare(source, options)
    table = prepared.table
    return Material(
        table,
        prepared.plan,
        prepared.findings,
        lambda plan: table_views(table, plan),
        final_predictor,
        lambda rows: table.frame.iloc[rows].reset_index(drop=True),
        table,
        prepared.test_file,
        blends=MOST,
        partners=with_infinite if options.model == "auto" else None,
        on_all_rows=refit_where_better,
    )
