"""PicturePredictor: fold members of the chosen configuration, or of a blend, as one model on pictures.

Reads files, folders, tables of paths, arrays, or Pillow pictures; scales them as in training. Class
probabilities (or values) of the members are averaged. Knows no scores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from soundfit.artifact.on_device import device_of
from soundfit.data.picture_arrays import as_pictures
from soundfit.data.picture_batch import PictureBatch, read_batch
from soundfit.data.picture_decode import from_image
from soundfit.data.target import TargetScale
from soundfit.models.backbone import Backbone, TunedNet, build_head, tuned_augment
from soundfit.models.conv import build_picture_net
from soundfit.records import Config
from soundfit.study.backbone import TUNED
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import with_temperature

__all__ = ["PicturePredictor", "build_picture_predictor"]

_ELEMENTS_A_PASS = 512 * 28 * 28

Source = str | os.PathLike[str] | Image.Image | NDArray[Any] | Iterable[Any] | PictureBatch


@dataclass(frozen=True)
class PicturePredictor:
    """An ensemble of K members on pictures.

    Attributes:
        config: the chosen configuration.
        modules: K nets in evaluation mode, bytes (B, H, W, C) in; heads where there is a ``backbone``.
        shape: (H, W, C) to which pictures are brought.
        scales: target scales, one per member; empty for classification.
        task, target, classes: as in the table.
        temperature: of class probabilities.
        interval: of predictions, on the scale of training; None for classification.
        backbone: the frozen net whose features the members read; None where each is a whole net.
        configs: each member's configuration; empty where all have ``config``.
        weights: each member's share, summing to 1; empty for equal shares.
    """

    config: Config
    modules: tuple[nn.Module, ...]
    shape: tuple[int, int, int]
    scales: tuple[TargetScale, ...]
    task: str
    target: str
    classes: tuple[Any, ...]
    temperature: float = 1.0
    interval: PredictionInterval | None = None
    backbone: Backbone | None = None
    configs: tuple[Config, ...] = ()
    weights: tuple[float, ...] = ()

    kind = "image"

    def read(self, source: Source) -> PictureBatch:
        """Return pictures as :meth:`predict` reads them.

        Args:
            source: a file, a folder (all pictures in it), a table with a column of paths, an idx or npz
                file; a Pillow picture, an array (N, H, W[, C]), or several paths or Pillow pictures.

        Raises:
            DataError: no such file, or no pictures.
        """
        if isinstance(source, PictureBatch):
            return source
        if isinstance(source, Image.Image):
            return self._of_images([source])
        if isinstance(source, np.ndarray):
            pictures = as_pictures(source, "array")
            return self._of_images([Image.fromarray(p[..., 0] if p.shape[2] == 1 else p) for p in pictures])
        if isinstance(source, str | os.PathLike):
            return read_batch(Path(source), self.shape)
        items = list(source)
        if all(isinstance(item, Image.Image) for item in items):
            return self._of_images(items)
        return read_batch([Path(item) for item in items], self.shape)

    def outputs(self, pictures: PictureBatch | NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return probabilities (N, C), or values (N,) in target units; NaN for broken pictures."""
        mean = self._mean(pictures)
        return mean if self.task == "classification" else self._unit.inverse(mean)

    def bounds(
        self, pictures: PictureBatch | NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return lower and upper bounds (N,) of the targets in their unit; None without an interval."""
        return self._bounds(self._mean(pictures)) if self.interval is not None else None

    def outputs_with_bounds(
        self, pictures: PictureBatch | NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]] | None]:
        """Return :meth:`outputs` of a regression and :meth:`bounds`, by one pass through the members."""
        mean = self._mean(pictures)
        return self._unit.inverse(mean), self._bounds(mean) if self.interval is not None else None

    def predict(self, source: Source) -> pd.DataFrame:
        """Return one row per picture: ``file``, ``prediction``, then bounds or ``probability_<class>``.

        A broken picture has a row without values; ``problem`` says what is wrong, where any is broken.
        """
        batch = self.read(source)
        mean = self._mean(batch)
        columns: dict[str, Any] = {"file": list(batch.files)}
        if self.task == "classification":
            labels = np.empty(len(self.classes), dtype=object)
            labels[:] = self.classes
            known = np.nan_to_num(mean, nan=-1.0).argmax(axis=1)
            named = labels[known]
            named[list(batch.broken)] = None
            columns["prediction"] = named
            for c, label in enumerate(self.classes):
                columns[f"probability_{label}"] = mean[:, c]
        else:
            columns["prediction"] = self._unit.inverse(mean)
            if self.interval is not None:
                columns["low"], columns["high"] = self._bounds(mean)
        if batch.broken:
            columns["problem"] = [batch.broken.get(i, "") for i in range(len(batch.files))]
        return pd.DataFrame(columns).infer_objects()

    @property
    def shares(self) -> tuple[float, ...]:
        """Each member's share of the mean, summing to 1."""
        return self.weights or (1.0 / len(self.modules),) * len(self.modules)

    @property
    def _unit(self) -> TargetScale:
        """The members' common scale: the transform alone."""
        low, high = min(s.low for s in self.scales), max(s.high for s in self.scales)
        return replace(self.scales[0], mean=0.0, sd=1.0, low=low, high=high)

    def _bounds(self, mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert self.interval is not None
        low, high = self.interval.bounds(mean)
        return self._unit.inverse(low), self._unit.inverse(high)

    def _mean(self, pictures: PictureBatch | NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the members' mean: probabilities (N, C), or transformed values (N,); NaN for broken ones."""
        pixels = pictures.pixels if isinstance(pictures, PictureBatch) else pictures
        n_outputs = len(self.classes) if self.task == "classification" else 1
        mean = np.zeros((len(pixels), n_outputs))
        size = self.shape if self.backbone is None else (*self.backbone.size, 3)
        rows = max(1, _ELEMENTS_A_PASS // max(int(np.prod(size)), 1))
        with torch.inference_mode():
            for start in range(0, len(pixels), rows):
                part = torch.from_numpy(np.array(pixels[start : start + rows])).to(device_of(self.modules[0]))
                seen = part if self.backbone is None else self.backbone(part)
                for module, share in zip(self.modules, self.shares, strict=True):
                    mean[start : start + rows] += share * self._member(module(seen).double().cpu())
        if isinstance(pictures, PictureBatch):
            mean[list(pictures.broken)] = np.nan
        return mean if self.task == "classification" else mean[:, 0]

    def _of_images(self, images: Sequence[Image.Image]) -> PictureBatch:
        pixels = [from_image(image, *self.shape) for image in images]
        names = tuple(str(getattr(im, "filename", "") or f"picture {i}") for i, im in enumerate(images))
        stacked = np.stack(pixels) if pixels else np.zeros((0, *self.shape), dtype=np.uint8)
        return PictureBatch(names, stacked, {})

    def _member(self, outputs: torch.Tensor) -> NDArray[np.float64]:
        if self.task != "classification":
            values: NDArray[np.float64] = outputs.numpy()
            return values
        shares = torch.softmax(outputs, dim=1).numpy()
        return shares if self.temperature == 1.0 else with_temperature(shares, self.temperature)


def build_picture_predictor(
    config: Config,
    states: Sequence[dict[str, torch.Tensor]],
    *,
    shape: tuple[int, ...],
    scales: Sequence[TargetScale],
    task: str,
    target: str,
    classes: Sequence[Any],
    temperature: float = 1.0,
    interval: PredictionInterval | None = None,
    backbone: Backbone | None = None,
    configs: Sequence[Config] = (),
    weights: Sequence[float] = (),
) -> PicturePredictor:
    """Build the members' nets and load their weights and statistics.

    With a ``backbone`` members are heads on its features, or where the configuration says so all of it tuned.
    ``configs`` are each member's own where they differ.

    Raises:
        UsageError: timm is missing where it is needed.
        RuntimeError: weights do not fit the architecture.
    """
    height, width, channels = shape
    n_outputs = len(classes) if task == "classification" else 1
    modules = []
    for state, own in zip(states, configs or (config,) * len(states), strict=True):
        module: nn.Module
        if backbone is None:
            module = build_picture_net(own, (height, width, channels), n_outputs)
        else:
            module = build_head(own, backbone.n_features, n_outputs)
            if own.model == TUNED:
                module = TunedNet(deepcopy(backbone), module, tuned_augment(own))
        module.load_state_dict(state)
        modules.append(module.eval().requires_grad_(False))
    return PicturePredictor(
        config,
        tuple(modules),
        (height, width, channels),
        tuple(scales),
        task,
        target,
        tuple(classes),
        temperature,
        interval,
        # A tuned member holds its own.
        backbone.eval().requires_grad_(False) if backbone is not None and config.model != TUNED else None,
        tuple(configs),
        tuple(weights),
    )
