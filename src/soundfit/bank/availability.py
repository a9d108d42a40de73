"""Availability: whether Triton's kernels of one kind can be used, and why not. Knows no kernels."""

from __future__ import annotations

import importlib.util
import warnings

import torch

__all__ = ["Availability"]


class Availability:
    """Whether kernels can be used; once they failed they are never tried again in this process.

    Args:
        what: the kernels, in words.

    Attributes:
        reason: why they are not used on a GPU; empty while nothing speaks against it.

    Example:
        >>> Availability("fused AdamW").on(torch.device("cpu"))
        False
    """

    def __init__(self, what: str) -> None:
        self.what, self.reason = what, ""

    def on(self, device: torch.device) -> bool:
        """Return whether kernels may be used on a device: a GPU, Triton is there, and nothing failed."""
        if device.type != "cuda" or self.reason:
            return False
        if importlib.util.find_spec("triton") is None:
            self.reason = "Triton is not installed"
        return not self.reason

    def give_up(self, error: Exception) -> None:
        """Never use them again in this process, and say why."""
        first_line = (str(error).strip().splitlines() or [""])[0]
        self.reason = f"{type(error).__name__}: {first_line[:200]}"
        warnings.warn(
            f"{self.what} is not available ({self.reason}); training goes on without",
            RuntimeWarning,
            stacklevel=3,
        )
