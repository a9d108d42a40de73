"""Precision of float32 products and convolutions while a block runs. Knows nothing of banks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["matmul_precision"]


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Compute in ``"highest"``, ``"high"`` (TF32) or ``"medium"``, as ``torch.set_float32_matmul_precision``.

    Convolutions on a GPU run in TF32 but for ``"highest"``; ``"bf16"`` is ``"highest"`` for products outside
    of ``torch.autocast``.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if precision == "bf16" else precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
