"""Backbone in a study: heads on the features of a pretrained net, and the whole net tuned from the best head.

Frozen features first: the net reads each picture once, and heads of every configuration and fold train on
what it said as one bank. Then the whole net, started from each fold's head (linear probing before
fine-tuning, Kumar et al. 2022), joins the same study, so that validation decides whether it pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.data.pictures import Pictures
from soundfit.models.backbone import (
    Backbone,
    TunedNet,
    backbone_features,
    backbone_multiply_adds,
    build_head,
    tuned_augment,
)
from soundfit.records import Config, Plan
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.pictures import ALLOWANCE, picture_epochs, thumbnails
from soundfit.study.prescriptions import join_studies
from soundfit.study.tensors import Family, TensorViews, rows_within, tensor_views
from soundfit.study.views import median_rows

__all__ = ["TUNED", "head_configurations", "head_views", "tune", "tuned_configurations"]

#: ``Config.model`` of a backbone that trained with its head.
TUNED = "tuned"
_OVERHEAD = 1e6
_MOST_STATISTICS = 10_000


def head_views(pictures: Pictures, plan: Plan, backbone: Backbone, *, device: torch.device) -> TensorViews:
    """Return views of the non-test pictures' features; sealed pictures are not read."""
    n_outputs = _outputs(pictures)
    n_train = median_rows(plan.folds)
    features = backbone_features(backbone, pictures.pixels, plan.train, device)
    d = backbone.n_features
    family = Family(
        build=partial(build_head, n_features=d, n_outputs=n_outputs),
        configurations=lambda model: head_configurations(n_train, d, backbone.name),
        cost=lambda config, rows: _cost(config, rows, backbone, pictures, n_outputs),
        statistics=lambda rows: _statistics(features, rows),
        features=lambda rows: thumbnails(pictures.pixels, rows),
    )
    return tensor_views(pictures.table, features, plan, family)


def head_configurations(n_train: int, n_features: int, name: str) -> tuple[Config, ...]:
    """Return the heads that ``train`` tries on D features: linear ones over decay, and small MLPs."""
    batch, epochs, _ = picture_epochs(n_train)
    base = Config(
        batch_size=batch, epochs=max(epochs, 20), options={"beta2": 0.98, "backbone": name}, patience=0
    )
    # A step moves a logit by up to the rate times the number of features.
    linear = base.with_(
        model="linear", width=0, depth=0, warmup=0.0, learning_rate=min(0.005, 1.5 / n_features)
    )
    mlp = base.with_(model="mlp", width=128, depth=1, learning_rate=0.02, dropout=0.3)
    return (
        *(linear.with_(weight_decay=decay) for decay in (0.02, 1.0, 10.0)),
        mlp.with_(weight_decay=0.1),
        mlp.with_(weight_decay=1.0, dropout=0.5),
    )


def tuned_configurations(head: Config, cost: float, folds: int, device: str) -> tuple[Config, ...]:
    """Return how the whole net is tuned: shifted, then also mirrored, as far as the allowance goes.

    Args:
        head: the chosen head.
        cost: of tuning one member for one epoch, in multiply-adds.
        folds: members a configuration.
        device: ``cpu`` or ``cuda``.
    """
    wanted = [
        head.with_(
            model=TUNED,
            epochs=10,
            batch_size=min(head.batch_size, 32),
            learning_rate=0.002,
            weight_decay=0.05,
            warmup=0.1,
            **options,
        )
        for options in ({"shift": 0.1}, {"shift": 0.1, "flip": 0.5})
    ]
    each = cost * folds * wanted[0].epochs
    return tuple(wanted[: int(ALLOWANCE[device] // max(each, 1.0))])


def tune(
    views: TensorViews,
    study: StudyRun,
    pictures: Pictures,
    plan: Plan,
    backbone: Backbone,
    *,
    seed: int,
    device: torch.device,
    hooks: Hooks,
) -> StudyRun:
    """Tune the whole net from the chosen head of each fold, where that is affordable, and choose again."""
    head = study.result.chosen_config
    n_train = median_rows(views.folds)
    price = _cost(head.with_(model=TUNED, epochs=1), n_train, backbone, pictures, views.n_outputs)
    configurations = tuned_configurations(head, price, len(views.folds), device.type)
    heads = {m.fold: o.module for m, o in study.outcomes_of(study.result.chosen)}
    if not configurations or len(heads) < len(views.folds) or hooks.over():
        return study
    whole = tuned_views(views, pictures, plan, backbone, heads)
    try:
        added = cross_validate_views(whole, configurations, seeds=(seed,), device=device, hooks=hooks)
    except ValueError:
        return study  # none got through all folds in the time left
    return join_studies(views, study, added)


def tuned_views(
    views: TensorViews, pictures: Pictures, plan: Plan, backbone: Backbone, heads: Mapping[int, nn.Module]
) -> TensorViews:
    """Return views of the pictures themselves, whose nets start from each fold's head."""

    def build(config: Config) -> nn.Module:
        head: Any = deepcopy(heads[int(config["fold"])])
        return TunedNet(deepcopy(backbone).requires_grad_(True), head, tuned_augment(config))

    family = replace(views.family, build=build, statistics=lambda rows: {})
    made = tensor_views(pictures.table, pictures.pixels, plan, family)
    return replace(made, statistics=tuple({"fold": k} for k in range(len(views.folds))))


def _statistics(features: NDArray[np.float32], rows: NDArray[np.int64]) -> Mapping[str, Any]:
    seen = features[rows_within(rows, _MOST_STATISTICS)].astype(np.float64)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    # What hardly varies is left where it is.
    floor = max(1e-3 * float(deviation.mean()), 1e-6)
    return {
        "feature_mean": tuple(float(v) for v in mean),
        "feature_sd": tuple(float(v) if v > floor else 1.0 for v in deviation),
    }


def _cost(config: Config, rows: int, backbone: Backbone, pictures: Pictures, n_outputs: int) -> float:
    """Return the multiply-adds of a member's training."""
    if config.model == TUNED:
        height, width, channels = pictures.pixels.shape[1:]
        each = backbone_multiply_adds(backbone.name, (height, width, channels))
    else:
        hidden = config.width if config.depth else n_outputs
        each = float(backbone.n_features * hidden + hidden * n_outputs * (config.depth > 0))
    batch = max(1, min(config.batch_size, rows))
    return config.epochs * max(1, rows // batch) * (3.0 * each * batch + _OVERHEAD)


def _outputs(pictures: Pictures) -> int:
    return len(pictures.table.classes) if pictures.table.task == "classification" else 1
