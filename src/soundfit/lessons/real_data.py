"""Real data that come with soundfit or scikit-learn: house prices and handwritten digits. No network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from soundfit.errors import UsageError
from soundfit.records.said import say

__all__ = ["digits", "house_numbers", "house_prices_file"]

Array = NDArray[np.float64]


def house_prices_file() -> Path:
    """Return the table of 2,930 house prices: beside the package, or in its repository.

    Raises:
        UsageError: it is in neither place.
    """
    here = Path(__file__).parent
    for path in (here / "ames.csv", here.parents[2] / "examples" / "ames.csv"):
        if path.is_file():
            return path
    raise UsageError(
        "This lesson reads ames.csv, which is installed with soundfit",
        received=say("no such file in {here}", here=here),
        fix="install soundfit again, or run it from its repository",
    )


def house_numbers(n: int, *, seed: int = 0) -> tuple[Array, Array]:
    """Return the numeric columns (n, F) of randomly drawn houses and log10 of their prices (n,)."""
    frame = pd.read_csv(house_prices_file()).sample(n, random_state=seed)
    target = np.log10(frame.pop("Sale_Price").to_numpy(float))
    numbers = frame.select_dtypes("number").fillna(0.0)
    return numbers.to_numpy(float), target


def digits() -> tuple[Array, NDArray[np.int64]]:
    """Return 1,797 handwritten digits, 8 × 8 pixels each (N, 64) from -1 to 1, and which they are (N,)."""
    bunch = load_digits()
    return np.asarray(bunch.data / 8.0 - 1.0), np.asarray(bunch.target, dtype=np.int64)
