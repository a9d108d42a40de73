"""Run: what one training leaves behind, in memory and as a folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from soundfit.artifact import AnyPredictor, save_predictor
from soundfit.data.split import split_frame
from soundfit.data.table import Table
from soundfit.integrations.training_log import training_log, write_log
from soundfit.records import Plan, StudyResult, Verdict
from soundfit.report.html import write_report
from soundfit.workflow import record as records
from soundfit.workflow.folder import check_free, whole_folder, write_record

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        document: the content of ``run.json``.
        predictor: the final model.
        table, plan, result: what it was trained on and how.
        verdict: what the evidence says about the fit.
        path: the run folder, once saved.
        remarks: what the ledger had to say at the exam.
        interrupted: whether training was ended early by the user.
        write_more: writes what a kind of data adds to the run folder, for the report.
    """

    document: dict[str, Any]
    predictor: AnyPredictor
    table: Table
    plan: Plan
    result: StudyResult
    verdict: Verdict
    path: Path | None = None
    remarks: tuple[str, ...] = ()
    interrupted: bool = False
    write_more: Callable[[Path], None] | None = None

    @property
    def exam(self) -> dict[str, Any] | None:
        """The exam's record, or None while the test rows are sealed."""
        exam: dict[str, Any] | None = self.document["exam"]
        return exam

    def predict(self, data: str | Path | pd.DataFrame) -> pd.DataFrame:
        """Predict rows of a table file or frame (the target column may be there or not), or pictures.

        Raises:
            DataError: a column that the model reads is missing.
        """
        return self.predictor.predict(self.predictor.read(data))

    def save(self, path: str | Path, *, lang: str = "en") -> Run:
        """Write the run folder (all of it or nothing) and return the run with its ``path``.

        Args:
            path: a new or empty folder.
            lang: language of the report.

        Raises:
            UsageError: the folder is not empty or cannot be written.
        """
        check_free(Path(path))
        return self.write(Path(path), lang=lang)

    def log(self, tracker: str) -> Run:
        """Tell ``tensorboard`` or ``mlflow`` of a saved run; a remark says where it went, or why not."""
        assert self.path is not None, "a run is saved before it is logged"
        log = training_log(self.document, self.result, name=self.path.name, finished=not self.interrupted)
        try:
            remark = f"Logged to {write_log(tracker, log, self.path)}."
        except Exception as error:
            # A server may be away; the training is through and on disk.
            remark = f"The run is saved, but {tracker} could not be told: {type(error).__name__}: {error}"
        return replace(self, remarks=(*self.remarks, remark))

    def write(self, out: Path, *, lang: str = "en") -> Run:
        """Write the run folder into a place that is free, or that this training holds unfinished."""
        with whole_folder(out) as folder:
            save_predictor(self.predictor, folder / "model")
            split_frame(self.plan, self.table).to_parquet(folder / "split.parquet", index=False)
            tables = {
                "predictions": records.predictions_frame(self.table, self.plan, self.result),
                "trace": records.trace_frame(self.result),
                "members": records.members_frame(self.result),
            }
            for name, frame in tables.items():
                frame.to_parquet(folder / f"{name}.parquet", index=False)
            write_record(folder, self.document)
            try:
                if self.write_more is not None:
                    self.write_more(folder)
                write_report(folder, lang=lang, name=out.absolute().name)
            except Exception as error:
                # The report can be written again; the training cannot.
                warnings.warn(f"the report could not be written: {error}", RuntimeWarning, stacklevel=2)
        return replace(self, path=out)
