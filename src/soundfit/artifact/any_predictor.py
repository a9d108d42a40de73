"""AnyPredictor: what every saved model offers, whatever its data are."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["AnyPredictor"]


class AnyPredictor(Protocol):
    """A finished model. ``kind`` is ``table``, ``image`` or ``sequence``; ``read`` gives its inputs."""

    @property
    def kind(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def classes(self) -> tuple[Any, ...]: ...
    @property
    def modules(self) -> tuple[Any, ...]: ...
    def read(self, source: Any) -> Any:
        """Return the rows, pictures or sequences of a source."""
        ...

    def outputs(self, inputs: Any) -> NDArray[np.float64]:
        """Return values (N,) in target units, or probabilities (N, C)."""
        ...

    def bounds(self, inputs: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return bounds of the targets (N,), None without an interval."""
        ...

    def predict(self, inputs: Any) -> pd.DataFrame:
        """Return one row per example."""
        ...
