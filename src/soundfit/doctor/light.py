"""What a watch does in the many steps that it does not look at: few lines, none of them a call that can be spared.

A step of a small network takes less than a millisecond, of which each of Python's calls between torch's costs microseconds.
"""

# ruff: noqa: E501

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from soundfit.doctor.lines import user_place
from soundfit.doctor.steps import FULL, rows_due

if TYPE_CHECKING:
    import torch

    from soundfit.doctor.watch import Watch

__all__ = ["due_step", "heard_backward", "heard_step"]

_TIMED = 16  # one in so many steps is timed


def heard_backward(
    watch: Watch, original: Callable[..., Any], loud: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a backward pass that takes note of its loss; of a step that is not looked at, of its value alone.

    Args:
        watch: who is told.
        original: the backward pass as it was.
        loud: the one of all other steps.
    """
    get_ident = threading.get_ident

    @functools.wraps(original)
    def backward(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not watch.quiet or watch.stumbled is not None or get_ident() != watch.thread:
            return loud(tensor, *args, **kwargs)
        try:
            if not watch.optimisers:
                watch.step_by_hand()
            watch.backwards += 1
            watch.backwards_since_step += 1
            if watch.ops.on:  # left by an evaluation
                watch.ops.stop()
            if tensor.dim() or not tensor.is_cpu:
                watch.hear(tensor)
            else:
                value, losses = tensor.item(), watch.recording.loss
                if len(losses) <= watch.step:
                    losses.append(value)
                if value - value != 0.0:
                    watch.hear(tensor)
            watch.last = watch.last_loss = None
        except Exception as error:
            watch.stumble(error)
        return original(tensor, *args, **kwargs)

    return backward


def heard_step(watch: Watch) -> Callable[..., None]:
    """Return a hook that takes note of an optimiser that has stepped."""
    get_ident, clock = threading.get_ident, time.perf_counter

    def after(optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if not watch.quiet or watch.stumbled is not None or get_ident() != watch.thread:
            watch.after_step(optimiser, args, kwargs)
            return
        started = clock() if watch.step % _TIMED == 0 else 0.0
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
                watch.spent_seconds += 2 * _TIMED * (clock() - started)
        except Exception as error:
            watch.stumble(error)

    return after


def due_step(step: int, stride: int) -> int:
    """Return the first step from this one on whose rows are kept."""
    while not rows_due(step, stride):
        step += 1
    return step
