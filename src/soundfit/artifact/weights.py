"""Weights: ``model.safetensors`` read only where names, shapes and types are those that the nets need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

__all__ = ["read_weights"]

_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.bool: "BOOL",
}


def read_weights(path: Path, modules: Sequence[nn.Module]) -> list[dict[str, torch.Tensor]]:
    """Return one state for each module, which may be without memory (on the meta device).

    The header is compared with what the modules need before any tensor is read, so that a forged file
    can't ask for memory that it doesn't fill.

    Raises:
        ValueError: a tensor is missing, too many, of another shape or type, or not finite.
        SafetensorError: it is no safetensors file, or cut short.
    """
    wanted = {
        f"member{k}.{name}": tensor
        for k, module in enumerate(modules)
        for name, tensor in module.state_dict().items()
    }
    states: list[dict[str, torch.Tensor]] = [{} for _ in modules]
    with safe_open(str(path), framework="pt") as file:
        _compare(file, wanted)
        for key in wanted:
            tensor = file.get_tensor(key)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise ValueError(f"the weights {key!r} hold values that are not finite")
            member, _, name = key.partition(".")
            states[int(member.removeprefix("member"))][name] = tensor
    return states


def _compare(file: safe_open, wanted: Mapping[str, torch.Tensor]) -> None:
    names = set(file.keys())
    if names != set(wanted):
        missing, spare = sorted(set(wanted) - names), sorted(names - set(wanted))
        what = f"lack {missing[0]!r}" if missing else f"have {spare[0]!r}, which no member reads"
        raise ValueError(f"the weights {what}")
    for key, tensor in wanted.items():
        held = file.get_slice(key)
        shape, kind = tuple(held.get_shape()), held.get_dtype()
        if shape != tuple(tensor.shape):
            raise ValueError(f"the weights {key!r} have shape {shape}, not {tuple(tensor.shape)}")
        if kind != _TYPES.get(tensor.dtype):
            raise ValueError(f"the weights {key!r} are of type {kind}, not {_TYPES.get(tensor.dtype)}")
