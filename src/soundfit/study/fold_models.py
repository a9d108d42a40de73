"""FoldModel: the final model as one fold's members make it, asked about rows that they never trained on.

The members of a blend that share a fold predict its validation rows together. Inputs are that fold's encoded
rows, so a value of a table's column may be changed by changing its matrix columns.

K folds, n validation rows of one fold, F matrix columns, C classes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soundfit.metrics.scores import MeanMetric
from soundfit.study.blend import Blend
from soundfit.study.cross_validation import StudyRun
from soundfit.study.views import TableViews

__all__ = ["FoldModel", "columns_of", "fold_models", "row_losses"]

_ROWS_A_PASS = 8192


@dataclass(frozen=True)
class FoldModel:
    """One fold's members as one model.

    Attributes:
        views: what the study works on.
        fold: position of the fold.
        rows: positions (n,) of the validation rows that it is asked about.
        inputs_nF: those rows, encoded by statistics of the fold's training rows.
        modules, weights: the members' nets, and their shares, summing to 1.
    """

    views: TableViews
    fold: int
    rows: NDArray[np.int64]
    inputs_nF: Tensor
    modules: tuple[nn.Module, ...]
    weights: tuple[float, ...]

    def predict(self, inputs: Tensor) -> NDArray[np.float64]:
        """Return predictions (n,) in target units, or probabilities (n, C), of encoded rows (n, F)."""
        total: NDArray[np.float64] | float = 0.0
        by_class = self.views.table.task == "classification"
        with torch.inference_mode():
            for module, weight in zip(self.modules, self.weights, strict=True):
                raw = torch.cat([module(part) for part in inputs.split(_ROWS_A_PASS)])
                outputs = raw.double().cpu().numpy()
                # Values are averaged on the scale of training, as the final model does.
                total = total + weight * (self.views.predictions(self.fold, outputs) if by_class else outputs)
        mean = np.asarray(total)
        return mean if by_class else self.views.predictions(self.fold, mean)


def fold_models(
    views: TableViews,
    study: StudyRun,
    blend: Blend,
    *,
    most_rows: int | None = None,
    seed: int = 0,
    device: torch.device | None = None,
) -> list[FoldModel]:
    """Return the model of each fold that validates two rows or more.

    Args:
        views, study: members and what they were trained on.
        blend: which configurations speak, and how loudly.
        most_rows: a random sample of about so many validation rows over all folds; all if None.
        seed: of that sample.
        device: where predictions are made.
    """
    device = device or torch.device("cpu")
    n_all = sum(len(f.validation) for f in views.folds)
    share = 1.0 if most_rows is None else min(most_rows / max(n_all, 1), 1.0)
    rng = np.random.default_rng(seed)
    spoken = [
        (weight, study.outcomes_of(c)) for c, weight in zip(blend.configurations, blend.weights, strict=True)
    ]
    models = []
    for k, fold in enumerate(views.folds):
        modules: list[nn.Module] = []
        weights: list[float] = []
        for weight, pairs in spoken:
            mine = [outcome.module for member, outcome in pairs if member.fold == k]
            modules += [_on(module, device) for module in mine]
            weights += [weight / len(mine)] * len(mine)
        rows = _sample(fold.validation, share, rng)
        if len(rows) < 2 or not modules:
            continue
        inputs = views.data.inputs_VN[k][torch.from_numpy(rows)].to(device)
        whole = sum(weights)
        models.append(FoldModel(views, k, rows, inputs, tuple(modules), tuple(w / whole for w in weights)))
    return models


def _sample(rows: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    n = min(max(int(np.ceil(share * len(rows))), 2), len(rows))
    return rows if n == len(rows) else np.sort(rng.choice(rows, n, replace=False))


def _on(module: nn.Module, device: torch.device) -> nn.Module:
    return module if device.type == "cpu" else copy.deepcopy(module).to(device)


def columns_of(views: TableViews) -> dict[str, slice]:
    """Return, for each table column that models read, its matrix columns."""
    places: dict[str, slice] = {}
    start = 0
    for block in views.encoders[0].layout.blocks:
        places[block.column] = slice(start, start + len(block.names))
        start += len(block.names)
    return places


def row_losses(model: FoldModel, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the losses (n,) of predictions of the model's rows: the metric is their mean, or its root."""
    metric = model.views.metric
    assert isinstance(metric, MeanMetric)
    return metric.row_statistics(model.views.target[model.rows], predictions)[:, 0]
