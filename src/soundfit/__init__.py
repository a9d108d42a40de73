"""soundfit: supervised model training done right.

The names below are loaded when they are first used, so that ``soundfit --help`` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Config": "soundfit.records",
    "Halving": "soundfit.study.halving",
    "Plan": "soundfit.records",
    "Run": "soundfit.workflow.run",
    "StudyResult": "soundfit.records",
    "Table": "soundfit.data.table",
    "audit": "soundfit.data.audit",
    "capacity_curve": "soundfit.workflow.study",
    "cross_validate": "soundfit.study.cross_validation",
    "doctor": "soundfit.doctor",
    "learning_curve": "soundfit.workflow.study",
    "learning_rate_range": "soundfit.workflow.study",
    "load": "soundfit.artifact",
    "read": "soundfit.data.source",
    "regularization_path": "soundfit.workflow.study",
    "split": "soundfit.data.split",
    "train": "soundfit.workflow.api",
}

__all__ = [
    "Config",
    "Halving",
    "Plan",
    "Run",
    "StudyResult",
    "Table",
    "__version__",
    "audit",
    "capacity_curve",
    "cross_validate",
    "doctor",
    "learning_curve",
    "learning_rate_range",
    "load",
    "read",
    "regularization_path",
    "split",
    "train",
]

if TYPE_CHECKING:
    from soundfit.artifact import load_predictor as load
    from soundfit.data.audit import audit
    from soundfit.data.source import read
    from soundfit.data.split import split
    from soundfit.data.table import Table
    from soundfit.doctor import doctor
    from soundfit.records import Config, Plan, StudyResult
    from soundfit.study.cross_validation import cross_validate
    from soundfit.study.halving import Halving
    from soundfit.workflow.api import train
    from soundfit.workflow.run import Run
    from soundfit.workflow.study import (
        capacity_curve,
        learning_curve,
        learning_rate_range,
        regularization_path,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'soundfit' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return getattr(module, _ALIASES.get(name, name))


_ALIASES = {"load": "load_predictor"}


def __dir__() -> list[str]:
    return list(__all__)
