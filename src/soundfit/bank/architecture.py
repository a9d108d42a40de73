"""Architecture: what two modules must agree in to be members of one bank.

A bank runs one template's code for all members; only parameters and buffers are each member's own. So
whatever else a forward pass may read (an activation, a stride, a plain number set by ``__init__``) has
to be the same. Knows no training.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

__all__ = ["architecture_key"]


def architecture_key(module: nn.Module) -> tuple[object, ...]:
    """Return a key that is equal for modules that differ only in the values of parameters and buffers."""
    tensors = tuple(
        (name, tuple(t.shape), str(t.dtype), t.requires_grad)
        for name, t in (*module.named_parameters(), *module.named_buffers())
    )
    layers = tuple((name, type(m), _constants(m)) for name, m in module.named_modules())
    return tensors, layers


def _constants(module: nn.Module) -> tuple[tuple[str, object], ...]:
    own = vars(module)
    return tuple((k, _fixed(v)) for k, v in own.items() if not k.startswith("_") and k != "training")


def _fixed(value: Any) -> object:
    """Return what a constant is, in a form that compares and hashes; unknown objects by their identity."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, type)):
        return (type(value), value)
    if isinstance(value, (tuple, list, set, frozenset)):
        members = [_fixed(v) for v in value]
        return (
            type(value),
            tuple(sorted(members, key=repr) if isinstance(value, (set, frozenset)) else members),
        )
    if isinstance(value, dict):
        return (dict, tuple((_fixed(k), _fixed(v)) for k, v in value.items()))
    if isinstance(value, FunctionType):
        cells = tuple(_fixed(c.cell_contents) for c in value.__closure__ or ())
        return (value.__code__, cells, _fixed(value.__defaults__))
    if isinstance(value, MethodType):
        return (value.__func__, type(value.__self__))
    if isinstance(value, Tensor):
        # A plain tensor attribute is no buffer: its values are part of the code.
        return (str(value.dtype), tuple(value.shape), value.detach().cpu().numpy().tobytes())
    if isinstance(value, nn.Module):
        return architecture_key(value)
    try:
        hash(value)
    except TypeError:
        return (type(value), repr(value))
    return (type(value), value)
