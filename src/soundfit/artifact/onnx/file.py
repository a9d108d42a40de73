"""File: a predictor of any kind that ONNX can hold, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from soundfit.artifact.onnx.program import onnx_model
from soundfit.artifact.onnx.sequences import sequence_model
from soundfit.artifact.predictor import Predictor
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.artifact.whole import write_whole

__all__ = ["save_onnx"]


def save_onnx(predictor: Predictor | SequencePredictor, path: Path) -> None:
    """Write the model whole or not at all.

    Raises:
        UsageError: a net that cannot be exported, or a place that cannot be written.
    """
    made = onnx_model(predictor) if isinstance(predictor, Predictor) else sequence_model(predictor)
    write_whole(path, made.SerializeToString())
