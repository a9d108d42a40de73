"""Graph: ONNX nodes and constants in the order in which they are added. Knows no models and no columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["BOOL", "DOUBLE", "FLOAT", "INT64", "STRING", "Graph"]

FLOAT, DOUBLE, INT64 = int(TensorProto.FLOAT), int(TensorProto.DOUBLE), int(TensorProto.INT64)
STRING, BOOL = int(TensorProto.STRING), int(TensorProto.BOOL)

#: Values of the graph are called so; columns may have any other name.
_PREFIX = "/soundfit/"


class Graph:
    """Builds a graph node by node; each method returns the name of the value that it adds."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[tuple[Any, ...], Any] = {}
        self.inputs: dict[str, ValueInfoProto] = {}
        self.outputs: list[ValueInfoProto] = []
        self.opset = 17

    def input(self, name: str, kind: int, shape: Sequence[Any] = ("rows",)) -> str:
        """Declare an input, a column (rows,) or of another shape, once."""
        if name not in self.inputs:
            self.inputs[name] = helper.make_tensor_value_info(name, kind, list(shape))
        return name

    def output(self, name: str, value: str, kind: int, shape: Sequence[Any]) -> None:
        """Declare an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant; equal ones are stored once."""
        array: NDArray[Any] = np.asarray(values, dtype=dtype)
        if array.dtype.kind in "OU":
            array = array.astype(object)
        content = tuple(array.ravel()) if array.dtype == object else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self.constants:
            name = f"{_PREFIX}constant{len(self.constants)}"
            self.constants[key] = numpy_helper.from_array(array, name)
        return str(self.constants[key].name)

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output."""
        return self.ops(kind, *inputs, n_outputs=1, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, n_outputs: int, domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node of several outputs."""
        names = [f"{_PREFIX}{kind}{len(self.nodes)}.{i}" for i in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return tuple(names)

    def cast(self, value: str, kind: int) -> str:
        """Convert to another type."""
        return self.op("Cast", value, to=kind)

    def column(self, value: str) -> str:
        """Turn (rows,) into (rows, 1)."""
        return self.op("Unsqueeze", value, self.constant([1], np.int64))

    def flat(self, value: str) -> str:
        """Turn (rows, 1) into (rows,)."""
        return self.op("Squeeze", value, self.constant([1], np.int64))

    def part(self, value: str, index: int) -> str:
        """Take column ``index`` of (rows, n) as (rows,)."""
        return self.op("Gather", value, self.constant(index, np.int64), axis=1)

    def beside(self, values: Sequence[str]) -> str:
        """Put (rows, n) tensors side by side."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=1)

    def lookup(self, texts: str, keys: Sequence[str], codes: Sequence[int], default: int) -> str:
        """Map texts (rows,) to whole numbers."""
        return self.op(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(keys),
            values_int64s=[int(code) for code in codes],
            default_int64=int(default),
        )

    def model(self, *, name: str, doc: str, metadata: dict[str, str], version: str) -> ModelProto:
        """Return the whole model."""
        graph = helper.make_graph(
            self.nodes, name, list(self.inputs.values()), self.outputs, list(self.constants.values())
        )
        model = helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", self.opset),
                helper.make_opsetid("ai.onnx.ml", 2),
            ],
            producer_name="soundfit",
            producer_version=version,
            doc_string=doc,
            ir_version=8 if self.opset < 20 else 9,
        )
        helper.set_model_props(model, metadata)
        return model
