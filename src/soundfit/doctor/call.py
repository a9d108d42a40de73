"""How a script calls its model: which arguments hold rows, which stay as they are. Knows trees of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from soundfit.doctor.places import Places

__all__ = ["Call", "call_of", "output_of", "tensors", "with_output"]

Tensor = torch.Tensor
_OUTER: dict[str | None, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softplus": torch.nn.functional.softplus,
    "exp": torch.exp,
    "rate": torch.exp,
    "softmax": lambda x: x.softmax(-1),
}


@dataclass(frozen=True)
class Call:
    """The arguments of one call; those at ``where`` are rows, the rest is kept as it was.

    Calling it with a model and other rows calls the model as the script did; of several tensors that it
    returns the one at ``output`` is given back, where that is known. ``outer`` is the activation that the
    script itself applies to it before the loss, ``rate`` the exponential within a loss of rates. ``places``:
    how the loss's list is cut out of outputs at each place of a sequence, which are given back as
    ``(rows, classes, places)`` then. ``second``: those of ``where`` whose rows are on the second axis, as in
    a sequence of places; they are turned on the way in.
    """

    spec: Any
    fixed: tuple[Any, ...]
    where: tuple[int, ...]
    output: int | None = None
    outer: str | None = None
    places: Places | None = None
    second: tuple[int, ...] = ()

    def __call__(self, net: torch.nn.Module, inputs: tuple[Tensor, ...] | list[Tensor]) -> Any:
        """Return what the model makes of ``inputs``, one tensor for each place in ``where``."""
        leaves = list(self.fixed)
        for place, x in zip(self.where, inputs, strict=True):
            leaves[place] = x.transpose(0, 1) if place in self.second else x
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        return self.judged(net(*args, **kwargs), len(inputs[0]))

    def rows_in(self, x: Tensor) -> int:
        """Return how many rows an input has as the script hands it over."""
        return int(x.shape[1] if self.second and x.dim() > 1 else x.shape[0])

    def of_call(self, out: Any, args: Any, kwargs: Any) -> Any:
        """Return what the loss judges of a call that the script made."""
        given = tensors((args, kwargs))
        return self.judged(out, self.rows_in(given[0]) if given and given[0].dim() else None)

    def amounts(self, out: Tensor, numbers: bool = True) -> Tensor:
        """Return what the loss compares with ``numbers``: the output after the script's own activation."""
        return _OUTER[self.outer](out) if numbers and self.outer in _OUTER else out

    def judged(self, out: Any, n: int | None = None) -> Any:
        """Return the one of several tensors that the loss judges, else everything.

        Args:
            out: what the model returned.
            n: rows of its inputs, as many as of the output where None.
        """
        found = tensors(out) if self.output is not None else []
        one = found[self.output] if self.output is not None and self.output < len(found) else out
        return one if self.places is None else self.places.of_output(output_of(one), n)


def call_of(
    args: Any, kwargs: Any, target: Tensor, *, second: bool = False
) -> tuple[Call, tuple[Tensor, ...]] | None:
    """Return a call's form and its rows, or None where no argument has a row for each of the target's.

    A target that is handed to the model by name, as its ``labels``, is no input: the form leaves it out.
    ``second``: rows may be on the second axis of sequences, where no argument has them on its first.
    """
    if not target.dim():
        return None
    leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
    first_named = len(pytree.tree_leaves(tuple(args)))
    given = {k: x for k, x in enumerate(leaves) if isinstance(x, Tensor)}
    named = {k for k, x in given.items() if k >= first_named and _same(x, target)}
    where = [k for k, x in given.items() if k not in named and x.dim() and x.shape[0] == target.shape[0]]
    turned: list[int] = []
    if not where and second:
        turned = where = [k for k, x in given.items() if k not in named and _is_second(x, target)]
    rows = [given[k].transpose(0, 1) if k in turned else given[k] for k in where]
    fixed = [
        None if k in where or k in named else x.detach() if k in given else x for k, x in enumerate(leaves)
    ]
    if not rows or not isinstance(args, tuple | list) or any(x.requires_grad and x.grad_fn for x in rows):
        return None
    if all(_starts(x, fixed) for x in rows):
        return None
    return Call(spec, tuple(fixed), tuple(where), second=tuple(turned)), tuple(rows)


def _is_second(x: Tensor, target: Tensor) -> bool:
    """Return whether a sequence of places has a row for each of the target's on its second axis."""
    return x.dim() > 1 and x.shape[1] == target.shape[0] > 1 and x.shape[0] > 1


def _starts(x: Tensor, others: list[Any]) -> bool:
    """Return whether these are places where rows begin in one long tensor (EmbeddingBag's offsets)."""
    if x.dim() != 1 or x.is_floating_point() or len(x) < 2 or int(x[0]) != 0 or bool((x.diff() < 0).any()):
        return False
    long = [o for o in others if isinstance(o, Tensor) and o.dim() == 1 and not o.is_floating_point()]
    return any(len(o) > max(len(x), int(x[-1])) for o in long)


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.numel() == b.numel() and a.data_ptr() == b.data_ptr())


def tensors(tree: Any, depth: int = 0) -> list[Tensor]:
    """Return the tensors in nested tuples, lists, dicts, distributions and plain objects, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [x for value in tree.values() for x in tensors(value, depth + 1)]
    if isinstance(tree, list | tuple):
        return [x for value in tree for x in tensors(value, depth + 1)]
    if depth > 4 or isinstance(tree, torch.nn.Module | type) or not hasattr(tree, "__dict__"):
        return []
    if isinstance(tree, torch.distributions.Distribution):  # its parameters, not what was derived from them
        names = [*tree.arg_constraints, "base_dist"]
        return [x for name in names if name in vars(tree) for x in tensors(vars(tree)[name], depth + 1)]
    return [x for value in vars(tree).values() for x in tensors(value, depth + 2)]


def output_of(out: Any) -> Tensor:
    """Return the prediction in what a model returns: its first tensor with rows, else its first tensor.

    Raises:
        TypeError: there is no tensor in it.
    """
    found = tensors(out)
    if not found:
        raise TypeError("a model must return a tensor")
    return next((x for x in found if x.dim()), found[0])


def with_output(out: Any, which: int, change: Callable[[Tensor], Tensor]) -> Any:
    """Return nested tuples, lists and dicts as a model returns them, one of their tensors changed."""
    leaves, spec = pytree.tree_flatten(out)
    places = [k for k, x in enumerate(leaves) if isinstance(x, Tensor)]
    if which < len(places):
        leaves[places[which]] = change(leaves[places[which]])
    return pytree.tree_unflatten(leaves, spec)
