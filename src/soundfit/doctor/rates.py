"""Outputs that are rates already, under a loss that takes its input for their logarithms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["taken_as_rates"]


def taken_as_rates(patch: Callable[[Any, str, Any], None]) -> None:
    """Let a Poisson loss take its input for rates."""
    original = F.poisson_nll_loss

    @functools.wraps(original)
    def loss(input: torch.Tensor, target: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = dict(zip(("log_input", "full", "size_average", "eps"), args, strict=False)) | kwargs
        made: torch.Tensor = original(input, target, **{**given, "log_input": False})
        return made

    patch(F, "poisson_nll_loss", loss)
