"""Refit: the blend's configurations trained again on all rows, where that validates better than fold members.

Fold members average over K trainings but each misses a fold; a refit misses no row, but nothing tells it when
to stop, so it trains for as long as its folds' best checkpoints did (the usual two-stage recipe: Goodfellow,
Bengio & Courville 2016, section 7.8, algorithm 7.2). Which is better is asked one scale smaller, where both
can be judged on a fold that neither saw. Knows no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.bank import MemberRows, Outcome
from soundfit.records import Config, Fold
from soundfit.study.blend import Blend, on_training_scale, row_losses
from soundfit.study.cross_validation import Hooks, StudyRun
from soundfit.study.infinite import solve_infinite, with_landmarks
from soundfit.study.rounds import SAFETY
from soundfit.study.views import TableViews, fitted_views, median_rows, trained_cost

__all__ = [
    "Comparison",
    "Refit",
    "RefittedMember",
    "are_complements",
    "refit",
    "refit_where_better",
    "validate_refit",
    "whole_views",
]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# More rows have little to gain from another fold's worth; fewer folds leave no smaller scale.
_MOST_ROWS, _FEWEST_FOLDS = 10_000, 3
# Seeds of each configuration on all rows.
_SEEDS = 5
# Folds judged on, members of each side there, seeds on all rows, and what all that may cost at most as a
# share of what the study cost. Of means of two members chance decides.
_DESIGNS = ((5, 4, 5, 0.12), (3, 4, 5, 0.16), (3, 3, 5, 0.16), (3, 3, 3, 0.2))
# Or it may cost this much: a second or two on one core.
_COST = 1.5e10
# Members of the smaller scale, of its refits and of the final model begin elsewhere than those of the study.
_PAIR_SEEDS, _TRIAL_SEEDS, _FINAL_SEEDS = 300, 500, 700
# All rows train: these only tell whether a state is finite.
_CHECKED_ROWS = 256
_FEWEST_ROWS = 8


@dataclass(frozen=True)
class Comparison:
    """Losses per row of both kinds of final model one scale smaller, on rows that neither saw.

    Attributes:
        loss: of the refits, squared on the scale of training or logarithmic.
        loss_folds: of the fold members.
        difference: the former minus the latter.
        se: its standard error by rows, which are paired.
        rows: that were predicted.
    """

    loss: float
    loss_folds: float
    difference: float
    se: float
    rows: int

    @property
    def better(self) -> bool:
        """Whether the refit validates better."""
        return self.loss < self.loss_folds


@dataclass(frozen=True)
class RefittedMember:
    """A member trained on all rows, and its share of the final model."""

    configuration: int
    config: Config
    outcome: Outcome
    weight: float


@dataclass(frozen=True)
class Refit:
    """What the comparison found and, where the refit validates better, its members.

    Attributes:
        comparison: one scale smaller; None where none was made.
        views: the non-test rows as the members read them, one fold whose training rows are all of them.
        members: of the final model; empty where fold members validate better.
        epochs: of each configuration (its position in the study) that was trained.
    """

    comparison: Comparison | None = None
    views: TableViews | None = None
    members: tuple[RefittedMember, ...] = ()
    epochs: tuple[tuple[int, int], ...] = ()

    @property
    def chosen(self) -> bool:
        """Whether the final model is made of members trained on all rows."""
        return bool(self.members)


def refit_where_better(
    views: TableViews,
    study: StudyRun,
    blend: Blend,
    *,
    seed: int,
    device: torch.device | None = None,
    seconds_left: float = float("inf"),
    hooks: Hooks,
) -> Refit | None:
    """Compare one scale smaller and, where that speaks for it, train the blend again on all rows.

    None where there is nothing to compare (by time, with a single holdout, of very many rows, of nets that
    are all solved), where it would cost too much, and where it was stopped: the fold members are the final
    model then.

    Args:
        views, study, blend: the folds, what was trained on them, and what of it the final model holds.
        seed: of the run.
        device: where to train.
        seconds_left: nothing begins that would hardly fit.
        hooks: told of each epoch, and asked whether to stop.
    """
    leading = leading_configuration(study, blend)
    if leading is None or not _fits(views) or hooks.should_stop():
        return None
    design = _affordable_design(views, study, blend, leading, seconds_left)
    if design is None:
        return None
    config = study.result.configurations[leading]
    judged, each, n_seeds = design
    comparison = validate_refit(
        views, config, judged=judged, each=each, seed=seed, device=device, hooks=hooks
    )
    if comparison is None:
        return None
    if not comparison.better:
        return Refit(comparison)
    found = refit(views, study, blend, n_seeds=n_seeds, seed=seed, device=device, hooks=hooks)
    return None if found is None else replace(found, comparison=comparison)


def leading_configuration(study: StudyRun, blend: Blend) -> int | None:
    """Return the configuration of the largest share in the blend that was trained; None if all are solved."""
    configs = study.result.configurations
    return next((c for c in blend.configurations if not configs[c].is_infinite), None)


def are_complements(folds: Sequence[Fold], n_rows: int) -> bool:
    """Return whether each fold trains on all rows but those that it validates, which no other fold does."""
    if sum(len(f.validation) for f in folds) != n_rows:
        return False
    return all(
        len(f.train) + len(f.validation) == n_rows and len(np.union1d(f.train, f.validation)) == n_rows
        for f in folds
    )


def validate_refit(
    views: TableViews,
    config: Config,
    *,
    judged: int = 5,
    each: int = 4,
    seed: int = 0,
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Comparison | None:
    """Compare fold members and refits of one configuration on folds that neither saw; None if stopped.

    For each fold f that is judged: members on T_f without V_g, stopped early by V_g, one for each of some
    other folds g, stand for the fold members; as many from other seeds on all of T_f, for the median of the
    former's best epochs, stand for the refit. Both predict V_f, which nothing of either was fitted to. Both
    read fold f's view: the statistics of inputs and the scale of the target in it are of T_f, of which V_g is
    a part; no target of V_g is fitted otherwise.

    Args:
        views: of folds that are each other's complements.
        config: what is trained.
        judged: folds f, at most as many as there are.
        each: members of either side for one f, at most one fewer than there are folds.
        seed: of the run.
        device: where to train.
        hooks: told of each epoch, and asked whether to stop.
    """
    hooks = hooks or Hooks()
    n_folds = len(views.folds)
    judged, each = min(judged, n_folds), min(each, n_folds - 1)
    pairs = [(f, (f + step) % n_folds) for f in range(judged) for step in range(1, each + 1)]
    hooks.on_total(len(pairs) * config.epochs)
    rows = [
        MemberRows(
            f,
            np.setdiff1d(views.folds[f].train, views.folds[g].validation),
            views.folds[g].validation,
            _seed(seed, _PAIR_SEEDS + g),
        )
        for f, g in pairs
    ]
    configs = [config] * len(pairs)
    stopped = _train(views, configs, rows, _seeds(seed, _PAIR_SEEDS, len(pairs)), device, hooks)
    if stopped is None:
        return None
    best = [_median_epoch([o for (g, _), o in zip(pairs, stopped, strict=True) if g == f]) for f, _ in pairs]
    configs = [stopping_at(config, epochs) for epochs in best]
    hooks.on_total(sum(c.epochs for c in configs))
    rows = [
        MemberRows(f, views.folds[f].train, views.folds[f].validation, _seed(seed, _TRIAL_SEEDS + g))
        for f, g in pairs
    ]
    again = _train(views, configs, rows, _seeds(seed, _TRIAL_SEEDS, len(pairs)), device, hooks)
    if again is None:
        return None
    losses = row_losses(views.table.task, on_training_scale(views, views.target))
    found = []
    for f in range(judged):
        validation = views.folds[f].validation
        mine = [i for i, (fold, _) in enumerate(pairs) if fold == f]
        sides = [[side[i] for i in mine] for side in (again, stopped)]
        found.append([losses(_mean_outputs(views, side, f), validation) for side in sides])
    loss, loss_folds = (np.concatenate([pair[side] for pair in found]) for side in (0, 1))
    difference = loss - loss_folds
    if not np.isfinite(difference).all():
        return None
    return Comparison(
        float(loss.mean()),
        float(loss_folds.mean()),
        float(difference.mean()),
        float(difference.std(ddof=1) / np.sqrt(len(difference))),
        len(difference),
    )


def refit(
    views: TableViews,
    study: StudyRun,
    blend: Blend,
    *,
    n_seeds: int = _SEEDS,
    seed: int = 0,
    device: torch.device | None = None,
    hooks: Hooks | None = None,
) -> Refit | None:
    """Train each configuration of the blend on all non-test rows, from several seeds; None if stopped.

    As many seeds as there are folds, or ``n_seeds`` where there are more folds.

    Each for the median of its folds' best epochs, its learning rate as planned for the whole training, and
    its last state kept. Preprocessing is fitted on all rows. Nets of infinite width are solved once. A
    configuration's weight is split evenly over its members.
    """
    hooks = hooks or Hooks()
    whole = whole_views(views)
    configs, n_seeds = study.result.configurations, min(len(views.folds), n_seeds)
    trained = [c for c in blend.configurations if not configs[c].is_infinite]
    epochs = {c: _median_epoch([o for _, o in study.outcomes_of(c)]) for c in trained}
    places = [(c, s) for c in trained for s in range(n_seeds)]
    wanted = [stopping_at(configs[c], epochs[c]) for c, _ in places]
    hooks.on_total(sum(c.epochs for c in wanted))
    rows = [_all_rows(whole, _seed(seed, _FINAL_SEEDS + s)) for _, s in places]
    seeds = _seeds(seed, _FINAL_SEEDS, len(places))
    outcomes = _train(whole, wanted, rows, seeds, device, hooks)
    if outcomes is None:
        return None
    found: dict[int, list[tuple[Config, Outcome]]] = {c: [] for c in blend.configurations}
    for (c, _), config, outcome in zip(places, wanted, outcomes, strict=True):
        found[c].append((config, outcome))
    for c in blend.configurations:
        if configs[c].is_infinite:
            if hooks.should_stop():
                return None
            config = with_landmarks(configs[c], len(whole.target))
            solved = solve_infinite(whole.build(config), _all_rows(whole, 0), whole.data, seed=seed)
            found[c].append((config, solved))
    members = [
        RefittedMember(c, config, outcome, weight / len(found[c]))
        for c, weight in zip(blend.configurations, blend.weights, strict=True)
        for config, outcome in found[c]
    ]
    if any(m.outcome.status == "failed" for m in members):
        return None
    return Refit(None, whole, tuple(members), tuple(epochs.items()))


def whole_views(views: TableViews) -> TableViews:
    """Return views of the same rows with one fold, which trains on all of them and fits its statistics there.

    Its validation rows are some of them: they tell whether a state is finite, and nothing more.
    """
    rows = np.arange(len(views.target))
    fold = Fold(rows, rows[:: max(1, len(rows) // _CHECKED_ROWS)])
    return fitted_views(views.table, (fold,), views.encoders[0].layout, views.transform)


def stopping_at(config: Config, epochs: int) -> Config:
    """Return a configuration that trains as planned but ends after ``epochs``, with the state it has then."""
    horizon = config.get("horizon", config.epochs)
    return config.with_(epochs=min(epochs, config.epochs), patience=0, horizon=horizon, keep="last")


def _all_rows(whole: TableViews, order_seed: int) -> MemberRows:
    fold = whole.folds[0]
    return MemberRows(0, fold.train, fold.validation, order_seed)


def _seed(seed: int, at: int) -> int:
    return seed * 1_000 + at


def _seeds(seed: int, first: int, n: int) -> list[int]:
    return [_seed(seed, first + i) for i in range(n)]


def _median_epoch(outcomes: Sequence[Outcome]) -> int:
    return max(1, int(np.median([o.best_epoch for o in outcomes])))


def _train(
    views: TableViews,
    configs: Sequence[Config],
    rows: Sequence[MemberRows],
    seeds: Sequence[int],
    device: torch.device | None,
    hooks: Hooks,
) -> list[Outcome] | None:
    """Return the members' outcomes; None where one was cut short or has no finite state."""
    outcomes = hooks.train(
        views.build,
        [views.member_config(c, r.view) for c, r in zip(configs, rows, strict=True)],
        rows,
        views.data,
        seeds=seeds,
        loss=views.loss,
        device=device,
        on_epoch=hooks.on_epoch,
        should_stop=hooks.should_stop,
    )
    whole = all(o.status != "interrupted" and o.best_epoch > 0 for o in outcomes)
    return outcomes if whole else None


def _mean_outputs(views: TableViews, outcomes: Sequence[Outcome], fold: int) -> Array:
    """Return the mean of members of a fold's view on its validation rows: shares, or the training scale."""
    inputs = views.data.inputs_VN[fold].cpu()[torch.from_numpy(views.folds[fold].validation)]
    with torch.inference_mode():
        raw = [o.module(inputs).double().numpy() for o in outcomes]
    if views.scales:
        return np.asarray(np.mean([views.scales[fold].transformed(r[:, 0]) for r in raw], axis=0))
    return np.asarray(np.mean([views.predictions(fold, r) for r in raw], axis=0))


def _fits(views: TableViews) -> bool:
    """Return whether rows and folds leave room for a smaller scale."""
    n = len(views.target)
    if len(views.folds) < _FEWEST_FOLDS or n > _MOST_ROWS or not are_complements(views.folds, n):
        return False
    sizes = sorted(len(f.validation) for f in views.folds)
    return sizes[0] >= 2 and n - sizes[-1] - sizes[-2] >= _FEWEST_ROWS


def _affordable_design(
    views: TableViews, study: StudyRun, blend: Blend, leading: int, seconds_left: float
) -> tuple[int, int, int] | None:
    """Return folds judged, members each, and seeds on all rows; None where even the fewest cost too much.

    By cost, not by the clock, so that the same seed gives the same run on a busy machine too; the clock only
    says whether what is planned fits.
    """
    configs, result, n = study.result.configurations, study.result, len(views.target)
    n_train, n_folds = median_rows(views.folds), len(views.folds)
    spent = trained_cost(views, result)
    solved = trained = 0.0
    for c in blend.configurations:
        if configs[c].is_infinite:
            solved += views.cost(with_landmarks(configs[c], n), n)
            continue
        epochs = _median_epoch([o for _, o in study.outcomes_of(c)])
        trained += views.cost(configs[c].with_(epochs=epochs), n)
    mine = [o for _, o in study.outcomes_of(leading)]
    ran, best = int(np.mean([o.epochs for o in mine])), _median_epoch(mine)
    smaller = views.cost(configs[leading].with_(epochs=max(ran, 1)), n_train - (n - n_train))
    pair = smaller + views.cost(configs[leading].with_(epochs=best), n_train)
    rate = SAFETY * result.seconds / max(spent, 1.0)
    for judged, each, n_seeds, share in _DESIGNS:
        compared = min(judged, n_folds) * min(each, n_folds - 1) * pair
        total = compared + solved + min(n_folds, n_seeds) * trained
        if total <= max(share * spent, _COST) and total * rate <= seconds_left:
            return judged, each, n_seeds
    return None
