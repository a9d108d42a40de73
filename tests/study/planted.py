"""Tables whose columns are worth what they were planted with, and fold models whose nets are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

import soundfit as sf
from soundfit.study.fold_models import FoldModel
from soundfit.study.views import TableViews, table_views


def planted_frame(n: int, seed: int) -> pd.DataFrame:
    """Return columns that tell much, little and nothing, a category, a date, a yes/no, and the target."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "noise": rng.normal(size=n),
            "weak": rng.normal(size=n),
            "strong": rng.normal(size=n),
            "kind": rng.choice(["oak", "elm", "fir"], size=n),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "flag": rng.choice(["yes", "no"], size=n),
        }
    )
    level = frame["kind"].map({"oak": 1.0, "elm": 0.0, "fir": -1.0})
    frame["y"] = 2.0 * frame["strong"] + 0.5 * frame["weak"] + level + 0.5 * rng.normal(size=n)
    return frame


def planted_views(frame: pd.DataFrame, folds: int = 4, seed: int = 0) -> TableViews:
    """Return the views of a frame with the target y."""
    table = sf.read(frame, target="y")
    return table_views(table, sf.split(table, folds=folds, seed=seed))


class Weighted(nn.Module):
    """A net that is a sum of weights times matrix columns."""

    def __init__(self, views: TableViews, weights: dict[str, float]) -> None:
        super().__init__()
        names = views.encoders[0].feature_names
        assert set(weights) <= set(names)
        self.weight_F = torch.tensor([[weights.get(name, 0.0)] for name in names])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight_F


def known_models(views: TableViews, *weights: dict[str, float]) -> list[FoldModel]:
    """Return for each fold a model of nets with these weights, in equal shares."""
    modules = tuple(Weighted(views, w) for w in weights)
    return [
        FoldModel(
            views,
            k,
            fold.validation,
            views.data.inputs_VN[k][torch.from_numpy(fold.validation)],
            modules,
            (1.0 / len(modules),) * len(modules),
        )
        for k, fold in enumerate(views.folds)
    ]
