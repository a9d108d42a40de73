"""Prescribe: train what the verdict prescribes, keep what helps, and report both with their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from soundfit.records import Config, Prescription, Verdict
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.prescriptions import best_net, fewer_inputs, join_studies, proposals, with_scores
from soundfit.study.views import StudyViews, TableViews, median_rows, trained_cost

__all__ = ["prescribe", "untried"]

# A further round only where the one before changed the choice and left something to cure.
_MOST_ROUNDS = 3
# All trials together may cost this share of what the search cost, or this much: a second or two on one core.
_SHARE = 0.5
_COST = 1.5e10
_FEW = 750
_CURABLE = ("underfitting", "overfitting", "not-learning", "unstable")


def prescribe(
    views: StudyViews,
    study: StudyRun,
    judge: Callable[[StudyRun], Verdict],
    *,
    model: str,
    seed: int,
    device: torch.device,
    hooks: Hooks,
) -> tuple[StudyRun, tuple[Prescription, ...]]:
    """Train what the verdict prescribes, round after round while it helps; return the joined study.

    Each round's variants are of the configuration that was chosen before it.
    """
    told: list[Prescription] = []
    n_train = median_rows(views.folds)
    left = max(_SHARE * trained_cost(views, study.result), _COST)
    # On a few hundred rows what a long training gains in cross-validation does not carry over to new ones.
    pays = isinstance(views, TableViews) and (n_train >= _FEW or study.result.chosen_config.depth == 0)
    for number in range(_MOST_ROUNDS):
        verdict, before = judge(study), study.result.chosen
        if number > 0 and verdict.code not in _CURABLE:
            break
        config, classes = study.result.chosen_config, views.loss == "cross_entropy"
        known = set(map(_key, study.result.configurations))
        wanted = [
            p
            for p in proposals(
                verdict,
                config,
                keep=fewer_inputs(views, study),
                classes=classes,
                thorough=best_net(study.result) if number == 0 and pays else None,
            )
            if _key(config.with_(**p.change)) not in known and _of_family(p, model)
        ]
        prices = [len(views.folds) * views.cost(config.with_(**p.change), n_train) for p in wanted]
        wanted, left = _affordable(wanted, prices, left)
        if not wanted or hooks.over():
            break
        variants = [config.with_(**p.change) for p in wanted]
        try:
            added = cross_validate_views(views, variants, seeds=(seed,), device=device, hooks=hooks)
        except ValueError:
            break  # none of the variants got through all folds in the time left
        first = len(study.result.configurations)
        study = join_studies(views, study, added)
        # Under a budget some variants may have been left out.
        places = {_key(c): first + i for i, c in enumerate(added.result.configurations)}
        trained = [(p, places[_key(v)]) for p, v in zip(wanted, variants, strict=True) if _key(v) in places]
        trained = [(p, at) for p, at in trained if np.isfinite(study.result.scores_CK[at]).all()]
        told += with_scores([p for p, _ in trained], before, [at for _, at in trained], study.result)
        if study.result.chosen == before:
            break
    chosen = study.result.chosen_config
    return study, tuple(replace(p, kept=p.kept and _says(p, chosen)) for p in told)


def _affordable(
    wanted: Sequence[Prescription], prices: Sequence[float], left: float
) -> tuple[list[Prescription], float]:
    """Return the first trials that what is left can pay for, and what remains."""
    taken = []
    for p, price in zip(wanted, prices, strict=True):
        if price <= left:
            taken.append(p)
            left -= price
    return taken, left


def _key(config: Config) -> str:
    return repr(sorted(config.to_dict().items(), key=lambda item: item[0]))


def _of_family(p: Prescription, model: str) -> bool:
    return model == "auto" or p.change.get("model", model) == model


def _says(p: Prescription, config: Config) -> bool:
    return all(config.get(name) == value for name, value in p.change.items())


def untried(verdict: Verdict, tried: Sequence[Prescription]) -> list[Prescription]:
    """Return what the verdict advises beyond what was tried: its changes were, in the same direction."""
    names = {name for p in tried for name in p.change}
    return [p for p in verdict.prescriptions if not p.change or not set(p.change) <= names]
