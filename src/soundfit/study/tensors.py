"""Tensor views: examples that are tensors (pictures, sequences), shared by all members without a copy.

All members read one tensor; each has its own rows in it. What is fitted on a fold's training rows (means
and deviations of inputs and of a regression target) goes into each member's module as buffers, by way of
its configuration. Test rows lie in the tensor, but no member's rows name them, and their targets are
blanked.

N examples in all, K folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.bank import BankData, MemberRows, MixedCrossEntropy, ScaledSquaredError
from soundfit.data.table import Table
from soundfit.data.target import TargetScale, Transform, choose_transform, fit_target
from soundfit.metrics.scores import Metric, metric_named
from soundfit.records import Config, Fold, Plan
from soundfit.study.halving import Halving
from soundfit.study.references import Views
from soundfit.study.views import softmax

__all__ = ["Family", "FeatureViews", "TensorViews", "tensor_views"]


@dataclass(frozen=True)
class Family:
    """What is peculiar to one kind of tensor.

    Attributes:
        build: a member's module from its configuration.
        configurations: what ``train`` tries, by the value of ``--model``.
        cost: of a member, by its configuration and number of training rows, in arbitrary units.
        statistics: options that are fitted on training rows (positions in all N), for each fold.
        halving: how configurations race where ``train`` chooses among them; the default race if None.
        features: few columns (n, F) of these rows for other kinds of model; None where there are none.
    """

    build: Callable[[Config], nn.Module]
    configurations: Callable[[str], tuple[Config, ...]]
    cost: Callable[[Config, int], float]
    statistics: Callable[[NDArray[np.int64]], Mapping[str, Any]]
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]] | None = None
    halving: Halving | None = None


@dataclass(frozen=True)
class TensorViews:
    """What a study of tensors works on; see :class:`soundfit.study.views.StudyViews`.

    Attributes:
        table: the non-test rows alone, renumbered; ``rows`` are their positions among all N.
        folds: the plan's folds in those numbers.
        data: one view of all N examples.
        scales: target scales, one per fold; empty for classification.
        transform: of the target, the same in all folds.
        statistics: per fold, what joins each member's configuration.
    """

    table: Table
    rows: NDArray[np.int64]
    folds: tuple[Fold, ...]
    data: BankData
    scales: tuple[TargetScale, ...]
    transform: Transform
    metric: Metric
    statistics: tuple[Mapping[str, Any], ...]
    family: Family

    @property
    def target(self) -> NDArray[Any]:
        """The non-test rows' targets (n,) in their own unit, or class codes."""
        return self.table.target

    @property
    def n_outputs(self) -> int:
        """C: 1 for regression, the number of classes otherwise."""
        return len(self.table.classes) if self.table.task == "classification" else 1

    @property
    def loss(self) -> Any:
        """The training loss: cross-entropy that follows mixed examples, or squared error."""
        if self.table.task == "classification":
            return MixedCrossEntropy(self.n_outputs)
        return ScaledSquaredError(float(np.mean([s.sd for s in self.scales])))

    def member_rows(
        self, fold: int, *, order_seed: int = 0, train: NDArray[np.int64] | None = None
    ) -> MemberRows:
        """Return a fold's rows for one member, or of the fold's validation rows and these training rows."""
        f = self.folds[fold]
        own = self.rows[f.train if train is None else train]
        return MemberRows(0, own, self.rows[f.validation], order_seed * 1_000 + fold)

    def member_config(self, config: Config, fold: int) -> Config:
        """Return a configuration with the statistics of that fold's training rows."""
        given: dict[str, Any] = dict(self.statistics[fold])
        if self.scales:
            given |= {"target_mean": self.scales[fold].mean, "target_sd": self.scales[fold].sd}
        return config.with_(**given) if given else config

    def build(self, config: Config) -> nn.Module:
        """Build a member's module."""
        return self.family.build(config)

    def configurations(self, model: str) -> tuple[Config, ...]:
        """Return what ``train`` tries."""
        return self.family.configurations(model)

    @property
    def halving(self) -> Halving:
        """How configurations race."""
        return self.family.halving or Halving()

    def cost(self, config: Config, n_train: int) -> float:
        """Return what a member costs to train."""
        return self.family.cost(config, n_train)

    def predictions(self, fold: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn raw outputs (n, C) of a fold's member into predictions (n,) or probabilities (n, C)."""
        if self.table.task == "classification":
            return softmax(outputs)
        scale = self.scales[fold]
        return scale.inverse((outputs[:, 0] - scale.mean) / scale.sd)

    def reference_views(self) -> Views | None:
        """Return views of a few columns of each example; None where the family has none."""
        if self.family.features is None:
            return None
        return FeatureViews(self, self.family.features(self.rows))


class FeatureViews:
    """A few columns (n, F) of each example, with the targets and folds of its tensors."""

    def __init__(self, views: TensorViews, features: NDArray[np.float32]) -> None:
        self._views = views
        target = views.data.targets_VN[:, torch.from_numpy(views.rows)]
        self.data = BankData.of(features[None], target)
        self.folds, self.target, self.metric = views.folds, views.target, views.metric
        self.loss = "cross_entropy" if views.table.task == "classification" else "mse"

    def predictions(self, fold: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn raw outputs into predictions or probabilities."""
        return self._views.predictions(fold, outputs)


def tensor_views(table: Table, inputs: NDArray[Any], plan: Plan, family: Family) -> TensorViews:
    """Renumber the folds of the non-test rows and fit each fold's statistics on its training rows.

    Args:
        table: of all N examples.
        inputs: (N, …), shared by all members, not copied.
        plan: of the table.
        family: of the tensors.
    """
    rows = plan.train
    seen = table.take(rows)
    position = np.full(plan.n_rows, -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    folds = tuple(Fold(position[f.train], position[f.validation]) for f in plan.folds)
    statistics = tuple(family.statistics(f.train) for f in plan.folds)
    shared = torch.from_numpy(inputs)[None]
    if seen.task == "classification":
        codes = np.zeros(plan.n_rows, dtype=np.int64)
        codes[rows] = seen.target
        data = BankData(shared, torch.from_numpy(codes)[None])
        return TensorViews(
            seen, rows, folds, data, (), "identity", metric_named("log_loss"), statistics, family
        )
    transform = choose_transform(seen.target, np.arange(len(seen)))
    scales = tuple(fit_target(seen.target, f.train, transform) for f in folds)
    metric = metric_named("rmse_log" if transform == "log" else "rmse")
    # Members see the transformed target in its own unit; their modules know mean and deviation.
    values = np.zeros((plan.n_rows, 1), dtype=np.float32)
    values[rows, 0] = scales[0].forward(seen.target) * scales[0].sd + scales[0].mean
    data = BankData(shared, torch.from_numpy(values)[None])
    return TensorViews(seen, rows, folds, data, scales, transform, metric, statistics, family)


def rows_within(rows: NDArray[np.int64], most: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return at most so many of these rows, drawn and ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
