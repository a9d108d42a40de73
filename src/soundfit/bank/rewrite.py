"""Rewrites of a traced graph that keep its values: fewer operations, fewer passes over memory.

A traced ``vmap`` leaves multiplications by 1, views that change nothing, sums into new memory and
pointwise results that nobody reads again. Each rewrite is local and exact, or (bias into the matrix
product) equal to floating-point tolerance. Knows nothing of training.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

__all__ = ["simplify"]

aten = torch.ops.aten

_VIEWS = (aten.view.default, aten._unsafe_view.default, aten.expand.default, aten.reshape.default)


def simplify(graph: GraphModule) -> GraphModule:
    """Apply all rewrites to a traced graph (in place) and return it, recompiled."""
    _fold_constants(graph)
    _drop_identities(graph)
    _in_place_bias(graph)
    _in_place_relu(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _fold_constants(graph: GraphModule) -> None:
    """Compute once what depends on no input: counters, ones, zeros."""
    constant: set[Node] = set()
    for node in graph.graph.nodes:
        if node.op != "call_function" or torch.Tag.nondeterministic_seeded in getattr(
            node.target, "tags", ()
        ):
            continue
        sources = node.all_input_nodes
        if all(s in constant or s.op == "get_attr" for s in sources):
            constant.add(node)
    values: dict[Node, torch.Tensor] = {}

    def value_of(node: Node) -> torch.Tensor:
        if node.op == "get_attr":
            return getattr(graph, str(node.target))
        if node not in values:
            args = torch.fx.node.map_arg(node.args, value_of)
            kwargs = torch.fx.node.map_arg(node.kwargs, value_of)
            values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return values[node]

    for i, node in enumerate([n for n in graph.graph.nodes if n in constant]):
        if all(user in constant for user in node.users):
            continue
        result = value_of(node)
        if not isinstance(result, torch.Tensor):
            continue
        name = f"_constant_{i}"
        graph.register_buffer(name, result.clone(), persistent=False)
        with graph.graph.inserting_before(node):
            stored = graph.graph.get_attr(name)
        stored.meta = dict(node.meta)
        node.replace_all_uses_with(stored)
    graph.graph.eliminate_dead_code()


def _value(node: object) -> torch.Tensor | None:
    if not isinstance(node, Node):
        return None
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return value if hasattr(value, "shape") else None


def _drop_identities(graph: GraphModule) -> None:
    """Drop ``x * 1``, views to the same shape, and a transpose undone by the next one."""
    for node in list(graph.graph.nodes):
        if node.op != "call_function":
            continue
        source = node.args[0] if node.args else None
        if node.target is aten.mul.Scalar and node.args[1] == 1:
            node.replace_all_uses_with(source)
        elif node.target in _VIEWS:
            before, after = _value(source), _value(node)
            if before is not None and after is not None and before.shape == after.shape:
                node.replace_all_uses_with(source)
        elif node.target is aten.transpose.int and isinstance(source, Node):
            same = source.op == "call_function" and source.target is aten.transpose.int
            if same and set(source.args[1:]) == set(node.args[1:]):
                node.replace_all_uses_with(source.args[0])
    graph.graph.eliminate_dead_code()


def _in_place_bias(graph: GraphModule) -> None:
    """Add a bias into the matrix product that only the sum reads, instead of into a new tensor."""
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.target is not aten.add.Tensor or node.kwargs:
            continue
        for product, bias in (node.args, node.args[::-1]):
            if not (isinstance(product, Node) and product.target is aten.bmm.default):
                continue
            whole, result = _value(product), _value(node)
            if len(product.users) == 1 and whole is not None and result is not None:
                if whole.shape == result.shape:
                    node.target, node.args = aten.add_.Tensor, (product, bias)
                break


def _in_place_relu(graph: GraphModule) -> None:
    """Let ReLU overwrite a matrix product that only it reads."""
    fresh = (aten.bmm.default, aten.add_.Tensor, aten.add.Tensor, aten.convolution.default)
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.target is not aten.relu.default:
            continue
        source = node.args[0]
        if isinstance(source, Node) and source.target in fresh and len(source.users) == 1:
            node.target = aten.relu_.default
