"""Program: a predictor as one ONNX model, raw columns in, predictions out.

Each member reads the columns through its own preprocessing, as in ``Predictor``; outputs are averaged on
the scale of training (or as probabilities), the interval is laid around the mean, and the target's
transform is undone at the end.
"""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import numpy as np
from onnx import ModelProto, checker

import soundfit
from soundfit.artifact.onnx.columns import Columns, RawFeatures
from soundfit.artifact.onnx.graph import BOOL, DOUBLE, FLOAT, INT64, STRING, Graph
from soundfit.artifact.onnx.nets import add_net
from soundfit.artifact.predictor import Predictor
from soundfit.data.encoder import CLIP, SMOOTH, Encoder
from soundfit.data.target import TargetScale
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import TINY

__all__ = ["add_classes", "add_values", "onnx_model"]

_LARGEST_EXPONENT = 709.0


def onnx_model(predictor: Predictor) -> ModelProto:
    """Return the predictor as an ONNX model.

    Inputs, one per column that the model reads, each of shape (rows,): numeric columns double, NaN where
    missing; all others text, "" where missing. Outputs: for regression ``prediction``, with ``low`` and
    ``high`` where there is an interval, double (rows,); for classes ``prediction`` (rows,) in the type of
    the labels and ``probabilities`` double (rows, C). A trailing underscore keeps an output's name apart
    from a column of that name.

    Raises:
        UsageError: a layer that cannot be exported.
    """
    graph = Graph()
    columns = Columns(graph)
    scaled: dict[int, str] = {}
    members = []
    for module, encoder in zip(predictor.modules, predictor.encoders, strict=True):
        if id(encoder) not in scaled:
            scaled[id(encoder)] = _scaled(graph, columns.features(encoder.layout), encoder)
        members.append(graph.cast(add_net(module, graph, scaled[id(encoder)]), DOUBLE))
    if predictor.task == "classification":
        add_classes(graph, members, predictor.classes, predictor.temperature, predictor.shares)
    else:
        values = [_unscaled(graph, v, s) for v, s in zip(members, predictor.scales, strict=True)]
        add_values(graph, values, predictor.scales[0].transform, predictor.interval, predictor.shares)
    model = graph.model(
        name="soundfit",
        doc=_doc(predictor, graph),
        metadata=_metadata(predictor),
        version=soundfit.__version__,
    )
    checker.check_model(model, full_check=True)
    return model


def _scaled(graph: Graph, raw: RawFeatures, encoder: Encoder) -> str:
    """Scale one member's features: (rows, F) float."""
    numeric = encoder.numeric
    parts = []
    if raw.continuous:
        z = graph.op("Sub", raw.continuous, graph.constant(encoder.median[numeric]))
        z = graph.op("Div", z, graph.constant(encoder.scale[numeric]))
        z = graph.op("Clip", z, _double(graph, -CLIP), _double(graph, CLIP))
        square = graph.op("Div", z, _double(graph, SMOOTH))
        square = graph.op("Mul", square, square)
        z = graph.op("Div", z, graph.op("Sqrt", graph.op("Add", square, _double(graph, 1.0))))
        z = graph.op("Where", graph.op("IsNaN", raw.continuous), _double(graph, 0.0), z)
        parts.append(graph.cast(z, FLOAT))
    if raw.indicators:
        parts.append(raw.indicators)
    x = graph.beside(parts)
    place = np.empty(len(numeric), dtype=np.int64)
    place[numeric] = np.arange(numeric.sum())
    place[~numeric] = numeric.sum() + np.arange((~numeric).sum())
    if (place != np.arange(len(place))).any():
        x = graph.op("Gather", x, graph.constant(place), axis=1)
    if not encoder.active.all():
        x = graph.op("Mul", x, graph.constant(encoder.active.astype(np.float32)))
    return x


def add_classes(
    graph: Graph, members: list[str], classes: tuple[Any, ...], temperature: float, weights: tuple[float, ...]
) -> None:
    """Average members' logits (rows, C), double, as probabilities, and declare the outputs."""
    shares = []
    for logits in members:
        share = graph.op("Softmax", logits, axis=1)
        if temperature != 1.0:
            floor = graph.op("Max", share, _double(graph, TINY))
            cooled = graph.op("Div", graph.op("Log", floor), _double(graph, temperature))
            share = graph.op("Softmax", cooled, axis=1)
        shares.append(share)
    mean = _mean(graph, shares, weights)
    best = graph.op("ArgMax", mean, axis=1, keepdims=0)
    labels, kind = _labels(classes)
    prediction = graph.op("Gather", graph.constant(labels), best)
    graph.output(_free("prediction", graph), prediction, kind, ["rows"])
    graph.output(_free("probabilities", graph), mean, DOUBLE, ["rows", len(classes)])


def _labels(classes: tuple[Any, ...]) -> tuple[Any, int]:
    plain = [c.item() if isinstance(c, np.generic) else c for c in classes]
    for kind, dtype, onnx_kind in (
        (bool, np.bool_, BOOL),
        (int, np.int64, INT64),
        (float, np.float64, DOUBLE),
    ):
        if all(type(c) is kind for c in plain) and (kind is not int or max(map(abs, plain)) < 2**63):
            return np.array(plain, dtype=dtype), onnx_kind
    return np.array([str(c) for c in plain], dtype=object), STRING


def add_values(
    graph: Graph,
    members: list[str],
    transform: str,
    interval: PredictionInterval | None,
    weights: tuple[float, ...],
    limits: tuple[float, float] | None = None,
) -> None:
    """Average members' values (rows, 1), double, on the transformed scale, and declare the outputs.

    ``limits``: what values are clipped to before the transform is undone.
    """
    mean = _mean(graph, members, weights)
    outputs = {"prediction": mean}
    if interval is not None:
        for name in ("low", "high"):
            outputs[name] = graph.op("Add", mean, _interpolated(graph, mean, interval, name))
    if limits is not None:
        low, high = (_double(graph, limit) for limit in limits)
        outputs = {name: graph.op("Clip", value, low, high) for name, value in outputs.items()}
    for name, value in outputs.items():
        graph.output(_free(name, graph), graph.flat(_undone(graph, value, transform)), DOUBLE, ["rows"])


def _unscaled(graph: Graph, value: str, scale: TargetScale) -> str:
    """Return one member's values on the transformed scale (``TargetScale.transformed``)."""
    value = graph.op("Add", graph.op("Mul", value, _double(graph, scale.sd)), _double(graph, scale.mean))
    low, high = scale.limits
    return graph.op("Clip", value, _double(graph, low), _double(graph, high))


def _interpolated(graph: Graph, x: str, interval: PredictionInterval, side: str) -> str:
    """Return the interval's offsets at x (rows, 1): piecewise linear, flat outside."""
    at, offset = interval.at, getattr(interval, side)
    if len(at) == 1:
        return _double(graph, float(offset[0]))
    steps = graph.op("Min", graph.op("Max", x, graph.constant(at[None, :-1])), graph.constant(at[None, 1:]))
    steps = graph.op("Sub", steps, graph.constant(at[None, :-1]))
    slopes = graph.constant(np.diff(offset)[:, None] / np.diff(at)[:, None])
    return graph.op("Add", graph.op("MatMul", steps, slopes), _double(graph, float(offset[0])))


def _undone(graph: Graph, value: str, transform: str) -> str:
    if transform == "identity":
        return value
    value = graph.op("Exp", graph.op("Min", value, _double(graph, _LARGEST_EXPONENT)))
    return value if transform == "log" else graph.op("Sub", value, _double(graph, 1.0))


def _mean(graph: Graph, values: list[str], shares: tuple[float, ...]) -> str:
    weighted = [graph.op("Mul", v, _double(graph, w)) for v, w in zip(values, shares, strict=True)]
    return reduce(lambda a, b: graph.op("Add", a, b), weighted)


def _double(graph: Graph, value: float) -> str:
    return graph.constant(value, np.float64)


def _free(name: str, graph: Graph) -> str:
    while name in graph.inputs:
        name += "_"
    return name


def _doc(predictor: Predictor, graph: Graph) -> str:
    kinds = "numeric columns as double with NaN for missing, others as text with '' for missing"
    return (
        f"Predicts {predictor.target!r} ({predictor.task}) from {len(graph.inputs)} raw columns: {kinds}. "
        f"An ensemble of {len(predictor.modules)} {predictor.config.model} models, made by soundfit."
    )


def _metadata(predictor: Predictor) -> dict[str, str]:
    read = predictor.encoders[0].layout.blocks
    plain = [c.item() if isinstance(c, np.generic) else c for c in predictor.classes]
    told: dict[str, Any] = {
        "task": predictor.task,
        "target": predictor.target,
        "columns": [{"name": b.column, "kind": b.kind, "format": b.format} for b in read],
        "classes": plain,
        "members": len(predictor.modules),
        "interval": predictor.interval.level if predictor.interval is not None else None,
    }
    return {"soundfit": json.dumps(told, ensure_ascii=False)}
