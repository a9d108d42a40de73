"""Nets: modules in evaluation mode as ONNX nodes on float32 inputs (rows, F)."""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, nn

from soundfit.artifact.onnx.graph import DOUBLE, FLOAT, Graph
from soundfit.errors import UsageError
from soundfit.models.dropout import CounterDropout
from soundfit.models.infinite import BIAS_VARIANCE, InfiniteMlp
from soundfit.models.net import FeatureScale, Linear, Mlp, PeriodicEmbedding, Reads, ResMlp

__all__ = ["add_net"]

# arccos c = √(1 − c) · p(c) for 0 ≤ c ≤ 1 (Abramowitz & Stegun 1964, 4.4.46, with more terms): runtimes know
# Acos in single precision alone. To 10⁻¹¹.
_ARCCOS = Chebyshev.interpolate(
    lambda c: np.arccos(c) / np.sqrt(1.0 - c), 15, domain=[0.0, 1.0]
).convert(kind=Polynomial).coef.tolist()  # fmt: skip


@singledispatch
def add_net(module: nn.Module, graph: Graph, x: str) -> str:
    """Add the module's nodes and return its output (rows, C).

    Raises:
        UsageError: a layer that has no form in ONNX here.
    """
    raise UsageError(
        "Export to ONNX knows the layers of soundfit's table nets",
        received=f"a layer of type {type(module).__name__}",
        fix="use --format torch, or train with --model linear, mlp or resmlp",
    )


def _constant(graph: Graph, tensor: Tensor) -> str:
    return graph.constant(tensor.detach().cpu().numpy().astype(np.float32))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(value, np.float32)


@add_net.register
def _(module: nn.Sequential, graph: Graph, x: str) -> str:
    for layer in module:
        x = add_net(layer, graph, x)
    return x


@add_net.register
def _(module: Reads, graph: Graph, x: str) -> str:
    return add_net(module.net, graph, graph.op("Gather", x, graph.constant(module.inputs, np.int64), axis=1))


@add_net.register
def _(module: nn.Linear, graph: Graph, x: str) -> str:
    weights = [_constant(graph, module.weight)]
    if module.bias is not None:
        weights.append(_constant(graph, module.bias))
    return graph.op("Gemm", x, *weights, transB=1)


@add_net.register
def _(module: nn.LayerNorm, graph: Graph, x: str) -> str:
    scale, shift = _constant(graph, module.weight), _constant(graph, module.bias)
    return graph.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=module.eps)


@add_net.register(nn.Dropout)
@add_net.register(nn.Identity)
@add_net.register(CounterDropout)
def _(module: nn.Module, graph: Graph, x: str) -> str:
    return x


@add_net.register
def _(module: nn.ReLU, graph: Graph, x: str) -> str:
    return graph.op("Relu", x)


@add_net.register
def _(module: nn.Tanh, graph: Graph, x: str) -> str:
    return graph.op("Tanh", x)


@add_net.register
def _(module: nn.SELU, graph: Graph, x: str) -> str:
    return graph.op("Selu", x)


@add_net.register
def _(module: nn.SiLU, graph: Graph, x: str) -> str:
    return graph.op("Mul", x, graph.op("Sigmoid", x))


@add_net.register
def _(module: nn.Mish, graph: Graph, x: str) -> str:
    return graph.op("Mul", x, graph.op("Tanh", graph.op("Softplus", x)))


@add_net.register
def _(module: nn.GELU, graph: Graph, x: str) -> str:
    shares = graph.op("Erf", graph.op("Mul", x, _number(graph, 1.0 / math.sqrt(2.0))))
    halves = graph.op("Mul", x, _number(graph, 0.5))
    return graph.op("Mul", halves, graph.op("Add", shares, _number(graph, 1.0)))


@add_net.register
def _(module: FeatureScale, graph: Graph, x: str) -> str:
    return graph.op("Mul", x, _constant(graph, module.factor))


@add_net.register
def _(module: PeriodicEmbedding, graph: Graph, x: str) -> str:
    chosen = graph.op("Gather", x, graph.constant(module.inputs, np.int64), axis=1)
    chosen = graph.op("Unsqueeze", chosen, graph.constant([2], np.int64))
    phase = graph.op("Mul", chosen, _constant(graph, module.frequency))
    phase = graph.op("Add", phase, _constant(graph, module.phase))
    waves = graph.op("Cos", graph.op("Mul", phase, _number(graph, 2.0 * math.pi)))
    mixed = graph.op("Einsum", waves, _constant(graph, module.mix), equation="bnk,nko->bno")
    mixed = graph.op("Add", mixed, _constant(graph, module.shift))
    # 0 keeps the number of rows, which may be none.
    flat = graph.op("Reshape", mixed, graph.constant([0, module.shift.numel()], np.int64))
    return graph.beside([x, flat])


@add_net.register
def _(module: Linear, graph: Graph, x: str) -> str:
    return add_net(module.output, graph, x)


@add_net.register
def _(module: Mlp, graph: Graph, x: str) -> str:
    return add_net(module.output, graph, add_net(module.hidden, graph, x))


@add_net.register
def _(module: ResMlp, graph: Graph, x: str) -> str:
    x = add_net(module.input, graph, x)
    for block in module.blocks:
        branch = block.get_submodule("branch")
        x = graph.op("Add", x, add_net(branch, graph, x))
    x = add_net(module.activation, graph, add_net(module.norm, graph, x))
    return add_net(module.output, graph, x)


@add_net.register
def _(module: InfiniteMlp, graph: Graph, x: str) -> str:
    """Add :func:`soundfit.models.infinite.infinite_kernel` and its weighted sum, in double precision."""

    def number(value: float) -> str:
        return graph.constant(value, np.float64)

    def constant(tensor: Tensor) -> str:
        return graph.constant(tensor.detach().cpu().double().numpy())

    def biased(value: str) -> str:
        return graph.op("Add", value, number(BIAS_VARIANCE))

    def arccos(cosine: str) -> str:
        size = graph.op("Abs", cosine)
        value = number(_ARCCOS[-1])
        for factor in reversed(_ARCCOS[:-1]):
            value = graph.op("Add", graph.op("Mul", value, size), number(factor))
        value = graph.op("Mul", graph.op("Sqrt", graph.op("Sub", number(1.0), size)), value)
        mirrored = graph.op("Sub", number(math.pi), value)
        return graph.op("Where", graph.op("Less", cosine, number(0.0)), mirrored, value)

    rows = module.landmarks.double() / module.unit
    n_inputs = rows.shape[1]
    x = graph.op("Div", graph.cast(x, DOUBLE), constant(module.unit))
    squares = graph.op("ReduceSum", graph.op("Mul", x, x), graph.constant([1], np.int64))
    own = biased(graph.op("Div", squares, number(n_inputs)))
    others = rows.square().sum(1) / n_inputs + BIAS_VARIANCE
    kernel = biased(graph.op("MatMul", x, constant(rows.T / n_inputs)))
    tangent = kernel
    for _ in range(module.depth):
        length = graph.op("Sqrt", graph.op("Mul", own, constant(others)))
        cosine = graph.op("Max", graph.op("Min", graph.op("Div", kernel, length), number(1.0)), number(-1.0))
        angle = arccos(cosine)
        sine = graph.op("Sqrt", graph.op("Sub", number(1.0), graph.op("Mul", cosine, cosine)))
        apart = graph.op("Sub", number(math.pi), angle)
        kernel = graph.op("Add", sine, graph.op("Mul", apart, cosine))
        kernel = biased(graph.op("Mul", graph.op("Div", length, number(math.pi)), kernel))
        passed = graph.op("Mul", tangent, graph.op("Div", apart, number(math.pi)))
        tangent = graph.op("Add", kernel, passed)
        own, others = biased(own), others + BIAS_VARIANCE
    kernel = tangent if module.trained == "all" else kernel
    outputs = graph.op("Add", graph.op("MatMul", kernel, constant(module.weight)), constant(module.bias))
    return graph.cast(outputs, FLOAT)
