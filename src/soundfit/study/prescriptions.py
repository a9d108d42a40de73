"""Prescriptions that training tries by itself: variants of the chosen configuration, before → after.

Capacity was searched before, small to large; here the choice is pushed on in the directions that the verdict
names: more or less restraint, more capacity, a longer training, another learning rate, fewer features.
Variants train on the same folds and join the study, so the rule that chose decides again over all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soundfit.records import Config, Prescription, StudyResult, Verdict, say
from soundfit.study.cross_validation import StudyRun, holdout_se, out_of_fold
from soundfit.study.selection import one_se_rule
from soundfit.study.solved import is_solved
from soundfit.study.views import StudyViews, TableViews

__all__ = ["best_net", "fewer_inputs", "join_studies", "proposals", "with_scores"]

Array = NDArray[np.float64]

MOST = 4
# A thorough training is that many times as long.
_LONG = 3
_STRONG_DECAY, _FAST = 1.0, 0.1
_OF_STEPS = {"epochs", "patience", "learning_rate", "label_smoothing"}
# Inputs whose gradients make up this share of all are kept where fewer features are tried.
_KEEP_IMPORTANCE = 0.9
_WORTH_DROPPING = 0.8
_FEWEST_INPUTS = 5
_ROWS_FOR_IMPORTANCE = 512


def proposals(
    verdict: Verdict,
    config: Config,
    *,
    keep: Sequence[int] | None = None,
    classes: bool = False,
    thorough: Config | None = None,
) -> list[Prescription]:
    """Return what to try next to a configuration, most promising first.

    Args:
        verdict: on it.
        config: the chosen configuration.
        keep: inputs that carry most; None where fewer features are not worth a trial.
        classes: whether classes are told apart, so that labels can be smoothed.
        thorough: a net to train several times as long under more restraint as well, whatever the verdict (see
            :func:`best_net`): a short search cannot see what only both together bring.
    """
    decay, dropout, rate = config.weight_decay, config.dropout, config.learning_rate
    longer = _epochs(config, 2 * config.epochs)
    faster, slower = _rate(rate, 3 * rate), _rate(rate, rate / 3)
    firmer, looser = [_decay(decay, max(4 * decay, 0.1))], []
    if config.depth > 0:
        if _STRONG_DECAY > decay >= 0.3 and rate < _FAST:
            firmer.insert(0, _strong_decay(decay))
        if classes and config.label_smoothing == 0:
            firmer.append(_smoothing(config.label_smoothing, 0.05))
        firmer.append(_dropout(dropout, min(dropout + 0.15, 0.5)))
        larger = Prescription(
            say(
                "More capacity: width {after} instead of {before}",
                before=config.width,
                after=2 * config.width,
            ),
            change={"width": 2 * config.width},
        )
        if dropout > 0:
            looser.append(_dropout(dropout, 0.0))
    else:
        larger = Prescription(
            say("More capacity: 2 hidden layers of 64 units instead of a linear model"),
            change={"model": "mlp", "width": 64, "depth": 2, "learning_rate": 0.03, "warmup": 0.05},
        )
    if decay > 0.02:
        looser.append(_decay(decay, decay / 10))
    fewer = []
    if keep is not None and not config.get("reads"):
        fewer.append(
            Prescription(
                say("Fewer features: the {n} model inputs that carry most", n=len(keep)),
                change={"reads": [int(i) for i in keep]},
            )
        )
    orders = {
        "underfitting": [larger, longer, faster, *looser],
        "not-learning": [faster, larger, longer, *looser],
        "unstable": [slower, *firmer],
        "overfitting": [*firmer, *fewer, slower],
        "noise-limited": [*firmer, *fewer, slower],
        "good-fit": [longer, *firmer, *looser, *fewer],
    }
    wanted = orders[verdict.code]
    if is_solved(config):
        # A solution knows no steps: neither their number nor their size changes it.
        wanted = [p for p in wanted if not set(p.change) <= _OF_STEPS]
    if thorough is not None:
        wanted = [_thorough(config, thorough), *wanted]
    return wanted[:MOST]


def best_net(result: StudyResult) -> Config | None:
    """Return the chosen configuration if it is a net with hidden layers, else the net that validates best.

    None where no net got through all folds.
    """
    if result.chosen_config.depth > 0:
        return result.chosen_config
    loss_C = (-1.0 if result.greater_is_better else 1.0) * result.scores_CK.mean(axis=1)
    nets = [i for i, c in enumerate(result.configurations) if c.depth > 0 and np.isfinite(loss_C[i])]
    return result.configurations[min(nets, key=lambda i: loss_C[i])] if nets else None


def _epochs(config: Config, after: int) -> Prescription:
    text = say("Train for {after} epochs instead of {before}", before=config.epochs, after=after)
    # Patience is a share of the epochs: it grows with them.
    return Prescription(text, change={"epochs": after, "patience": config.patience * after // config.epochs})


def _thorough(config: Config, net: Config) -> Prescription:
    epochs = _LONG * net.epochs
    dropout, decay = max(net.dropout, 0.15), max(net.weight_decay, 0.3)
    after = net.with_(**_epochs(net, epochs).change, dropout=dropout, weight_decay=decay)
    if net == config:
        text = say(
            "{after} epochs instead of {before}, with dropout {dropout:.2g} and weight decay {decay:.2g}",
            after=epochs,
            before=config.epochs,
            dropout=dropout,
            decay=decay,
        )
    else:
        text = say(
            "A net of {depth} hidden layers of {width} units, trained for {after} epochs with dropout "
            "{dropout:.2g} and weight decay {decay:.2g}",
            depth=net.depth,
            width=net.width,
            after=epochs,
            dropout=dropout,
            decay=decay,
        )
    return Prescription(text, change=_difference(config, after))


def _difference(before: Config, after: Config) -> dict[str, Any]:
    """Return the change that makes one configuration another; an option that the other lacks becomes None."""
    names = {*before.to_dict(), *before.options, *after.options} - {"options"}
    return {name: after.get(name) for name in sorted(names) if after.get(name) != before.get(name)}


def _strong_decay(before: float) -> Prescription:
    # Decoupled decay shrinks weights by rate times decay a step: both grow.
    text = say(
        "Weight decay {after:.2g} instead of {before:.2g}, at a learning rate of {rate:.2g}",
        after=_STRONG_DECAY,
        before=before,
        rate=_FAST,
    )
    return Prescription(text, change={"weight_decay": _STRONG_DECAY, "learning_rate": _FAST})


def _rate(before: float, after: float) -> Prescription:
    text = say("A learning rate of {after:.2g} instead of {before:.2g}", before=before, after=after)
    return Prescription(text, change={"learning_rate": after})


def _decay(before: float, after: float) -> Prescription:
    text = say("Weight decay {after:.2g} instead of {before:.2g}", before=before, after=after)
    return Prescription(text, change={"weight_decay": after})


def _dropout(before: float, after: float) -> Prescription:
    text = say("Dropout {after:.2g} instead of {before:.2g}", before=before, after=after)
    return Prescription(text, change={"dropout": after})


def _smoothing(before: float, after: float) -> Prescription:
    text = say("Label smoothing {after:.2g} instead of {before:.2g}", before=before, after=after)
    return Prescription(text, change={"label_smoothing": after})


def fewer_inputs(views: StudyViews, study: StudyRun) -> list[int] | None:
    """Return the inputs that carry most of the chosen members' gradients; None where nearly all do,
    and for data without columns.

    An input's importance is the mean size of the outputs' derivative by it times its standard deviation, on
    each fold's training rows, averaged over folds: no validation row speaks.
    """
    if not isinstance(views, TableViews):
        return None  # pixels and steps of time are no columns
    totals = np.zeros(views.n_inputs)
    for member, outcome in study.outcomes_of(study.result.chosen):
        rows = views.folds[member.fold].train[:_ROWS_FOR_IMPORTANCE]
        x = views.data.inputs_VN[member.fold][torch.from_numpy(rows)].clone().requires_grad_(True)
        outputs = outcome.module(x)
        # The sum over rows gives each row its own derivative; a random sign keeps classes from cancelling.
        signs = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], size=outputs.shape)).float()
        (gradient,) = torch.autograd.grad((outputs * signs).sum(), x)
        totals += (gradient.abs().mean(0) * x.detach().std(0)).double().numpy()
    if len(totals) < _FEWEST_INPUTS or not totals.sum() > 0:
        return None
    order = np.argsort(-totals, kind="stable")
    n_keep = int(np.searchsorted(np.cumsum(totals[order]), _KEEP_IMPORTANCE * totals.sum())) + 1
    if n_keep > _WORTH_DROPPING * np.count_nonzero(totals):
        return None
    return sorted(int(i) for i in order[:n_keep])


def join_studies(views: StudyViews, first: StudyRun, second: StudyRun) -> StudyRun:
    """Return one study of both, on the same folds and with as many seeds, and choose again."""
    a, b = first.result, second.result
    offset = len(a.configurations)
    moved = [
        replace(m, member=replace(m.member, configuration=m.member.configuration + offset)) for m in b.members
    ]
    results, outcomes = (*a.members, *moved), (*first.outcomes, *second.outcomes)
    scores_CK = np.vstack([a.scores_CK, b.scores_CK])
    parameters = (*a.parameters, *b.parameters)
    predicted = [
        views.predictions(m.member.fold, o.validation_outputs.double().numpy())
        for m, o in zip(results, outcomes, strict=True)
    ]
    n_seeds = len({m.member.seed for m in results})
    se_C = None
    if len(views.folds) == 1:
        target = views.target[views.folds[0].validation]
        se_C = holdout_se(predicted, scores_CK, views.metric, target, n_seeds)
    choice = one_se_rule(scores_CK, parameters, greater_is_better=a.greater_is_better, holdout_se_C=se_C)
    mine = [i for i, m in enumerate(results) if m.member.configuration == choice.chosen]
    result = StudyResult(
        a.question,
        a.metric,
        a.greater_is_better,
        (*a.configurations, *b.configurations),
        parameters,
        results,
        scores_CK,
        np.vstack([a.training_scores_CK, b.training_scores_CK]),
        choice.chosen,
        choice.rule,
        a.banks + b.banks,
        a.seconds + b.seconds,
        out_of_fold(
            [results[i].member for i in mine], [predicted[i] for i in mine], views.folds, len(views.target)
        ),
        {**a.details, "best": choice.best},
    )
    return StudyRun(result, outcomes)


def with_scores(
    tried: Sequence[Prescription], before: int, after: Sequence[int], result: StudyResult
) -> tuple[Prescription, ...]:
    """Return the prescriptions with what they did to validation.

    Args:
        tried: the prescriptions.
        before: position of the configuration that they changed.
        after: position of each one's variant.
        result: of the joined study.
    """
    scored = []
    for one, at in zip(tried, after, strict=True):
        difference = result.scores_CK[at] - result.scores_CK[before]
        k = len(difference)
        scored.append(
            replace(
                one,
                before=float(result.scores_CK[before].mean()),
                after=float(result.scores_CK[at].mean()),
                se=float(difference.std(ddof=1) / np.sqrt(k)) if k > 1 else None,
                kept=at == result.chosen,
            )
        )
    return tuple(scored)
