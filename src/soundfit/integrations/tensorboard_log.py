"""TensorBoard: one sub-folder a member, so that its losses are curves of one chart; scores beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from soundfit.integrations.training_log import TrainingLog

__all__ = ["write_tensorboard"]


def write_tensorboard(log: TrainingLog, folder: Path) -> str:
    """Write event files into a folder (replacing those of an earlier session) and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    for member in log.members:
        with SummaryWriter(str(folder / member.name)) as writer:
            for name, values in member.losses.items():
                for epoch, value in zip(member.epochs, values, strict=True):
                    if np.isfinite(value):
                        writer.add_scalar(name, float(value), int(epoch))
    with SummaryWriter(str(folder)) as writer:
        # The current folder: no sub-run named by the time.
        writer.add_hparams(dict(log.parameters), dict(log.scores), run_name=".")
        for name, text in log.words.items():
            writer.add_text(name, text)
    return str(folder)
