"""Backbone in a study: heads on the features of a pretrained net, and the whole net tuned from the best head.

Frozen features first: the net reads each picture once, and heads of every configuration and fold train on
what it said as one bank. Then the whole net, started from each fold's head (linear probing before
fine-tuning, Kumar et al. 2022), joins the same study, so that validation decides whether it pays. So do
nets trained from scratch where nobody asked for the backbone: validation decides whether it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from soundfit.bank.threads import default_workers
from soundfit.data.pictures import Pictures
from soundfit.errors import StopError
from soundfit.models.backbone import (
    Backbone,
    TunedNet,
    backbone_features,
    backbone_multiply_adds,
    build_head,
    tuned_augment,
)
from soundfit.records import Config, Plan, StudyResult
from soundfit.records.said import say
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.pictures import ALLOWANCE, picture_cost, picture_epochs, picture_views, thumbnails
from soundfit.study.prescriptions import join_studies
from soundfit.study.selection import one_se_rule
from soundfit.study.solved import SOLVED, is_solved
from soundfit.study.tensors import Family, TensorViews, rows_within, tensor_views
from soundfit.study.views import median_rows

__all__ = [
    "TUNED",
    "Reading",
    "against_scratch",
    "head_configurations",
    "head_views",
    "rival",
    "scratch_views",
    "tune",
    "tuned_configurations",
]

#: ``Config.model`` of a backbone that trained with its head.
TUNED = "tuned"
_OVERHEAD = 1e6
_MOST_STATISTICS = 10_000
# Linear heads are solved up to this size, rows × features × outputs: some seconds for all of them.
_MOST_SOLVED = 5_000_000
_PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_SOLVER_PASSES = 200
# What nets from scratch may cost beside a backbone, as a share of what they may cost alone.
_RIVALS = 0.1
# Standard errors by which heads lag behind nets from scratch where tuning is not tried.
_FAR_BEHIND = 2.0
_TUNED_EPOCHS = 10
# Time is predicted with this much to spare.
_SAFETY = 1.3


class Reading:
    """A backbone that reads each picture once, whatever plans ask for it, and knows how long one takes.

    Args:
        backbone: the pretrained net.
        pictures: all of them; only those that are asked for are read.
        device: where it reads.
        on_total, on_picture: how many pictures are to be read, and how many more were.
        should_stop: asked between batches.
        seconds_left: for reading; without a limit where there is no budget.

    Attributes:
        seconds_a_picture: measured; 0 before anything was read.
    """

    def __init__(
        self,
        backbone: Backbone,
        pictures: Pictures,
        device: torch.device,
        *,
        on_total: Callable[[int], None] = lambda n: None,
        on_picture: Callable[[int], None] = lambda n: None,
        should_stop: Callable[[], bool] = lambda: False,
        seconds_left: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        self.backbone, self.pictures, self.device = backbone, pictures, device
        self.on_total, self.on_picture = on_total, on_picture
        self.should_stop, self.seconds_left = should_stop, seconds_left
        self.seconds_a_picture = 0.0
        self._features = np.zeros((len(pictures), backbone.n_features), dtype=np.float32)
        self._known = np.zeros(len(pictures), dtype=bool)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return features (N, D) of these rows, and zeros for all others.

        Raises:
            StopError: reading all of them was stopped, or would outlast the time.
        """
        missing = rows[~self._known[rows]]
        self.on_total(len(missing))
        started, done = time.perf_counter(), 0

        def count(n: int) -> None:
            nonlocal done
            done += n
            self.seconds_a_picture = (time.perf_counter() - started) / done
            self.on_picture(n)

        def over() -> bool:
            # The first batch is always read: it says how long the others would take.
            late = done > 0 and self.seconds_a_picture * (len(missing) - done) > self.seconds_left()
            return self.should_stop() or late

        read = backbone_features(
            self.backbone, self.pictures.pixels, missing, self.device, on_picture=count, should_stop=over
        )
        if done < len(missing):
            raise StopError(
                "A backbone reads every picture once before heads on it can train",
                received=say(
                    "{done} of {n} pictures read, at {rate:.2g} s a picture, when that was stopped",
                    done=done,
                    n=len(missing),
                    rate=self.seconds_a_picture,
                ),
                fix="give it a longer --budget, name a smaller backbone, or train on fewer pictures",
            )
        self._features[missing], self._known[missing] = read[missing], True
        made = np.zeros_like(self._features)
        made[rows] = self._features[rows]
        return made


def head_views(pictures: Pictures, plan: Plan, reading: Reading) -> TensorViews:
    """Return views of the non-test pictures' features; sealed pictures are not read."""
    backbone = reading.backbone
    n_outputs = _outputs(pictures)
    n_train = median_rows(plan.folds)
    features = reading.features(plan.train)
    d = backbone.n_features
    family = Family(
        build=partial(build_head, n_features=d, n_outputs=n_outputs),
        configurations=lambda model: head_configurations(n_train, d, backbone.name, n_outputs),
        cost=lambda config, rows: _cost(config, rows, backbone, pictures, n_outputs),
        statistics=lambda rows: _statistics(features, rows),
        features=lambda rows: thumbnails(pictures.pixels, rows),
    )
    return tensor_views(pictures.table, features, plan, family)


def head_configurations(n_train: int, n_features: int, name: str, n_outputs: int) -> tuple[Config, ...]:
    """Return the heads that ``train`` tries on D features: linear ones over decay, and small MLPs.

    Linear ones are solved where that is quick, and trained like the others where there are many rows.
    """
    batch, epochs, _ = picture_epochs(n_train)
    base = Config(
        batch_size=batch, epochs=max(epochs, 20), options={"beta2": 0.98, "backbone": name}, patience=0
    )
    # A step moves a logit by up to the rate times the number of features.
    linear = base.with_(
        model="linear", width=0, depth=0, warmup=0.0, learning_rate=min(0.005, 1.5 / n_features)
    )
    mlp = base.with_(model="mlp", width=128, depth=1, learning_rate=0.02, dropout=0.3)
    linears = [linear.with_(weight_decay=decay) for decay in (0.02, 1.0, 10.0)]
    if n_train * n_features * n_outputs <= _MOST_SOLVED:
        # Nothing steps there, at no rate.
        linears = [linear.with_(weight_decay=p, learning_rate=0.0, **SOLVED) for p in _PENALTIES]
    return (
        *linears,
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
            epochs=_TUNED_EPOCHS,
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
    reading: Reading,
    *,
    seed: int,
    device: torch.device,
    hooks: Hooks,
    on_stage: Callable[[str], None] = lambda name: None,
) -> StudyRun:
    """Tune the whole net from the chosen head of each fold, where that is affordable, and choose again.

    Where nets from scratch validate clearly better than every head, the pretrained net has nothing to start
    from, and is left as it is. Under a budget as much is tried as is likely to end within it, the exam
    included, for which each fold's own net reads every picture.
    """
    backbone = reading.backbone
    at = _chosen_head(study.result)
    if at is None or hooks.over():
        return study
    head = study.result.configurations[at]
    n_train = median_rows(views.folds)
    price = _cost(head.with_(model=TUNED, epochs=1), n_train, backbone, pictures, views.n_outputs)
    configurations = tuned_configurations(head, price, len(views.folds), device.type)
    if hooks.seconds_left is not None:
        n_folds, rows = len(views.folds), n_train + int(np.median([len(f.validation) for f in views.folds]))
        passes = 3 * n_folds * _TUNED_EPOCHS * rows
        each = reading.seconds_a_picture * passes / min(default_workers(device), n_folds)
        left = hooks.seconds_left() - reading.seconds_a_picture * n_folds * len(plan.test)
        configurations = configurations[: max(0, int(left / max(_SAFETY * each, 1e-9)))]
    heads = {m.fold: o.module for m, o in study.outcomes_of(at)}
    if not configurations or len(heads) < len(views.folds):
        return study
    on_stage("training the whole net")
    whole = tuned_views(views, pictures, plan, backbone, heads)
    try:
        added = cross_validate_views(whole, configurations, seeds=(seed,), device=device, hooks=hooks)
    except ValueError:
        return study  # none got through all folds in the time left
    return join_studies(views, study, added)


def _chosen_head(result: StudyResult) -> int | None:
    """Return the head that the rule would choose among heads; None where nets from scratch are far ahead."""
    heads = [i for i, c in enumerate(result.configurations) if c.get("backbone")]
    if not heads or not np.isfinite(result.scores_CK[heads].mean(axis=1)).any():
        return None
    choice = one_se_rule(
        result.scores_CK[heads],
        [result.parameters[i] for i in heads],
        greater_is_better=result.greater_is_better,
    )
    best_K, chosen_K = result.scores_CK[heads[choice.best]], result.scores_CK[result.chosen]
    behind_K = chosen_K - best_K if result.greater_is_better else best_K - chosen_K
    k = len(behind_K)
    se = float(behind_K.std(ddof=1) / np.sqrt(k)) if k > 1 else 0.0
    if not result.chosen_config.get("backbone") and behind_K.mean() > _FAR_BEHIND * se:
        return None
    return heads[choice.chosen]


def scratch_views(pictures: Pictures, plan: Plan, *, device: torch.device) -> TensorViews:
    """Return views of the pictures for the few nets from scratch that promise most, beside a backbone."""
    return picture_views(pictures, plan, device=device.type, allowance=_RIVALS * ALLOWANCE[device.type])


def rival(
    views: TensorViews,
    study: StudyRun,
    scratch: TensorViews,
    *,
    seed: int,
    device: torch.device,
    hooks: Hooks,
) -> StudyRun:
    """Train nets from scratch on the same folds and choose among all; as they are where time has ended."""
    if hooks.over():
        return study
    configurations = scratch.configurations("auto")
    try:
        added = cross_validate_views(
            scratch, configurations, seeds=(seed,), device=device, hooks=hooks, halving=scratch.halving
        )
    except ValueError:
        return study
    return join_studies(views, study, added)


def against_scratch(result: StudyResult, name: str) -> dict[str, Any] | None:
    """Return how the best use of a backbone validates against the best net from scratch; None without these.

    Keys: ``backbone`` and ``scratch`` (mean scores), ``se`` of their paired difference over folds (None of
    one fold), ``used`` (whether the chosen model is on the backbone), and ``text``.
    """
    on = np.array([bool(c.get("backbone")) for c in result.configurations])
    if not on.any():
        text = say(
            "There was no time to read the pictures through {name}: nets were trained from scratch.",
            name=name,
        )
        return {"backbone": None, "scratch": None, "se": None, "used": False, "text": text}
    mean_C = result.scores_CK.mean(axis=1)
    loss_C = -mean_C if result.greater_is_better else mean_C
    sides = [np.flatnonzero(side & np.isfinite(loss_C)) for side in (on, ~on)]
    if not all(len(side) for side in sides):
        return None
    mine, other = (int(side[np.argmin(loss_C[side])]) for side in sides)
    difference_K = result.scores_CK[mine] - result.scores_CK[other]
    k = len(difference_K)
    se = float(difference_K.std(ddof=1) / np.sqrt(k)) if k > 1 else None
    used, ahead = bool(on[result.chosen]), loss_C[mine] <= loss_C[other]
    facts = {
        "name": name,
        "metric": {"log_loss": say("log-loss"), "rmse_log": say("RMSE of the logarithm")}.get(
            result.metric, say("RMSE")
        ),
        "backbone": float(mean_C[mine]),
        "scratch": float(mean_C[other]),
        "difference": abs(float(difference_K.mean())),
        "spread": "" if se is None else say(" ± {se:.2g}", se=se),
    }
    if used and ahead:
        text = say(
            "Transfer from {name} validates better than nets trained from scratch: {metric} {backbone:.4g} "
            "against {scratch:.4g} (difference {difference:.2g}{spread}).",
            **facts,
        )
    elif used:
        text = say(
            "Nets trained from scratch are within one standard error of transfer from {name}: {metric} "
            "{scratch:.4g} against {backbone:.4g} (difference {difference:.2g}{spread}). The head on the "
            "backbone was chosen, which has fewer parameters to train.",
            **facts,
        )
    elif ahead:
        text = say(
            "Transfer from {name} is within one standard error of nets trained from scratch: {metric} "
            "{backbone:.4g} against {scratch:.4g} (difference {difference:.2g}{spread}). A net from scratch "
            "was chosen, which has fewer parameters to train.",
            **facts,
        )
    else:
        text = say(
            "Nets trained from scratch validate better than transfer from {name}: {metric} {scratch:.4g} "
            "against {backbone:.4g} (difference {difference:.2g}{spread}). The backbone is not used.",
            **facts,
        )
    return {"backbone": facts["backbone"], "scratch": facts["scratch"], "se": se, "used": used, "text": text}


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
    """Return the multiply-adds of a member's training, whichever of these studies it belongs to."""
    height, width, channels = pictures.pixels.shape[1:]
    if not config.get("backbone"):
        return picture_cost(config, (height, width, channels), rows)
    if is_solved(config):
        return float(_SOLVER_PASSES * rows * backbone.n_features * n_outputs)
    if config.model == TUNED:
        each = backbone_multiply_adds(backbone.name, (height, width, channels))
    else:
        hidden = config.width if config.depth else n_outputs
        each = float(backbone.n_features * hidden + hidden * n_outputs * (config.depth > 0))
    batch = max(1, min(config.batch_size, rows))
    return config.epochs * max(1, rows // batch) * (3.0 * each * batch + _OVERHEAD)


def _outputs(pictures: Pictures) -> int:
    return len(pictures.table.classes) if pictures.table.task == "classification" else 1
