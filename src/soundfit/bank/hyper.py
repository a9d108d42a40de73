"""Hyper: the members' hyper-parameters as columns on the device. State, not constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from soundfit.models.counter import stir
from soundfit.records import Config

__all__ = ["Hyper"]


@dataclass
class Hyper:
    """Columns (M, 1), seeds (M,), and which of the rarer ones any member uses."""

    learning_rate_M1: Tensor
    weight_decay_M1: Tensor
    momentum_M1: Tensor
    clip_M1: Tensor
    l1_M1: Tensor
    smoothing_M1: Tensor
    noise_M1: Tensor
    seed_M: Tensor
    any_clip: bool
    any_l1: bool
    any_noise: bool
    any_smoothing: bool

    @classmethod
    def of(cls, configs: Sequence[Config], seeds: Sequence[int], device: torch.device) -> Hyper:
        """Collect the columns from one configuration and one seed per member."""

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(1)

        return cls(
            column([c.learning_rate for c in configs]),
            column([c.weight_decay for c in configs]),
            column([c.momentum for c in configs]),
            column([c.gradient_clip or float("inf") for c in configs]),
            column([c.l1 for c in configs]),
            column([c.label_smoothing for c in configs]),
            column([c.input_noise for c in configs]),
            torch.tensor([stir(s) for s in seeds], dtype=torch.int32, device=device),
            any(c.gradient_clip > 0 for c in configs),
            any(c.l1 > 0 for c in configs),
            any(c.input_noise > 0 for c in configs),
            any(c.label_smoothing > 0 for c in configs),
        )

    def select(self, rows: Tensor) -> Hyper:
        """Return the columns of the members at ``rows``."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith(("_M1", "_M"))}
        return replace(self, **{name: c.index_select(0, rows) for name, c in columns.items()})
