"""Exam: open the sealed test rows of a run folder that was trained with ``--keep-sealed``, or once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.artifact import load_predictor
from soundfit.data.picture_split import COPIES, with_copies
from soundfit.data.pictures import read_pictures
from soundfit.data.sequence_layout import Layout
from soundfit.data.sequence_source import read_sequences
from soundfit.data.sequence_split import OVERLAP, with_overlap
from soundfit.data.sequences import as_sequences
from soundfit.data.table import Table
from soundfit.errors import UsageError
from soundfit.metrics.scores import metric_named
from soundfit.records import Plan
from soundfit.records.said import say
from soundfit.report.html import write_report
from soundfit.workflow.examine import examine, run_name
from soundfit.workflow.folder import read_run, write_record
from soundfit.workflow.large import sample_table
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
    data = _sealed_data(document)
    plan = _plan(folder, document, data.table)
    metric = metric_named(document["cv"]["metric"])
    exam = examine(
        predictor,
        data.table,
        plan,
        metric,
        run=run_name(folder),
        sealed=data.sealed,
        inputs=data.inputs,
    )
    document["exam"] = exam.record
    write_record(folder, document)
    write_report(folder, lang=lang)
    return document, exam.remarks


@dataclass(frozen=True)
class _SealedData:
    """What an exam reads again: the table, and of other data their content and the model's inputs."""

    table: Table
    sealed: Table | None = None
    inputs: Callable[[NDArray[np.int64]], Any] | None = None


def _sealed_data(document: dict[str, Any]) -> _SealedData:
    if document["data"].get("kind") == "pictures":
        return _pictures(document)
    if document["data"].get("kind") == "sequences":
        return _sequences(document)
    return _SealedData(_table(document))


def _pictures(document: dict[str, Any]) -> _SealedData:
    data = document["data"]
    size = data["pictures"]
    if not Path(data["path"]).exists():
        raise _gone(data["path"])
    pictures = read_pictures(
        data["path"],
        target=data["target"],
        task=data["task"],
        shape=(size["height"], size["width"], size["channels"]),
    )
    if pictures.table.sha256 != data["sha256"]:
        raise _changed(data["path"])
    if COPIES in (document["split"]["group"] or ()):
        pictures = with_copies(pictures)
    return _SealedData(pictures.table, pictures.content, lambda rows: pictures.pixels[rows])


def _sequences(document: dict[str, Any]) -> _SealedData:
    data = document["data"]
    if not Path(data["path"]).exists():
        raise _gone(data["path"])
    known = data["sequences"]
    layout = Layout.from_dict(known["layout"])
    found = read_sequences(
        data["path"], target=data["target"], keep=known["keep"], drop=known["drop"], layout=layout
    )
    if found.labels is None:
        raise _changed(data["path"])
    sequences = as_sequences(found, task=data["task"])
    if sequences.table.sha256 != data["sha256"]:
        raise _changed(data["path"])
    if OVERLAP in (document["split"]["group"] or ()):
        sequences = with_overlap(sequences)
    return _SealedData(sequences.table, sequences.content, lambda rows: sequences.steps[rows])


def _table(document: dict[str, Any]) -> Table:
    data = document["data"]
    test_file = document["split"].get("test_file")
    files = [Path(data["path"]), *([Path(test_file)] if test_file else [])]
    for file in files:
        if not file.is_file():
            raise _gone(str(file))
    options = Options(data["target"], task=data["task"], seed=document["split"]["seed"])
    if "sampled" in data:
        sampled = sample_table(files[0], options, data["sampled"])
        if sampled.sha256 != data["sha256"]:
            raise _changed(str(files[0]))
        return sampled
    table, _ = read_table(files[0], options, files[1] if test_file else None)
    if table.sha256 != data["sha256"]:
        raise _changed(" or ".join(map(str, files)))
    return table


def _gone(path: str) -> UsageError:
    return UsageError(
        "An exam reads the sealed rows from the data files of the training",
        received=say("no file {path}", path=path),
        fix="put the file back, or run the command from the folder where you trained",
    )


def _changed(what: str) -> UsageError:
    return UsageError(
        "An exam reads the very rows that were sealed",
        received=say("{what} has changed since the training", what=what),
        fix="restore the file, or train again",
    )


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
