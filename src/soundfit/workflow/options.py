"""Options: what ``train``, ``audit`` and ``study`` have in common, as one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from soundfit.errors import UsageError

__all__ = ["Options", "parse_budget", "pick_device"]


@dataclass(frozen=True)
class Options:
    """The common options of the command line, checked where they are used.

    ``test`` is a fraction, or the path of a test file; ``budget`` is in seconds (None: no limit).
    """

    target: str = ""
    task: str = "auto"
    folds: str = "auto"
    test: str = "0.2"
    group: tuple[str, ...] = ()
    time: str | None = None
    gap: str = "0"
    fold_column: str | None = None
    stratify: bool | None = None
    drop: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    seed: int = 0
    device: str = "auto"
    budget: float | None = None
    model: str = "auto"
    keep_sealed: bool = False
    out: Path | None = None
    nested: bool = False
    resume: bool = False
    lang: str = "en"
    image_size: int | None = None
    sequence: str = ""
    command: str = "<python>"


def parse_budget(text: str | None) -> float | None:
    """Return seconds for ``90``, ``90s``, ``5m`` or ``1.5h``; None for None.

    >>> parse_budget("5m")
    300.0

    Raises:
        UsageError: it is none of these, or not positive.
    """
    if text is None:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise UsageError(
            "A budget is a time above 0 such as 90s, 5m or 1h",
            received=repr(text),
            fix="write for example --budget 5m",
        )
    return seconds


def pick_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: no such device, or none here.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError("A device is auto, cpu or cuda", received=repr(name), fix="leave --device out")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda needs a CUDA GPU that torch can use",
            received=f"torch {torch.__version__} sees none",
            fix="use --device cpu, or install a CUDA build of torch",
        )
    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")
