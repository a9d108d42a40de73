"""Training log: what a tracker is told of a training: series of the chosen members, parameters, scores.

Knows no tracker: :func:`write_log` hands the log to the one that is asked for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.errors import UsageError
from soundfit.records import StudyResult
from soundfit.records.said import say

__all__ = ["TRACKERS", "MemberSeries", "TrainingLog", "check_tracker", "training_log", "write_log"]

#: Name of ``--log-to`` → the module that must be there.
TRACKERS = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
_SERIES = ("training_loss", "validation_loss")


@dataclass(frozen=True)
class MemberSeries:
    """Losses of one member: ``epochs`` (E,) from 1, and by name (E,) values, NaN where none was measured."""

    name: str
    epochs: NDArray[np.int64]
    losses: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class TrainingLog:
    """One training for a tracker.

    Attributes:
        name: of the run.
        members: the chosen configuration's members.
        parameters: of the chosen configuration and the split.
        scores: final ones, finite.
        words: the verdict and the command.
        finished: whether the training came to its end.
    """

    name: str
    members: tuple[MemberSeries, ...]
    parameters: Mapping[str, str | int | float | bool]
    scores: Mapping[str, float]
    words: Mapping[str, str]
    finished: bool = True


def check_tracker(name: str) -> None:
    """Refuse a tracker that is unknown or not installed, before any work is done.

    Raises:
        UsageError: with the line that installs it.
    """
    if name not in TRACKERS:
        raise UsageError(
            say("--log-to is {list}", list=" or ".join(TRACKERS)),
            received=repr(name),
            fix="leave --log-to out",
        )
    try:
        importlib.import_module(TRACKERS[name])
    except ImportError as error:
        raise UsageError(
            say("--log-to {name} needs {name}", name=name),
            received=say("an environment without it ({error})", error=error),
            fix=say("pip install 'soundfit[{name}]', or leave --log-to out", name=name),
        ) from None


def training_log(
    document: Mapping[str, Any], result: StudyResult, *, name: str, finished: bool
) -> TrainingLog:
    """Return what trackers are told: ``document`` is the content of ``run.json``."""
    mine = [m for m in result.members if m.member.configuration == result.chosen]
    several = len({m.member.seed for m in mine}) > 1
    members = tuple(
        MemberSeries(
            f"fold-{m.member.fold}" + (f"-seed-{m.member.seed}" if several else ""),
            m.trace.at.astype(np.int64),
            {loss: m.trace.series[loss] for loss in _SERIES},
        )
        for m in mine
    )
    data, split, chosen = document["data"], document["split"], document["chosen"]
    given: dict[str, Any] = {
        **chosen,
        "data": data["path"],
        "rows": data["rows"],
        "target": data["target"],
        "task": data["task"],
        "split": split["kind"],
        "folds": split["folds"],
        "seed": split["seed"],
    }
    parameters = {k: v for k, v in given.items() if isinstance(v, str | int | float)}
    return TrainingLog(
        name,
        members,
        parameters,
        _scores(document),
        {"verdict": document["verdict"]["text"], "command": document["command"]},
        finished,
    )


def _scores(document: Mapping[str, Any]) -> dict[str, float]:
    metric, exam = document["cv"]["metric"], document["exam"] or {}
    found = {
        f"validation/{metric}": document["cv"]["value"],
        f"validation/{metric}_se": document["cv"]["se"],
        **{f"baseline/{b['name']}/{metric}": b["value"] for b in document["baselines"]},
        "seconds": document["seconds"],
    }
    if exam:
        found |= {f"exam/{exam['metric']}": exam["value"]}
        found |= {f"exam/{exam['metric']}_{end}": exam.get(end) for end in ("low", "high")}
        found |= {f"exam/{other}": value for other, value in (exam.get("others") or {}).items()}
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float) and math.isfinite(v)}


def write_log(tracker: str, log: TrainingLog, out: Path) -> str:
    """Hand the log to the tracker and return where it went (a folder in ``out``, or a server)."""
    if tracker == "tensorboard":
        from soundfit.integrations.tensorboard_log import write_tensorboard

        return write_tensorboard(log, out / "tensorboard")
    from soundfit.integrations.mlflow_log import write_mlflow

    return write_mlflow(log, out / "mlflow")
