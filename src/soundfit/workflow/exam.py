"""Exam: open the sealed test rows of a run folder that was trained with ``--keep-sealed``, or once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfit.artifact import load_predictor
from soundfit.data.table import Table
from soundfit.errors import UsageError
from soundfit.metrics.scores import metric_named
from soundfit.records import Plan
from soundfit.report.html import write_report
from soundfit.workflow.examine import examine, run_name
from soundfit.workflow.folder import read_run, write_record
from soundfit.workflow.options import Options
from soundfit.workflow.prepare import read_table

__all__ = ["exam_run"]


def exam_run(run: str | Path, *, lang: str = "en") -> tuple[dict[str, Any], tuple[str, ...]]:
    """Score a run's model on its sealed rows, write the result into the run, return it and remarks.

    Nothing is refused: each opening is counted, and the interval widens with their number.

    Raises:
        UsageError: no such run, or its data file is gone or has changed since.
    """
    folder = Path(run)
    document = read_run(folder)
    predictor = load_predictor(folder)
    table = _table(document)
    plan = _plan(folder, document, table)
    metric = metric_named(document["cv"]["metric"])
    exam = examine(predictor, table, plan, metric, run=run_name(folder))
    document["exam"] = exam.record
    write_record(folder, document)
    write_report(folder, lang=lang)
    return document, exam.remarks


def _table(document: dict[str, Any]) -> Table:
    data = document["data"]
    test_file = document["split"].get("test_file")
    files = [Path(data["path"]), *([Path(test_file)] if test_file else [])]
    for file in files:
        if not file.is_file():
            raise UsageError(
                "An exam reads the sealed rows from the data files of the training",
                received=f"no file {file}",
                fix="put the file back, or run the command from the folder where you trained",
            )
    options = Options(data["target"], task=data["task"])
    table, _ = read_table(files[0], options, files[1] if test_file else None)
    if table.sha256 != data["sha256"]:
        raise UsageError(
            "An exam reads the very rows that were sealed",
            received=f"{' or '.join(map(str, files))} has changed since the training",
            fix="restore the file, or train again",
        )
    return table


def _plan(folder: Path, document: dict[str, Any], table: Table) -> Plan:
    split = pd.read_parquet(folder / "split.parquet")
    position = np.full(table.n_file_rows, -1, dtype=np.int64)
    position[table.file_rows] = np.arange(len(table))
    test = position[split.loc[split["role"] == "test", "row"].to_numpy()]
    recorded = document["split"]
    return Plan(
        recorded["kind"],
        recorded["reason"],
        len(table),
        np.sort(test),
        (),
        recorded["seed"],
        tuple(recorded["group"] or ()),
        recorded["time"],
    )
