"""Sequences: a predictor on sequences as one ONNX model, steps in, predictions out.

Recurrent layers become ONNX's own LSTM, GRU and RNN. Their biases are the weights of the presence, an input
that is 0 in padding, so that a state stays 0 until its sequence begins, as in training.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import ModelProto, checker
from torch import Tensor, nn

import soundfit
from soundfit.artifact.onnx.graph import DOUBLE, FLOAT, Graph
from soundfit.artifact.onnx.nets import add_net
from soundfit.artifact.onnx.program import add_classes, add_values
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.errors import UsageError
from soundfit.models.recurrent import RecurrentLayer, RecurrentNet
from soundfit.models.sequence import FixedNet, SequenceNet, StepsReader, SummaryReader
from soundfit.models.sequence_input import MOST_SPREADS, SequenceInput

__all__ = ["sequence_model"]

INPUT = "steps"
# ONNX's operator by kind, and for each of its gates which of ours it is: i, o, f, c of o, i, f, g; z, r, h of
# r, z, n.
_OPERATORS = {"lstm": ("LSTM", (1, 0, 2, 3)), "gru": ("GRU", (1, 0, 2)), "rnn": ("RNN", (0,))}


def sequence_model(predictor: SequencePredictor) -> ModelProto:
    """Return the predictor as an ONNX model.

    Input ``steps``, float (rows, steps, F + 1): channels in the order of the metadata, NaN where missing,
    sequences aligned at their ends, and as the last channel 1 where a step is there, 0 in the padding before
    it. Recurrent nets take any number of steps, others as many as were trained on. Outputs as of a model on
    tables.

    Raises:
        UsageError: a net that cannot be exported.
    """
    graph = Graph()
    n_channels = len(predictor.layout.channels)
    steps = "steps" if predictor.any_length else predictor.n_steps
    x = graph.input(INPUT, FLOAT, ["rows", steps, n_channels + 1])
    members = [graph.cast(_net(graph, module, x), DOUBLE) for module in predictor.modules]
    share = predictor.shares
    if predictor.task == "classification":
        add_classes(graph, members, predictor.classes, predictor.temperature, share)
    else:
        unit = predictor.unit
        add_values(graph, members, unit.transform, predictor.interval, share, unit.limits)
    told = {
        "task": predictor.task,
        "target": predictor.target,
        "channels": list(predictor.layout.channels),
        "classes": [c.item() if isinstance(c, np.generic) else c for c in predictor.classes],
        "members": len(members),
        "interval": predictor.interval.level if predictor.interval is not None else None,
    }
    kinds = sorted({config.model for config in predictor.configs or (predictor.config,)})
    model = graph.model(
        name="soundfit",
        doc=(
            f"Predicts {predictor.target!r} ({predictor.task}) from sequences of {n_channels} channels, "
            "aligned at their ends, NaN for missing; the last is 1 where a step is there, 0 in padding. "
            f"An ensemble of {len(members)} {' and '.join(kinds)} models, made by soundfit."
        ),
        metadata={"soundfit": json.dumps(told, ensure_ascii=False)},
        version=soundfit.__version__,
    )
    checker.check_model(model, full_check=True)
    return model


def _net(graph: Graph, module: nn.Module, x: str) -> str:
    assert isinstance(module, SequenceNet)
    body = module.body
    if isinstance(body, RecurrentNet):
        outputs = _recurrent(graph, body, x)
    else:
        assert isinstance(body, FixedNet)
        assert isinstance(body.net, nn.Module)
        outputs = add_net(body.net, graph, _read(graph, body.reader, x))
    outputs = graph.op("Mul", outputs, _float(graph, module.target_sd))
    return graph.op("Add", outputs, _float(graph, module.target_mean))


def _inputs(graph: Graph, inputs: SequenceInput, x: str) -> tuple[str, str]:
    """Return standardised inputs (T, rows, I) and the presence (T, rows, 1), as ``SequenceInput`` does."""
    x = graph.op("Transpose", x, perm=[1, 0, 2])
    sizes = graph.constant([len(inputs.center), 1], np.int64)
    values, said = graph.ops("Split", x, sizes, n_outputs=2, axis=2)
    there = graph.op("Greater", said, _number(graph, 0.5))
    present = graph.cast(there, FLOAT)
    z = graph.op("Div", graph.op("Sub", values, _float(graph, inputs.center)), _float(graph, inputs.spread))
    unknown = graph.op("IsNaN", z)
    nothing = graph.op("Or", unknown, graph.op("Not", there))
    z = graph.op("Where", nothing, _number(graph, 0.0), z)
    z = graph.op("Clip", z, _number(graph, -MOST_SPREADS), _number(graph, MOST_SPREADS))
    if inputs.missing:
        some = graph.op("Gather", unknown, graph.constant(inputs.missing, np.int64), axis=2)
        z = graph.op("Concat", z, graph.op("Mul", graph.cast(some, FLOAT), present), axis=2)
    return z, present


def _recurrent(graph: Graph, net: RecurrentNet, x: str) -> str:
    if net.both:
        raise UsageError(
            "Export to ONNX knows recurrent nets in one direction",
            received="a net that also reads from the end to the beginning",
            fix="train without both=True",
        )
    h, present = _inputs(graph, net.inputs, x)
    for level, layer in enumerate(net.layers):
        assert isinstance(layer, RecurrentLayer)
        every, last = _layer(graph, layer, graph.op("Concat", h, present, axis=2))
        h = every
        if level == net.depth - 1:
            h = last if net.readout == "last" else _mean(graph, every, present)
    return add_net(net.output, graph, h)


def _layer(graph: Graph, layer: RecurrentLayer, x: str) -> tuple[str, str]:
    """Return states of all steps (T, rows, H) and the last ones (rows, H)."""
    operator, order = _OPERATORS[layer.kind]
    weight = np.concatenate([layer.weight_ih.detach().numpy(), layer.bias.detach().numpy()[:, None]], axis=1)
    recurrent = layer.weight_hh.detach().numpy()

    def ordered(given: np.ndarray) -> str:
        gates = np.split(given, len(order))
        return graph.constant(np.concatenate([gates[k] for k in order])[None].astype(np.float32))

    extra: dict[str, Any] = {"linear_before_reset": 1} if layer.kind == "gru" else {}
    every, last = graph.ops(
        operator, x, ordered(weight), ordered(recurrent), n_outputs=2, hidden_size=layer.width, **extra
    )
    one = graph.constant([1], np.int64)
    return graph.op("Squeeze", every, one), graph.op("Squeeze", last, graph.constant([0], np.int64))


def _mean(graph: Graph, states: str, present: str) -> str:
    first = graph.constant([0], np.int64)
    total = graph.op("ReduceSum", states, first, keepdims=0)
    count = graph.op("ReduceSum", present, first, keepdims=0)
    return graph.op("Div", total, graph.op("Max", count, _number(graph, 1.0)))


def _read(graph: Graph, reader: nn.Module, x: str) -> str:
    """Return what a net of fixed size reads of a sequence: (rows, I)."""
    if isinstance(reader, StepsReader):
        z, present = _inputs(graph, reader.inputs, x)
        steps = graph.op("Transpose", graph.op("Concat", z, present, axis=2), perm=[1, 0, 2])
        return graph.op("Reshape", steps, graph.constant([0, reader.n_outputs], np.int64))
    assert isinstance(reader, SummaryReader)
    z, present = _inputs(graph, reader.inputs, x)
    first = graph.constant([0], np.int64)

    def total(value: str) -> str:
        return graph.op("ReduceSum", value, first, keepdims=0)

    count = graph.op("Max", total(present), _number(graph, 1.0))
    mean = graph.op("Div", total(z), count)
    spread = graph.op("Div", total(graph.op("Mul", z, z)), count)
    spread = graph.op("Sub", spread, graph.op("Mul", mean, mean))
    deviation = graph.op("Sqrt", graph.op("Max", spread, _number(graph, 0.0)))
    there = graph.op("Greater", present, _number(graph, 0.5))
    low = graph.op("Where", there, z, _number(graph, np.inf))
    low = graph.op("ReduceMin", low, axes=[0], keepdims=0)
    high = graph.op("Where", there, z, _number(graph, -np.inf))
    high = graph.op("ReduceMax", high, axes=[0], keepdims=0)
    # A sequence begins at a step that is there after one that is not.
    nothing = graph.op("Mul", _steps(graph, present, 0, 1), _number(graph, 0.0))
    before = graph.op("Concat", nothing, _steps(graph, present, 0, -1), axis=0)
    begun = total(graph.op("Mul", z, graph.op("Sub", present, before)))
    final = graph.op("Gather", z, graph.constant(-1, np.int64), axis=0)
    n_steps = graph.op("Gather", graph.op("Shape", present), graph.constant([0], np.int64))
    share = graph.op("Div", total(present), graph.cast(n_steps, FLOAT))
    x = graph.op("Concat", mean, deviation, low, high, begun, final, share, axis=1)
    norm = reader.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    return graph.op("Mul", graph.op("Sub", x, _float(graph, norm.running_mean)), _float(graph, scale))


def _steps(graph: Graph, value: str, start: int, stop: int) -> str:
    """Return steps ``start`` to ``stop`` of (T, rows, …)."""
    bounds = (graph.constant([n], np.int64) for n in (start, stop, 0))
    return graph.op("Slice", value, *bounds)


def _number(graph: Graph, value: float) -> str:
    return graph.constant(value, np.float32)


def _float(graph: Graph, tensor: Tensor) -> str:
    return graph.constant(tensor.detach().cpu().numpy().astype(np.float32))
