"""Pointwise: what a pointwise operation computes, as an expression of a Triton kernel.

A table from torch's operations to text. Operations that are not in it, or whose types it does not follow, are
left to torch. Knows nothing of tapes or members.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from soundfit.bank.recorder import Op, Ref

__all__ = ["HALVES", "TRITON_TYPES", "assignment", "is_known"]

TRITON_TYPES = {
    torch.float32: "tl.float32",
    torch.bfloat16: "tl.bfloat16",
    torch.float16: "tl.float16",
    torch.int64: "tl.int64",
    torch.int32: "tl.int32",
    torch.int16: "tl.int16",
    torch.int8: "tl.int8",
    torch.uint8: "tl.uint8",
    torch.bool: "tl.int1",
}
HALVES = (torch.bfloat16, torch.float16)
_WHOLE = (torch.int64, torch.int32, torch.int16)

_SQRT_HALF = repr(math.sqrt(0.5))
_NAN = "propagate_nan=tl.PropagateNan.ALL"
_NORMAL = repr(1.0 / math.sqrt(2.0 * math.pi))

Build = Callable[..., str]

# Arguments are texts of one type: the result's, or for comparisons that of the operands.
_FLOATS: dict[str, Build] = {
    "neg": lambda x: f"-{x}",
    "relu": lambda x: f"tl.maximum({x}, 0.0, {_NAN})",
    "threshold_backward": lambda g, y, t: f"tl.where({y} <= {t}, 0.0, {g})",
    "clamp_min": lambda x, low: f"tl.maximum({x}, {low}, {_NAN})",
    "clamp_max": lambda x, high: f"tl.minimum({x}, {high}, {_NAN})",
    "sigmoid": lambda x: f"1.0 / (1.0 + tl.exp(-{x}))",
    "sigmoid_backward": lambda g, y: f"{g} * (1.0 - {y}) * {y}",
    "tanh_backward": lambda g, y: f"{g} * (1.0 - {y} * {y})",
    "silu": lambda x: f"{x} / (1.0 + tl.exp(-{x}))",
    "silu_backward": lambda g, x: f"{g} / (1.0 + tl.exp(-{x})) * (1.0 + {x} / (1.0 + tl.exp({x})))",
    "gelu": lambda x: f"0.5 * {x} * (1.0 + tl.erf({x} * {_SQRT_HALF}))",
    "gelu_backward": lambda g, x: (
        f"{g} * (0.5 * (1.0 + tl.erf({x} * {_SQRT_HALF})) + {x} * tl.exp(-0.5 * {x} * {x}) * {_NORMAL})"
    ),
    "addcmul": lambda x, a, b: f"{x} + {a} * {b}",
    "ceil": lambda x: f"tl.ceil({x})",
    "floor": lambda x: f"tl.floor({x})",
    "exp": lambda x: f"tl.exp({x})",
    "log": lambda x: f"tl.log({x})",
    "sqrt": lambda x: f"tl.sqrt({x})",
    "rsqrt": lambda x: f"1.0 / tl.sqrt({x})",
    "reciprocal": lambda x: f"1.0 / {x}",
    "sign": lambda x: f"tl.where({x} > 0, 1.0, tl.where({x} < 0, -1.0, 0.0 * {x}))",
    "square": lambda x: f"{x} * {x}",
    "div": lambda a, b: f"{a} / {b}",
    "cos": lambda x: f"tl.cos({x})",
    "sin": lambda x: f"tl.sin({x})",
    "erf": lambda x: f"tl.erf({x})",
}
_NUMBERS: dict[str, Build] = {
    "mul": lambda a, b: f"{a} * {b}",
    "abs": lambda x: f"tl.abs({x})",
}
_INTEGERS: dict[str, Build] = {
    "bitwise_and": lambda a, b: f"{a} & {b}",
    "bitwise_or": lambda a, b: f"{a} | {b}",
    "bitwise_xor": lambda a, b: f"{a} ^ {b}",
    "__and__": lambda a, b: f"{a} & {b}",
    "__or__": lambda a, b: f"{a} | {b}",
    "__xor__": lambda a, b: f"{a} ^ {b}",
    "__rshift__": lambda a, b: f"{a} >> {b}",
    "__lshift__": lambda a, b: f"{a} << {b}",
    "bitwise_right_shift": lambda a, b: f"{a} >> {b}",
    "bitwise_left_shift": lambda a, b: f"{a} << {b}",
}
_COMPARED: dict[str, str] = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "==", "ne": "!="}


def is_known(op: Op) -> bool:
    """Return whether an operation can be part of a kernel."""
    return len(op.outs) == 1 and assignment(op, lambda ref: "x") is not None


def assignment(op: Op, name: Callable[[Ref], str]) -> str | None:
    """Return the expression of an operation's result; ``name`` gives the variable that holds a tensor.

    Variables of half types hold float32, and so does an expression of such a result: it is rounded where it
    is assigned. None where the operation is not known.
    """
    kind = op.func.overloadpacket.__name__
    if kind.endswith("_") and not kind.endswith("__"):
        kind = kind[:-1]
    if any(r.dtype not in TRITON_TYPES for r in _operands(op)):
        return None
    out = op.outs[0].dtype
    if kind in ("_to_copy", "clone", "copy"):
        source = op.args[1] if kind == "copy" else op.args[0]
        if not isinstance(source, Ref) or (kind == "_to_copy" and set(op.kwargs) - {"dtype"}):
            return None
        return _cast(name(source), source.dtype, out)
    if kind == "where":
        if len(op.args) != 3 or not isinstance(op.args[0], Ref) or op.args[0].dtype is not torch.bool:
            return None
        chosen = [_text(a, out, name) for a in op.args[1:]]
        return None if None in chosen else f"tl.where({name(op.args[0])}, {chosen[0]}, {chosen[1]})"
    if kind in _COMPARED:
        return _comparison(op, _COMPARED[kind], name)
    if kind in ("add", "sub"):
        return _sum(op.args, op.kwargs, out, "+" if kind == "add" else "-", name)
    if kind == "rsub":
        return _sum((op.args[1], op.args[0], *op.args[2:]), op.kwargs, out, "-", name)
    if kind in ("mse_loss", "mse_loss_backward"):
        return _squared_error(op, name)
    if kind == "clamp" and out is torch.float32:
        return _clamp(op, name)
    if kind == "pow" and out in (torch.float32, *HALVES) and len(op.args) == 2 and op.args[1] in (2, 3):
        x = _text(op.args[0], out, name)
        return None if x is None else " * ".join([x] * int(op.args[1]))
    build = _built(kind, out)
    if build is None or op.kwargs:
        return None
    texts = [_text(a, out, name) for a in op.args]
    if None in texts:
        return None
    try:
        return build(*texts)
    except TypeError:  # more arguments than the plain form has
        return None


def _built(kind: str, out: torch.dtype) -> Build | None:
    if kind in _NUMBERS and out is not torch.bool:
        return _NUMBERS[kind]
    if out is torch.float32 or out in HALVES:
        return _FLOATS.get(kind)
    return _INTEGERS.get(kind) if out in _WHOLE or out is torch.bool else None


def _operands(op: Op) -> list[Ref]:
    return [a for a in op.args if isinstance(a, Ref)] + list(op.outs)


def _sum(
    args: Sequence[Any], kwargs: dict[str, Any], out: torch.dtype, sign: str, name: Callable[[Ref], str]
) -> str | None:
    if out is torch.bool or len(args) not in (2, 3) or set(kwargs) - {"alpha"}:
        return None
    factor = args[2] if len(args) == 3 else kwargs.get("alpha", 1)
    left, right, weight = (_text(a, out, name) for a in (*args[:2], factor))
    if left is None or right is None or weight is None:
        return None
    return f"{left} {sign} {right}" if factor == 1 else f"{left} {sign} {weight} * {right}"


def _squared_error(op: Op, name: Callable[[Ref], str]) -> str | None:
    """Return the expression of a squared error, or of its gradient, that is not reduced over rows."""
    *tensors, reduction = op.args if isinstance(op.args[-1], int) else (*op.args, 1)
    texts = [_text(t, op.outs[0].dtype, name) for t in tensors]
    if reduction != 0 or op.kwargs or None in texts or op.outs[0].dtype is not torch.float32:
        return None
    difference = f"({texts[-2]} - {texts[-1]})"
    return f"{difference} * {difference}" if len(texts) == 2 else f"2.0 * {difference} * {texts[0]}"


def _clamp(op: Op, name: Callable[[Ref], str]) -> str | None:
    x, *limits = op.args
    text = _text(x, torch.float32, name)
    for function, limit in zip(("tl.maximum", "tl.minimum"), limits, strict=False):
        if limit is not None:
            bound = _text(limit, torch.float32, name)
            text = None if None in (text, bound) else f"{function}({text}, {bound}, {_NAN})"
    return None if op.kwargs else text


def _comparison(op: Op, sign: str, name: Callable[[Ref], str]) -> str | None:
    tensors = [a for a in op.args if isinstance(a, Ref)]
    types = {t.dtype for t in tensors}
    if len(types) != 1 or len(op.args) != 2 or op.kwargs:
        return None
    (dtype,) = types
    left, right = (_text(a, dtype, name) for a in op.args)
    if left is None or right is None:
        return None
    compared = f"({left} {sign} {right})"
    out = op.outs[0].dtype
    return compared if out is torch.bool else f"{compared}.to({_held(out)})"


def _text(value: Any, dtype: torch.dtype, name: Callable[[Ref], str]) -> str | None:
    """Return an argument as a text of a type."""
    if isinstance(value, Ref):
        return _cast(name(value), value.dtype, dtype)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if dtype.is_floating_point:
        if math.isfinite(value):
            return f"({float(value)!r})"
        return "float('nan')" if math.isnan(value) else f"({'-' if value < 0 else ''}float('inf'))"
    if dtype not in _WHOLE or value != int(value):
        return None
    limits = torch.iinfo(dtype)
    return f"({int(value)})" if limits.min <= value <= limits.max else None


def _cast(text: str, source: torch.dtype, target: torch.dtype) -> str | None:
    if _held(source) == _held(target):
        return text
    if source.is_floating_point and not target.is_floating_point:
        return None
    if target is torch.bool:
        return f"({text} != 0)"
    return f"{text}.to({_held(target)})"


def _held(dtype: torch.dtype) -> str:
    """Return the type in which a kernel holds a value."""
    return "tl.float32" if dtype in HALVES else TRITON_TYPES[dtype]
