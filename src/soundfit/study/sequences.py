"""Sequences in a study: what is tried on them, what it costs, and what other kinds of model read of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.data.sequences import Sequences, channel_statistics
from soundfit.models.scan import CELLS
from soundfit.models.sequence import SEQUENCE_MODELS, build_sequence_net
from soundfit.records import Config, Plan
from soundfit.study.tensors import Family, TensorViews, tensor_views
from soundfit.study.views import median_rows

__all__ = ["sequence_configurations", "sequence_cost", "sequence_epochs", "sequence_views"]

# Inputs up to which nets of fixed size read all steps side by side.
_MOST_FLAT = 4_096
# What an operation costs beside its arithmetic, and a value through a gate, in multiply-adds.
_DISPATCH, _GATE = 40_000.0, 30.0
_OPERATIONS_A_STEP = {"lstm": 13, "gru": 17, "rnn": 6}


def sequence_views(sequences: Sequences, plan: Plan) -> TensorViews:
    """Return the views of a plan's non-test sequences."""
    steps, table = sequences.steps, sequences.table
    n_steps, n_channels = steps.shape[1], steps.shape[2] - 1
    n_outputs = len(table.classes) if table.task == "classification" else 1
    seen = steps[plan.train]
    missing = [c for c in range(n_channels) if bool((np.isnan(seen[:, :, c]) & (seen[:, :, -1] > 0.5)).any())]
    n_inputs = n_channels + len(missing)
    n_train = median_rows(plan.folds)

    def statistics(rows: NDArray[np.int64]) -> Mapping[str, Any]:
        center, spread = channel_statistics(steps, rows)
        return {"center": tuple(map(float, center)), "spread": tuple(map(float, spread)), "missing": missing}

    family = Family(
        build=partial(build_sequence_net, n_steps=n_steps, n_outputs=n_outputs),
        configurations=lambda model: sequence_configurations(n_train, n_steps, n_inputs, model=model),
        cost=lambda config, rows: sequence_cost(config, n_steps, n_inputs, rows),
        statistics=statistics,
        features=lambda rows: _features(sequences, rows),
    )
    return tensor_views(table, steps, plan, family)


def _features(sequences: Sequences, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the summaries as columns of mean 0 and deviation 1 over these rows."""
    used = list(sequences.table.used)
    values = sequences.table.frame[used].to_numpy(dtype=np.float64)[rows]
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    centred = np.where(known, values - mean, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    return (centred / np.where(deviation > 0, deviation, 1.0)).astype(np.float32)


def sequence_epochs(n_train: int, n_steps: int) -> tuple[int, int]:
    """Return batch size and epochs: 1,000 updates for short sequences, up to 2,500 for long ones.

    What holds over a hundred steps is found after a thousand updates or so, or not at all, however many
    sequences there are.
    """
    batch = 32 if n_train < 1_000 else 64 if n_train < 20_000 else 128
    a_pass = max(n_train // batch, 1)
    updates = int(np.clip(25 * n_steps, 1_000, 2_500))
    return batch, int(np.clip(updates // a_pass, 10, 120))


def sequence_configurations(
    n_train: int, n_steps: int, n_inputs: int, *, model: str = "auto"
) -> tuple[Config, ...]:
    """Return what ``train`` tries: linear models and MLPs on summaries and on all steps, RNN, GRU, LSTM.

    Gated nets start with time scales up to the sequences' length (Tallec & Ollivier 2018), or with forget
    gates open alone; gradients are clipped to norm 1 (Pascanu, Mikolov & Bengio 2013).
    """
    batch, epochs = sequence_epochs(n_train, n_steps)
    base = Config(batch_size=batch, epochs=epochs, patience=epochs // 2)
    fixed = base.with_(weight_decay=0.02)
    reads = ["summary", *(["steps"] if n_steps * (n_inputs + 1) <= _MOST_FLAT else [])]
    flat = [
        config.with_(reads=what)
        for what in reads
        for config in (
            fixed.with_(model="linear", width=0, depth=0, warmup=0.0, learning_rate=0.01),
            fixed.with_(model="mlp", width=64, depth=2, dropout=0.15, weight_decay=0.3, learning_rate=0.03),
        )
    ]
    recurrent = base.with_(width=32, depth=1, gradient_clip=1.0, weight_decay=0.01)
    gated = recurrent.with_(learning_rate=0.01)
    nets = [
        recurrent.with_(model="rnn", learning_rate=0.003),
        *(gated.with_(model=kind, memory=n_steps) for kind in ("gru", "lstm")),
        *(gated.with_(model=kind) for kind in ("gru", "lstm")),
        *(gated.with_(model=k, memory=n_steps, dropout=0.3, weight_decay=0.1) for k in ("gru", "lstm")),
    ]
    if model in SEQUENCE_MODELS:
        return tuple(c for c in (*flat, *nets) if c.model == model)
    return (*flat, *nets)


def sequence_cost(config: Config, n_steps: int, n_inputs: int, n_train: int) -> float:
    """Return the multiply-adds of a member's training: three passes a step, and what dispatch costs."""
    batch = max(1, min(config.batch_size, n_train))
    updates = config.epochs * max(1, n_train // batch)
    if config.model in CELLS:
        gates = CELLS[config.model].gates * config.width
        directions = 2 if config.get("both", False) else 1
        products = 3.0 * gates * (n_inputs + 1 + config.width) + _GATE * gates
        a_step = products * batch + _DISPATCH * _OPERATIONS_A_STEP[config.model]
        return updates * n_steps * directions * config.depth * a_step
    read = 6 * n_inputs + 1 if config.get("reads", "summary") == "summary" else n_steps * (n_inputs + 1)
    width = max(config.width, 1)
    parameters = read * width + max(config.depth - 1, 0) * width**2 + n_steps * n_inputs * 8
    return updates * (3.0 * parameters * batch + 60 * _DISPATCH)
