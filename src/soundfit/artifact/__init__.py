"""Saved models: one predictor on raw columns or pictures, on disk and back."""

from soundfit.artifact.any_predictor import AnyPredictor
from soundfit.artifact.picture_predictor import PicturePredictor
from soundfit.artifact.predictor import Predictor, build_predictor
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.artifact.store import load_predictor, save_predictor

__all__ = [
    "AnyPredictor",
    "PicturePredictor",
    "Predictor",
    "SequencePredictor",
    "build_predictor",
    "load_predictor",
    "save_predictor",
]
