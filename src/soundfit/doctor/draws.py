"""Draws: whatever is drawn while a training is looked at, the script goes on with the numbers it would have drawn."""

# ruff: noqa: E501

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["same_draws"]


@contextmanager
def same_draws() -> Iterator[None]:
    """Put the states of Python's, numpy's and torch's shared generators back at the end.

    >>> import random
    >>> random.seed(0); first = random.random(); random.seed(0)
    >>> with same_draws():
    ...     _ = random.random()
    >>> random.random() == first
    True
    """
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 the script's own
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002 the script's own
        torch.set_rng_state(tensors)
