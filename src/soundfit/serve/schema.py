"""Schema: OpenAPI schemas of a row and an answer, from the model's columns."""

from __future__ import annotations

from typing import Any

from soundfit.serve.model import ServedModel

__all__ = ["answer_schema", "example_row", "row_schema"]

_TYPES: dict[str, list[str]] = {
    "numeric": ["number", "string", "null"],
    "boolean": ["boolean", "string", "null"],
    "categorical": ["string", "number", "null"],
    "date": ["string", "null"],
}


def example_row(model: ServedModel) -> dict[str, Any]:
    """Return a typical row, with numbers as numbers."""
    row: dict[str, Any] = dict(model.typical)
    for column in model.columns:
        if column.kind == "numeric" and column.typical:
            number = float(column.typical)
            row[column.name] = int(number) if number.is_integer() else number
    return row


def row_schema(model: ServedModel) -> dict[str, Any]:
    """Return the schema of a row: every column, null where the value is unknown."""
    properties = {}
    for column in model.columns:
        told = f"{column.kind}, {column.missing:.0%} missing in training"
        if column.kind == "numeric" and column.low == column.low:
            told += f", from {column.low:g} to {column.high:g}"
        if column.levels:
            told += ": " + ", ".join(column.levels[:20]) + (", …" if len(column.levels) > 20 else "")
        properties[column.name] = {"type": _TYPES[column.kind], "description": told}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "example": example_row(model),
    }


def answer_schema(model: ServedModel) -> dict[str, Any]:
    """Return the schema of an answer."""
    number = {"type": "number"}
    if model.predictor.task == "regression":
        names = ["prediction", *(["low", "high"] if model.predictor.interval is not None else [])]
        return {"type": "object", "properties": dict.fromkeys(names, number)}
    shares = {"type": "object", "additionalProperties": number}
    return {"type": "object", "properties": {"prediction": {}, "probabilities": shares}}
