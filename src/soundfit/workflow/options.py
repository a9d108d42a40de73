"""Options: what ``train``, ``audit`` and ``study`` have in common, as one record."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from soundfit.errors import UsageError
from soundfit.executors.executor import Executor
from soundfit.records.said import say

__all__ = ["Options", "open_executor", "parse_budget", "parse_memory", "pick_device"]


@dataclass(frozen=True)
class Options:
    """The common options of the command line, checked where they are used.

    ``test`` is a fraction, or the path of a test file; ``budget`` is in seconds (None: no limit),
    ``memory`` in bytes (None: most of what is free).
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
    executor: str = "local"
    ray_address: str | None = None
    memory: int | None = None
    lang: str = "en"
    log_to: str | None = None
    image_size: int | None = None
    backbone: str = "auto"
    weights: str | None = None
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


def parse_memory(text: str | None) -> int | None:
    """Return bytes for ``8GiB``, ``8GB``, ``500MiB`` or a number of bytes; None for None.

    >>> parse_memory("2GiB")
    2147483648

    Raises:
        UsageError: it is none of these, or not positive.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    size = 0
    if found:
        base = 1024 if found[3] or not text.lower().rstrip().endswith("b") else 1000
        size = int(float(found[1]) * base ** "_kmgt".index(found[2] or "_"))
    if size <= 0:
        raise UsageError(
            "Memory is a size such as 8GiB or 500MB",
            received=repr(text),
            fix="write for example --memory 8GiB",
        )
    return size


@contextmanager
def open_executor(options: Options, device: torch.device) -> Iterator[Executor | None]:
    """Give the executor that ``options`` ask for, open while the block runs; None for our own threads.

    Raises:
        UsageError: no such executor, Ray is not installed, or there is no cluster at the address.
    """
    if options.executor not in ("local", "ray"):
        raise UsageError(
            "--executor is local or ray", received=repr(options.executor), fix="leave --executor out"
        )
    if options.executor == "local":
        if options.ray_address is not None:
            raise UsageError(
                "--ray-address goes with --executor ray",
                received=say(
                    "--ray-address {ray_address} and --executor local", ray_address=options.ray_address
                ),
                fix="add --executor ray",
            )
        yield None
        return
    from soundfit.executors.ray import RayExecutor

    with RayExecutor(options.ray_address, gpus=device.type == "cuda") as executor:
        yield executor


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
            received=say("torch {version} sees none", version=torch.__version__),
            fix="use --device cpu, or install a CUDA build of torch",
        )
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if name == "cuda" and processes > gpus:
        raise UsageError(
            "Processes under torchrun have a GPU each",
            received=say("{processes} processes and {gpus} GPUs", processes=processes, gpus=gpus),
            fix="start as many processes as there are GPUs, or use --device cpu",
        )
    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available() and processes <= gpus)
    return torch.device("cuda" if cuda else "cpu")
