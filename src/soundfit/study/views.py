"""Views: a table's non-test rows as the bank reads them, one view per fold.

Each fold's encoder and target scale are fitted on that fold's training rows alone. Test rows are cut
off before anything is fitted: nothing here can see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from soundfit.bank import BankData, MemberRows
from soundfit.data.encoder import Encoder, fit_encoder
from soundfit.data.layout import Layout, plan_features
from soundfit.data.table import Table
from soundfit.data.target import TargetScale, Transform, choose_transform, fit_target
from soundfit.metrics.scores import Metric, metric_named
from soundfit.models.net import build
from soundfit.records import Config, Fold, Plan, StudyResult
from soundfit.study.grid import default_configurations
from soundfit.study.references import Views
from soundfit.study.rounds import cost

__all__ = [
    "StudyViews",
    "TableViews",
    "fitted_views",
    "median_rows",
    "softmax",
    "table_views",
    "trained_cost",
]


class StudyViews(Views, Protocol):
    """What a study asks of its data, whatever they are: a table's rows, pictures or sequences.

    ``table`` holds the non-test rows alone, with their targets; ``scales`` one target scale per fold
    (empty for classes). A member's module is ``build(member_config(config, fold))``: what is fitted on a
    fold's training rows and is no column of ``data`` (input statistics) joins its configuration there.
    """

    @property
    def table(self) -> Table: ...
    @property
    def scales(self) -> tuple[TargetScale, ...]: ...
    @property
    def n_outputs(self) -> int: ...
    def member_rows(
        self, fold: int, *, order_seed: int = 0, train: NDArray[np.int64] | None = None
    ) -> MemberRows:
        """Return a fold's rows for one member; with other training rows where they are given."""
        ...

    def member_config(self, config: Config, fold: int) -> Config:
        """Return a configuration with what is fitted on that fold's training rows."""
        ...

    def build(self, config: Config) -> nn.Module:
        """Build the module of a member's configuration."""
        ...

    def configurations(self, model: str) -> tuple[Config, ...]:
        """Return what ``train`` tries: all families for ``auto``, else one."""
        ...

    def cost(self, config: Config, n_train: int) -> float:
        """Return what a member costs to train on that many rows, in arbitrary units."""
        ...

    def reference_views(self) -> Views | None:
        """Return what other kinds of model read; None where they have nothing to say."""
        ...


@dataclass(frozen=True)
class TableViews:
    """What a study of a table works on.

    Attributes:
        table: the non-test rows alone, renumbered.
        folds: the plan's folds in those numbers.
        data: inputs (K, N, F) and targets, a view per fold.
        encoders: one per fold.
        scales: target scales, one per fold; empty for classification.
        transform: of the target, the same in all folds.
        metric: what configurations are chosen by.
    """

    table: Table
    folds: tuple[Fold, ...]
    data: BankData
    encoders: tuple[Encoder, ...]
    scales: tuple[TargetScale, ...]
    transform: Transform
    metric: Metric

    @property
    def target(self) -> NDArray[Any]:
        """The non-test rows' targets (N,) in their own unit, or class codes."""
        return self.table.target

    @property
    def n_inputs(self) -> int:
        """F, the matrix columns."""
        return self.data.inputs_VN.shape[2]

    @property
    def numeric(self) -> tuple[int, ...]:
        """The matrix columns that are continuous and vary in every fold's training rows."""
        varies = np.all([e.active for e in self.encoders], axis=0)
        return tuple(int(i) for i in np.flatnonzero(self.encoders[0].numeric & varies))

    @property
    def n_outputs(self) -> int:
        """C: 1 for regression, the number of classes otherwise."""
        return len(self.table.classes) if self.table.task == "classification" else 1

    @property
    def loss(self) -> str:
        """The training loss by name."""
        return "cross_entropy" if self.table.task == "classification" else "mse"

    def member_rows(
        self, fold: int, *, order_seed: int = 0, train: NDArray[np.int64] | None = None
    ) -> MemberRows:
        """Return a fold's rows for one member; with other training rows where they are given."""
        f = self.folds[fold]
        return MemberRows(fold, f.train if train is None else train, f.validation, order_seed * 1_000 + fold)

    def member_config(self, config: Config, fold: int) -> Config:
        """Return the configuration as it is: a table's preprocessing is in its views."""
        return config

    def build(self, config: Config) -> nn.Module:
        """Build the net of a configuration."""
        return build(config, self.n_inputs, self.n_outputs)

    def configurations(self, model: str) -> tuple[Config, ...]:
        """Return what ``train`` tries on this table."""
        return default_configurations(median_rows(self.folds), model=model, numeric=self.numeric)

    def cost(self, config: Config, n_train: int) -> float:
        """Return what a member costs to train, in arbitrary units."""
        return cost(config, self.n_inputs, n_train)

    def reference_views(self) -> TableViews:
        """Return the views themselves: other kinds of model read the same columns."""
        return self

    def predictions(self, fold: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn raw outputs (n, C) of a fold's member into predictions (n,) or probabilities (n, C)."""
        if self.table.task == "classification":
            return softmax(outputs)
        return self.scales[fold].inverse(outputs[:, 0])


def median_rows(folds: Sequence[Fold]) -> int:
    """Return the median number of training rows of the folds."""
    return int(np.median([len(f.train) for f in folds]))


def trained_cost(views: StudyViews, result: StudyResult) -> float:
    """Return what a study's members cost, in the units of ``views.cost``, by the epochs that they ran."""
    n_train = median_rows(views.folds)
    return sum(views.cost(m.member.config.with_(epochs=max(m.epochs, 1)), n_train) for m in result.members)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of logits (…, C), in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def table_views(table: Table, plan: Plan) -> TableViews:
    """Cut off the test rows, renumber the folds, and fit each fold's preprocessing on its training rows."""
    rows = plan.train
    seen = table.take(rows)
    position = np.full(plan.n_rows, -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    folds = tuple(Fold(position[f.train], position[f.validation]) for f in plan.folds)
    every = np.arange(len(seen))
    transform = "identity" if seen.task == "classification" else choose_transform(seen.target, every)
    return fitted_views(seen, folds, plan_features(seen, every), transform)


def fitted_views(table: Table, folds: tuple[Fold, ...], layout: Layout, transform: Transform) -> TableViews:
    """Return a view per fold, its preprocessing fitted on the fold's training rows.

    Args:
        table: the non-test rows alone, renumbered.
        folds: in those numbers.
        layout: the features.
        transform: of the target; ``identity`` for classes.
    """
    encoders = tuple(fit_encoder(layout, table.frame, f.train) for f in folds)
    inputs = np.stack([encoder.transform(table.frame) for encoder in encoders])
    if table.task == "classification":
        targets = np.stack([table.target.astype(np.int64)] * len(folds))
        return TableViews(
            table, folds, BankData.of(inputs, targets), encoders, (), transform, metric_named("log_loss")
        )
    scales = tuple(fit_target(table.target, f.train, transform) for f in folds)
    targets = np.stack([s.forward(table.target)[:, None] for s in scales]).astype(np.float32)
    # On a logarithmic scale errors are proportional to the target, and so they are scored.
    metric = metric_named("rmse_log" if transform == "log" else "rmse")
    return TableViews(table, folds, BankData.of(inputs, targets), encoders, scales, transform, metric)
