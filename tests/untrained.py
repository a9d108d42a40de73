"""Predictors made without training: real tables, fitted preprocessing, random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from soundfit.artifact import Predictor
from soundfit.data.encoder import fit_encoder
from soundfit.data.layout import plan_features
from soundfit.data.profile import profile_columns
from soundfit.data.source import read
from soundfit.data.target import choose_transform, fit_target
from soundfit.models.net import build
from soundfit.records import Config
from soundfit.study.prediction_interval import fit_interval

TABLES = {
    "ames": "Sale_Price",
    "hitters": "Salary",
    "concrete": "compressive_strength",
    "bikeshare": "bikers",
    "penguins": "species",
    "credit_data": "Status",
}
CONFIGS = {
    "linear": Config(model="linear", depth=0),
    "mlp": Config(model="mlp", width=16, depth=2, dropout=0.1),
    "waves": Config(model="mlp", width=16, depth=1, options={"activation": "silu"}),
    "resmlp": Config(model="resmlp", width=16, depth=2, options={"activation": "gelu"}),
    "infinite": Config(model="infinite", depth=2, options={"landmarks": 30, "trained": "all"}),
}


def every_kind(n=400, seed=0):
    """A table with every kind of column, each with missing values, and a positive skewed target."""
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    times = pd.Timestamp("2019-05-03 06:00") + pd.to_timedelta(rng.integers(0, 9_000_000, n), unit="s")
    frame = pd.DataFrame(
        {
            "size m²": rng.lognormal(3, 1, n).round(2),
            "rooms": rng.integers(1, 9, n).astype(float),
            "district": rng.choice(["north end", "south", 'O\'Hare, "west"', "東"], n),
            "pair": rng.choice(["left", "right"], n),
            "street": rng.choice([f"s{i}" for i in range(90)], n),
            "garden": rng.choice(["yes", "no"], n),
            "sold": days.strftime("%Y-%m-%d"),
            "listed": times.strftime("%d.%m.%Y %H:%M"),
            "price": np.exp(rng.normal(5, 1, n)).round(2),
        }
    )
    for name in ("size m²", "rooms", "district", "garden", "sold"):
        frame[name] = frame[name].mask(rng.random(n) < 0.1)
    return frame


def make_predictor(frame, target, kind, *, folds=3, seed=0) -> Predictor:
    """An ensemble over random thirds of the rows with random weights; nothing is trained."""
    table = read(frame, target=target)
    rng = np.random.default_rng(seed)
    layout = plan_features(table, np.arange(len(table)))
    rows = [rng.permutation(len(table))[: len(table) // 2] for _ in range(folds)]
    encoders = tuple(fit_encoder(layout, table.frame, r) for r in rows)
    kinds = ["linear", "waves", "infinite", "resmlp"] if kind == "blend" else [kind]
    encoders *= len(kinds)
    varies = np.all([e.active for e in encoders], axis=0) & layout.numeric
    waves = CONFIGS["waves"].with_(periodic=np.flatnonzero(varies).tolist())
    configs = [waves if name == "waves" else CONFIGS[name] for name in kinds for _ in rows]
    weights = rng.dirichlet(np.ones(len(configs)))
    n_outputs = len(table.classes) if table.classes else 1
    torch.manual_seed(seed)
    modules = []
    for config in configs:
        module = build(config, len(layout.feature_names), n_outputs)
        for parameter in module.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        for name, buffer in module.named_buffers():
            if name == "landmarks":
                buffer += torch.randn_like(buffer)
        modules.append(module.eval().requires_grad_(False))
    scales, interval = (), None
    if table.task == "regression":
        transform = choose_transform(table.target, np.arange(len(table)))
        scales = tuple(fit_target(table.target, r, transform) for r in rows) * len(kinds)
        unit = replace(scales[0], mean=0.0, sd=1.0)
        y = unit.forward(table.target)
        interval = fit_interval(y, y + rng.normal(size=len(y)) * y.std())
    return Predictor(
        configs[0],
        tuple(modules),
        encoders,
        scales,
        table.task,
        target,
        table.classes,
        interval,
        temperature=1.0 if table.task == "regression" else 1.7,
        configs=tuple(configs),
        weights=tuple(weights.tolist()),
        profile=profile_columns(table),
    )


def read_table(name, tables, ames_csv):
    """Return (frame, target) of a development table, or of the table with every kind of column."""
    if name == "every kind":
        return every_kind(), "price"
    return pd.read_csv(ames_csv if name == "ames" else tables / f"{name}.csv"), TABLES[name]
