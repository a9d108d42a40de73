"""ONNX: a predictor as one file that any ONNX Runtime reads, preprocessing included."""

from soundfit.artifact.onnx.file import save_onnx
from soundfit.artifact.onnx.program import onnx_model
from soundfit.artifact.onnx.sequences import sequence_model

__all__ = ["onnx_model", "save_onnx", "sequence_model"]
