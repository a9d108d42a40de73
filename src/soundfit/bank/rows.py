"""Rows: what members read. Inputs and targets, and each member's own training and validation rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BankData", "Feed", "MemberRows"]


class Feed(Protocol):
    """Fills the data anew before each epoch: rows of a table that is larger than memory pass through."""

    @property
    def key(self) -> str:
        """Everything that the rows and their order depend on."""

    def fill(self, epoch: int, data: BankData) -> None:
        """Write the rows of an epoch (from 1) into the data's tensors, in place."""


@dataclass(frozen=True)
class BankData:
    """Inputs (V, N, …) and targets (V, N) or (V, N, C): one view of all rows per preprocessing.

    A fold's statistics are fitted on its training rows alone, so each fold has a view of its own;
    plain arrays that nobody scales have one. With a ``feed`` the rows of an epoch are a block of many.
    """

    inputs_VN: Tensor
    targets_VN: Tensor
    feed: Feed | None = None

    @classmethod
    def of(cls, inputs: NDArray[np.generic] | Tensor, targets: NDArray[np.generic] | Tensor) -> BankData:
        """Return data from arrays with the views' axis; floating types become float32, as parameters are."""
        x, y = torch.as_tensor(inputs), torch.as_tensor(targets)
        x = x.float() if x.is_floating_point() else x
        y = y.float() if y.is_floating_point() else y
        if x.shape[:2] != y.shape[:2]:
            raise ValueError(
                "inputs and targets agree in their first two axes (views, rows), however: "
                f"{tuple(x.shape)} and {tuple(y.shape)}"
            )
        return cls(x.contiguous(), y.contiguous())

    @property
    def n_rows(self) -> int:
        """N, the rows of each view."""
        return self.inputs_VN.shape[1]

    def to(self, device: torch.device) -> BankData:
        """Return the data on a device."""
        return BankData(self.inputs_VN.to(device), self.targets_VN.to(device), self.feed)

    def sample(self, n: int) -> Tensor:
        """Return the first n rows of the first view."""
        return self.inputs_VN[0, :n]


@dataclass(frozen=True)
class MemberRows:
    """One member's rows: its view, training and validation positions, and the seed of its batch order."""

    view: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    order_seed: int

    @cached_property
    def stream(self) -> tuple[int, str, int]:
        """A key that is equal for members that read the same batches."""
        return (self.view, _digest(self.train), self.order_seed)

    @cached_property
    def exam_key(self) -> tuple[int, str, str]:
        """A key that is equal for members that are evaluated on the same rows."""
        return (self.view, _digest(self.train), _digest(self.validation))


def _digest(rows: NDArray[np.int64]) -> str:
    # Members are sorted by it: Python's own hash of bytes differs from process to process.
    return hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest()
