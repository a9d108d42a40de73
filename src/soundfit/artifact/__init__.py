"""Saved models: one predictor on raw columns, on disk and back."""

from soundfit.artifact.predictor import Predictor, build_predictor
from soundfit.artifact.store import load_predictor, save_predictor

__all__ = ["Predictor", "build_predictor", "load_predictor", "save_predictor"]
