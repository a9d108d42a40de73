"""ONNX: a predictor as one file that any ONNX Runtime reads, preprocessing included."""

from soundfit.artifact.onnx.program import onnx_model, save_onnx

__all__ = ["onnx_model", "save_onnx"]
