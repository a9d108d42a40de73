"""Gradients: how much of the loss reaches each step of these sequences, in the recurrent nets of a study.

Why a plain RNN learns nothing from what happened long ago and an LSTM does, measured on the data at hand:
at the start of training, with the weights that members began with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundfit.models.memory import gradient_by_step
from soundfit.models.recurrent import RecurrentNet
from soundfit.models.scan import CELLS
from soundfit.models.sequence import SequenceNet
from soundfit.study.cross_validation import StudyRun
from soundfit.study.tensors import TensorViews

__all__ = ["gradients_record"]

_MOST_ROWS = 64


def gradients_record(views: TensorViews, study: StudyRun) -> dict[str, Any]:
    """Return ``gradient_by_step``: per kind of recurrent net its norms (T,) at the start and its score.

    Of each kind the best configuration speaks; norms are those of one fold's training rows. Empty where no
    recurrent net was trained.
    """
    result = study.result
    found = {}
    for kind in CELLS:
        mine = [i for i, c in enumerate(result.configurations) if c.model == kind]
        means = np.array([result.scores_CK[i].mean() for i in mine])
        if not len(mine) or not np.isfinite(means).any():
            continue
        best = mine[int(np.nanargmax(means) if result.greater_is_better else np.nanargmin(means))]
        member = next(m.member for m in result.members if m.member.configuration == best)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(member.seed * 1_000 + member.fold)
            net = views.build(views.member_config(member.config, member.fold)).eval()
        assert isinstance(net, SequenceNet)
        if isinstance(net.body, RecurrentNet) and not net.body.both:
            found[kind] = {
                "norms": _norms(views, net, member.fold),
                "score": float(np.mean(result.scores_CK[best])),
                "metric": result.metric,
            }
    return {"gradient_by_step": found} if found else {}


def _norms(views: TensorViews, net: SequenceNet, fold: int) -> list[float | None]:
    rows = torch.from_numpy(views.rows[views.folds[fold].train[:_MOST_ROWS]])
    x, y = views.data.inputs_VN[0, rows], views.data.targets_VN[0, rows]
    loss = views.loss

    def of(outputs: Tensor) -> Tensor:
        value: Tensor = loss(outputs * net.target_sd + net.target_mean, y, None)
        return value

    assert isinstance(net.body, RecurrentNet)
    norms = gradient_by_step(net.body, x, of)
    return [float(v) if np.isfinite(v) else None for v in norms]
