"""Outputs that a script cuts out of the graph, joined to it again while it runs.

detach(), .data, .item(), .tolist(), .numpy() and torch.tensor() of what a model computed give copies
without a
gradient; here they give what they were made of.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["rejoined", "taught_inside"]

Tensor = torch.Tensor


class _List(list[Any]):
    of: weakref.ref[Tensor] | None = None


class _Float(float):
    of: weakref.ref[Tensor] | None = None


def taught_inside(patch: Callable[[Any, str, Any], None], inside: Callable[[], bool]) -> None:
    """Let no_grad() in a model's own forward pass have no effect while the model is taught.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
        inside: whether a model's forward pass is running.
    """
    original = torch.no_grad.__enter__

    @functools.wraps(original)
    def __enter__(self: Any) -> None:
        if torch.is_grad_enabled() and inside():
            self.prev = True  # what is put back at the end
        else:
            original(self)

    patch(torch.no_grad, "__enter__", __enter__)


def rejoined(patch: Callable[[Any, str, Any], None], active: Callable[[], bool]) -> None:
    """Let copies of tensors that carry a gradient be those tensors.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
        active: whether cuts are undone now.
    """
    arrays: dict[int, tuple[Any, Tensor]] = {}

    def carries(x: Any) -> bool:
        return isinstance(x, Tensor) and x.grad_fn is not None and torch.is_grad_enabled() and active()

    def whole(original: Any) -> Any:
        @functools.wraps(original)
        def detach(x: Tensor) -> Tensor:
            return x if carries(x) else original(x)

        return detach

    def marked(original: Any, kind: Any) -> Any:
        @functools.wraps(original)
        def plain(x: Tensor) -> Any:
            out = original(x)
            if carries(x) and isinstance(out, float | list):
                out = kind(out)
                out.of = weakref.ref(x)
            return out

        return plain

    detached = Tensor.detach

    def as_array(original: Any) -> Any:
        @functools.wraps(original)
        def numpy(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            if not carries(x):
                return original(x, *args, **kwargs)
            out = original(detached(x), *args, **kwargs)
            arrays.clear()  # one at a time: the next line makes a tensor of it
            arrays[id(out)] = out, x
            return out

        return numpy

    def made(original: Any) -> Any:
        @functools.wraps(original)
        def tensor(data: Any, *args: Any, **kwargs: Any) -> Tensor:
            if carries(data):
                return data
            of = data.of() if isinstance(data, _List | _Float) and data.of is not None else None
            if of is None and id(data) in arrays and arrays[id(data)][0] is data:
                of = arrays[id(data)][1]
            return of if of is not None and torch.is_grad_enabled() else original(data, *args, **kwargs)

        return tensor

    patch(Tensor, "detach", whole(Tensor.detach))
    patch(Tensor, "detach_", whole(Tensor.detach_))
    patch(Tensor, "item", marked(Tensor.item, _Float))
    patch(Tensor, "tolist", marked(Tensor.tolist, _List))
    patch(Tensor, "numpy", as_array(Tensor.numpy))
    for name in ("tensor", "as_tensor", "from_numpy"):
        patch(torch, name, made(getattr(torch, name)))
    data: Any = Tensor.data

    def read(x: Tensor) -> Tensor:
        return x if carries(x) else data.__get__(x)

    patch(Tensor, "data", property(read, lambda x, value: data.__set__(x, value)))
