"""A step of an optimiser without the profiler's record around it: for replays, whose nets are small."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["plain_step"]


def plain_step(optimiser: torch.optim.Optimizer) -> None:
    """Step once, to the same numbers as ``optimiser.step()``.

    torch wraps ``step`` into hooks, a profiler's record and a graph break for its compiler: a third of the
    time of a training step of a small net. Optimisers of torch alone are called inside that; those of others
    may need what they wrap around theirs.
    """
    step = _inside(type(optimiser))
    if step is None or optimiser.defaults.get("differentiable"):
        optimiser.step()
        return
    with torch.no_grad():
        step(optimiser)


def _inside(kind: type[torch.optim.Optimizer]) -> Any:
    if not kind.__module__.startswith("torch.optim.") or kind is torch.optim.LBFGS:
        return None
    step: Any = kind.__dict__.get("step")
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    return step
