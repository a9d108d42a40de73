"""What a watch does in the many steps that it does not look at: few lines, none of them a call that can be spared.

A step of a small network takes less than a millisecond, of which each of Python's calls between torch's costs microseconds.
"""

# ruff: noqa: E501

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from soundfit.doctor.lines import user_place
from soundfit.doctor.steps import FULL, rows_due

if TYPE_CHECKING:
    import torch

    from soundfit.doctor.watch import Watch

__all__ = ["due_step", "light_backward", "light_step"]

_TIMED = 16  # one in so many steps is timed


def light_backward(watch: Watch, loss: torch.Tensor) -> None:
    """Receive a loss of a step that is not looked at: its value alone counts."""
    if watch.stumbled is not None:
        return
    try:
        if not watch.optimisers:
            watch.step_by_hand()
        watch.backwards += 1
        watch.backwards_since_step += 1
        if watch.ops.on:  # left by an evaluation
            watch.ops.stop()
        if loss.dim() or not loss.is_cpu:
            watch.hear(loss)
        else:
            value, losses = loss.item(), watch.recording.loss
            if len(losses) <= watch.step:
                losses.append(value)
            if value - value != 0.0:
                watch.hear(loss)
        watch.last = watch.last_loss = None
    except Exception as error:
        watch.stumble(error)


def light_step(watch: Watch, optimiser: torch.optim.Optimizer) -> None:
    """Receive an optimiser that has stepped in a step that was not looked at."""
    if watch.stumbled is not None:
        return
    started = time.perf_counter() if watch.step % _TIMED == 0 else 0.0
    try:
        record = watch.optimisers.get(id(optimiser))
        if record is None:
            record = watch.add_optimiser(optimiser, user_place(watch.step))
        step = watch.step = watch.step + 1
        record.steps += 1
        record.ended = step
        if record.steps == 1:
            record.began = step
        rate, recording = optimiser.param_groups[0]["lr"], watch.recording
        recording.rate.append(rate if type(rate) is float else float(rate))
        if len(recording.loss) < step:
            watch.fill(step)
        watch.backwards_since_step = 0
        watch.light_steps += 1
        main = watch.main
        if main is not None and not main.training:
            watch.light_steps_in_eval_mode += 1
        watch.last = watch.last_loss = None
        watch.full = record.steps + 1 in FULL
        if watch.full or step >= watch.due:
            watch.prepare_next()
        if started:  # what backward() and the forward pass spend in here is as much again
            watch.spent_seconds += 2 * _TIMED * (time.perf_counter() - started)
    except Exception as error:
        watch.stumble(error)


def due_step(step: int, stride: int) -> int:
    """Return the first step from this one on whose rows are kept."""
    while not rows_due(step, stride):
        step += 1
    return step
