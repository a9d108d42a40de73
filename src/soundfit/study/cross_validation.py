"""Cross-validation: folds × configurations × seeds as members, their scores, and the choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.bank import Outcome, Standing, train_members
from soundfit.data.table import Table
from soundfit.metrics.scores import MeanMetric, Metric, metric_named
from soundfit.records import Config, Fold, Member, MemberResult, Plan, StudyResult
from soundfit.records.said import joined, say
from soundfit.study.arrays import ArrayViews, array_views
from soundfit.study.grid import expand_grid
from soundfit.study.halving import ConfigurationRace, Halving
from soundfit.study.rounds import complete_configurations, plan_rounds, train_in_rounds
from soundfit.study.selection import one_se_rule, paired_row_se
from soundfit.study.views import StudyViews, table_views

__all__ = [
    "Hooks",
    "StudyRun",
    "cross_validate",
    "cross_validate_views",
    "holdout_se",
    "out_of_fold",
]

MakeModule = Callable[[Config], nn.Module]
LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Hooks:
    """What a study tells its caller and asks of it while it trains.

    With ``seconds_left`` cheap configurations train first and those that would not fit are left out.
    ``train`` stands in for :func:`soundfit.bank.train_members`: the same with a checkpoint or an executor.
    """

    on_total: Callable[[int], None] = lambda n: None
    on_epoch: Callable[[int], None] = lambda n: None
    should_stop: Callable[[], bool] = lambda: False
    seconds_left: Callable[[], float] | None = None
    train: Callable[..., list[Outcome]] = train_members

    def over(self) -> bool:
        """Return whether training should not go on: it was told to stop, or its time has ended."""
        return self.should_stop() or (self.seconds_left is not None and self.seconds_left() <= 0)


@dataclass(frozen=True)
class StudyRun:
    """A study's result together with its trained members (in the order of ``result.members``)."""

    result: StudyResult
    outcomes: tuple[Outcome, ...]

    def outcomes_of(self, configuration: int) -> list[tuple[Member, Outcome]]:
        """Return the members of a configuration with their outcomes, by fold and seed."""
        pairs = zip(self.result.members, self.outcomes, strict=True)
        mine = [(r.member, o) for r, o in pairs if r.member.configuration == configuration]
        return [(m, o) for m, o in mine if o.best_epoch > 0]


def cross_validate_views(
    views: StudyViews,
    configurations: Sequence[Config],
    *,
    seeds: Sequence[int] = (0,),
    device: torch.device | None = None,
    hooks: Hooks | None = None,
    halving: Halving | None = None,
) -> StudyRun:
    """Cross-validate soundfit's own nets on views of any data and choose a configuration.

    With ``halving`` configurations that can hardly win any more leave on the way (status ``dropped``).
    """
    return _study(
        views.build,
        configurations,
        seeds,
        views,
        views.loss,
        views.metric,
        device,
        hooks or Hooks(),
        halving,
    )


def cross_validate(
    make_module: MakeModule,
    data: Table | NDArray[Any] | torch.Tensor,
    target: NDArray[Any] | torch.Tensor | Plan | None = None,
    plan: Plan | None = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    config: Config | None = None,
    folds: int | Sequence[tuple[Any, Any]] = 5,
    seeds: int | Sequence[int] = 1,
    loss: str | LossFunction | None = None,
    metric: str | None = None,
    standardize: bool = True,
    device: str | torch.device | None = None,
    halving: Halving | bool | None = None,
    precision: str = "highest",
    checkpoint: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> StudyResult:
    """Train folds × configurations × seeds of any module as one bank and score them.

    Args:
        make_module: ``make_module(config) -> nn.Module``; reads what it likes from the configuration.
        data: a :class:`Table`, or inputs (N, …).
        target: for arrays: (N,) values or class codes (integers: classification).
        plan: for a table: from :func:`soundfit.split`; its test rows stay sealed.
        grid: values per configuration field or option; their product is tried.
        config: what the grid varies (epochs, batch size, schedule, …).
        folds: for arrays: a number of folds, or (training, validation) positions per fold.
        seeds: a number of seeds, or the seeds.
        loss: ``"mse"``, ``"cross_entropy"`` or ``loss(output, target)``; by the task if None.
        metric: a metric's name; ``rmse`` or ``log_loss`` by the task if None.
        standardize: for arrays: scale float inputs (N, F) and a regression target with the training
            rows' mean and standard deviation, per fold.
        device: where to train.
        halving: let configurations leave that can hardly win any more, at rungs of training; True for the
            default :class:`Halving`. Those that left keep their members (status ``dropped``, scores so far);
            their ``scores_CK`` are NaN, for unfinished training does not compare.
        precision: of products: ``"highest"``, ``"high"`` (TF32 on a GPU), ``"medium"`` or ``"bf16"``.
        checkpoint: a folder; training is saved there now and then, and the same call goes on from it after
            an interruption, to the same result.
        progress: called with the number of member-epochs just done.

    Returns:
        The study's result; ``scores_CK`` in the metric's unit, ``predictions`` out of fold.

    Raises:
        ValueError: shapes, folds or grid do not fit.

    Example:
        >>> import numpy as np
        >>> from torch import nn
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(120, 3)); y = x @ [1.0, -2.0, 0.5]
        >>> result = cross_validate(
        ...     lambda config: nn.Linear(3, 1), x, y,
        ...     config=Config(epochs=40, batch_size=16), grid={"learning_rate": [0.01, 0.05]},
        ... )
        >>> result.scores_CK.shape, bool(result.scores_CK.min() < 0.1)
        ((2, 5), True)
    """
    seed_list = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    configurations = expand_grid(config or Config(), grid)
    where = torch.device(device) if device is not None else None
    folder = None if checkpoint is None else Path(checkpoint)
    hooks = Hooks(
        on_epoch=progress or (lambda n: None),
        train=partial(train_members, precision=precision, checkpoint=folder),
    )
    rule = Halving() if halving is True else halving or None
    if isinstance(data, Table):
        the_plan = target if isinstance(target, Plan) else plan
        if the_plan is None:
            raise ValueError("a table is cross-validated with a plan: pass soundfit.split(table)")
        views = table_views(data, the_plan)
        the_metric = metric_named(metric) if metric else views.metric
        return _study(
            make_module, configurations, seed_list, views, loss or views.loss, the_metric, where, hooks, rule
        ).result
    arrays = array_views(data, target, folds=folds, metric=metric, standardize=standardize)
    return _study(
        make_module, configurations, seed_list, arrays, loss or arrays.loss, arrays.metric, where, hooks, rule
    ).result


def _study(
    make_module: MakeModule,
    configurations: Sequence[Config],
    seeds: Sequence[int],
    views: StudyViews | ArrayViews,
    loss: str | LossFunction,
    metric: Metric,
    device: torch.device | None,
    hooks: Hooks,
    halving: Halving | None,
) -> StudyRun:
    start = time.perf_counter()
    folds, target = views.folds, views.target
    members = [
        Member(fold, c, seed, config)
        for c, config in enumerate(configurations)
        for seed in seeds
        for fold in range(len(folds))
    ]
    total = sum(m.config.epochs for m in members)
    hooks.on_total(total)

    def score_so_far(member: Member, standing: Standing) -> float:
        predicted = views.predictions(member.fold, standing.validation_outputs.double().numpy())
        score = metric(target[folds[member.fold].validation], predicted)
        return -score if metric.greater_is_better else score

    race = None
    if halving is not None:
        race = ConfigurationRace(halving, metric.name, len(folds), score_so_far)

    def train(those: list[Member]) -> list[Outcome]:
        return hooks.train(
            make_module,
            [views.member_config(m.config, m.fold) for m in those],
            [views.member_rows(m.fold, order_seed=m.seed) for m in those],
            views.data,
            # Folds of a configuration start from different weights too: they are an ensemble later.
            seeds=[m.seed * 1_000 + m.fold for m in those],
            loss=loss,
            device=device,
            on_epoch=hooks.on_epoch,
            should_stop=hooks.should_stop,
            race=None if race is None else race.of(those),
        )

    if hooks.seconds_left is None:
        trained = list(zip(members, train(members), strict=True))
    else:
        n_inputs = int(np.prod(views.data.inputs_VN.shape[2:]))
        n_train = int(np.median([len(f.train) for f in folds]))
        rounds = plan_rounds(configurations, n_inputs, n_train, cost_of=getattr(views, "cost", None))
        trained = train_in_rounds(train, members, rounds, seconds_left=hooks.seconds_left)
        hooks.on_epoch(total - sum(m.config.epochs for m, _ in trained))
        configurations, trained = _renumbered(configurations, trained)
    members, outcomes = [m for m, _ in trained], [o for _, o in trained]
    predicted = [
        views.predictions(m.fold, o.validation_outputs.double().numpy())
        for m, o in zip(members, outcomes, strict=True)
    ]
    results = [
        _member_result(m, o, p, folds[m.fold], metric, target)
        for m, o, p in zip(members, outcomes, predicted, strict=True)
    ]
    shape = (len(configurations), len(seeds), len(folds))
    scores_CK = np.array([r.validation_score for r in results]).reshape(shape).mean(axis=1)
    training_CK = np.array([r.training_score for r in results]).reshape(shape).mean(axis=1)
    parameters = tuple(o.n_parameters for o in outcomes[:: len(seeds) * len(folds)])
    complete = complete_configurations(members, outcomes, len(configurations))
    dropped = sorted({m.configuration for m, o in trained if o.status == "dropped"})
    # A score of a member that was cut says nothing about its configuration.
    scores_CK[dropped if not any(complete) else ~np.array(complete)] = np.nan
    se_C = None
    if len(folds) == 1:
        se_C = holdout_se(predicted, scores_CK, metric, target[folds[0].validation], len(seeds))
    choice = one_se_rule(scores_CK, parameters, greater_is_better=metric.greater_is_better, holdout_se_C=se_C)
    mine = [i for i, m in enumerate(members) if m.configuration == choice.chosen]
    rule = joined("; ", [choice.rule, *_left_words(complete, len(dropped))])
    result = StudyResult(
        "cv",
        metric.name,
        metric.greater_is_better,
        tuple(configurations),
        parameters,
        tuple(results),
        scores_CK,
        training_CK,
        choice.chosen,
        rule,
        len({o.bank for o in outcomes}),
        time.perf_counter() - start,
        out_of_fold([members[i] for i in mine], [predicted[i] for i in mine], folds, len(target)),
        {"best": choice.best, **({} if halving is None else {"dropped": dropped})},
    )
    return StudyRun(result, tuple(outcomes))


def _renumbered(
    configurations: Sequence[Config], trained: Sequence[tuple[Member, Outcome]]
) -> tuple[list[Config], list[tuple[Member, Outcome]]]:
    """Leave out configurations that were never begun."""
    begun = sorted({m.configuration for m, _ in trained})
    number = {c: i for i, c in enumerate(begun)}
    return [configurations[c] for c in begun], [
        (replace(m, configuration=number[m.configuration]), o) for m, o in trained
    ]


def _left_words(complete: Sequence[bool], n_dropped: int) -> list[str]:
    """Say how many configurations are out of the choice, and why."""
    words: list[str] = []
    if n_dropped:
        words.append(say("{n} more left at a rung, behind by more than they could still gain", n=n_dropped))
    n_cut = len(complete) - sum(complete) - n_dropped
    if not any(complete):
        words.append(say("all were cut before their end, so the choice rests on unfinished training"))
    elif n_cut:
        words.append(say("{n} more were cut before their end and are out of the choice", n=n_cut))
    return words


def _member_result(
    member: Member,
    outcome: Outcome,
    predicted: NDArray[np.float64],
    fold: Fold,
    metric: Metric,
    target: NDArray[Any],
) -> MemberResult:
    trained = outcome.best_epoch > 0
    score = metric(target[fold.validation], predicted) if trained else float("nan")
    return MemberResult(
        member,
        outcome.status,
        outcome.best_epoch,
        outcome.epochs,
        _score_from_loss(metric, outcome, score),
        score,
        outcome.training_loss,
        outcome.validation_loss,
        outcome.trace,
    )


def _score_from_loss(metric: Metric, outcome: Outcome, score: float) -> float:
    """Return the training score by way of the losses, which the bank measured on both kinds of rows.

    A root mean square is in proportion to the root of a squared loss, a log-loss is the loss.
    """
    if not outcome.validation_loss > 0:
        return float("nan")
    if metric.name in ("rmse", "rmse_log"):
        return score * (outcome.training_loss / outcome.validation_loss) ** 0.5
    return outcome.training_loss if metric.name == "log_loss" else float("nan")


def holdout_se(
    predicted: Sequence[NDArray[np.float64]],
    scores_CK: NDArray[np.float64],
    metric: Metric,
    target: NDArray[Any],
    n_seeds: int,
) -> NDArray[np.float64] | None:
    """Return each configuration's standard error of the difference to the best over rows of one fold.

    None where the metric is no mean over rows.
    """
    if not isinstance(metric, MeanMetric) or metric.name == "r2":
        return None
    loss = -scores_CK[:, 0] if metric.greater_is_better else scores_CK[:, 0]
    best = int(np.nanargmin(loss))
    rows_CN = np.stack([metric.row_statistics(target, p)[..., 0] for p in predicted[::n_seeds]])
    return paired_row_se(rows_CN, best, root=metric.name in ("rmse", "rmse_log"))


def out_of_fold(
    members: Sequence[Member],
    predicted: Sequence[NDArray[np.float64]],
    folds: Sequence[Fold],
    n_rows: int,
) -> NDArray[np.float64]:
    """Average each row's validation predictions (over seeds, and over repeats of a fold)."""
    shape = (n_rows, *predicted[0].shape[1:])
    total, count = np.zeros(shape), np.zeros(n_rows)
    for member, values in zip(members, predicted, strict=True):
        rows = folds[member.fold].validation
        total[rows] += values
        count[rows] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / count.reshape(-1, *([1] * (total.ndim - 1))))
