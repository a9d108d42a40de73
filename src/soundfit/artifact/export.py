"""Export: a run's model as one file for other programs, raw columns or steps in."""

from __future__ import annotations

from pathlib import Path

from soundfit.artifact.predictor import Predictor
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.artifact.store import load_predictor
from soundfit.errors import UsageError, did_you_mean
from soundfit.records.said import say

__all__ = ["FORMATS", "export_run"]

#: Formats and the usual ending of their files.
FORMATS = {"onnx": ".onnx", "torch": ".pt2"}


def export_run(run: str | Path, format_name: str, output: Path | None = None) -> Path:
    """Write a run's model and return the file.

    Args:
        run: the run folder.
        format_name: ``onnx`` or ``torch``.
        output: file to write; ``model.onnx`` or ``model.pt2`` in the run folder if None.

    Raises:
        UsageError: no such run or format, a model that cannot be exported, or a place that cannot be
            written.
    """
    if format_name not in FORMATS:
        raise UsageError(
            "A model is exported as onnx or torch",
            received=say("--format {format_name}", format_name=format_name),
            fix=did_you_mean(format_name, FORMATS),
        )
    path = output if output is not None else Path(run) / f"model{FORMATS[format_name]}"
    if path.is_dir():
        file = path / f"model{FORMATS[format_name]}"
        raise UsageError(
            "An export is one file",
            received=say("-o {path}, a folder", path=path),
            fix=say("write -o {file}", file=file),
        )
    predictor = load_predictor(run)
    if format_name == "onnx" and isinstance(predictor, Predictor | SequencePredictor):
        from soundfit.artifact.onnx import save_onnx

        save_onnx(predictor, path)
    elif format_name == "torch" and isinstance(predictor, Predictor):
        from soundfit.artifact.torch_program import save_torch

        save_torch(predictor, path)
    else:
        raise UsageError(
            "Export knows models on tables, and in the format onnx on sequences",
            received=say(
                "--format {format} and {run}, a model of kind {kind!r}",
                format=format_name,
                run=run,
                kind=predictor.kind,
            ),
            fix="predict with soundfit predict or soundfit serve",
        )
    return path
