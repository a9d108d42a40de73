"""Predict: a run's model on the rows of a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundfit.artifact import load_predictor
from soundfit.errors import UsageError
from soundfit.records.said import say

__all__ = ["predict_file"]

_ENDINGS = (".csv", ".parquet", ".json")


def predict_file(run: str | Path, data: str | Path, output: Path | None) -> str:
    """Write one prediction per row, in order; without ``output`` return them as CSV text.

    Raises:
        UsageError: no such run, an ending that is not known, or a place that cannot be written.
        DataError: the data lack a column that the model reads.
    """
    if output is not None and output.suffix.lower() not in _ENDINGS:
        raise UsageError(
            say("Predictions are written as {list}", list=", ".join(_ENDINGS)),
            received=say("-o {output}", output=output),
            fix=say("write -o {with_suffix}", with_suffix=output.with_suffix(".csv")),
        )
    predictor = load_predictor(run)
    predictions = predictor.predict(predictor.read(data))
    if output is None:
        return predictions.to_csv(index=False)
    try:
        _write(predictions, output)
    except OSError as error:
        raise UsageError(
            "Predictions are written where there is room and permission",
            received=str(error),
            fix="choose another -o",
        ) from error
    return ""


def _write(predictions: pd.DataFrame, output: Path) -> None:
    partial = output.with_name(f".{output.name}.part")
    if output.suffix.lower() == ".csv":
        predictions.to_csv(partial, index=False)
    elif output.suffix.lower() == ".parquet":
        predictions.to_parquet(partial, index=False)
    else:
        predictions.to_json(partial, orient="records", force_ascii=False, indent=1, double_precision=15)
    partial.replace(output)
