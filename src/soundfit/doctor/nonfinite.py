"""What was finite and what was not in the step whose loss became non-finite. Knows no hook and no rule."""

# ruff: noqa: E501

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from soundfit.doctor.graph import bad_operation
from soundfit.doctor.lines import user_place
from soundfit.doctor.seen import LossCall, RootRecord, first_tensor, tensors
from soundfit.records.said import say

__all__ = ["FirstBad", "first_bad_operation", "nonfinite_detail"]

Tensor = torch.Tensor


def nonfinite_detail(
    loss: Tensor,
    roots: Iterable[RootRecord],
    window: Sequence[tuple[RootRecord, Any, Any, Any, bool]],
    calls: Sequence[LossCall],
) -> dict[str, Any]:
    """Return which of weights, inputs, targets and outputs were finite, and the first bad operation."""
    with torch.no_grad():
        weights = all(bool(torch.isfinite(p).all()) for root in roots for p in root.module.parameters())
        inputs, outputs, target, big, half = True, True, True, 0.0, False
        for _, args, kwargs, out, _ in window[-2:]:
            for x in tensors((args, kwargs)):
                if x.is_floating_point():
                    inputs = inputs and bool(torch.isfinite(x).all())
            half = half or any(y.dtype == torch.float16 for y in tensors(out))
            y = first_tensor(out)
            if y is not None:
                outputs = outputs and bool(torch.isfinite(y).all())
                big = max(big, float(torch.nan_to_num(y.float()).abs().max()) if y.numel() else 0.0)
        if calls:
            wanted = calls[-1].target
            target = not wanted.is_floating_point() or bool(torch.isfinite(wanted).all())
    found = None
    if weights and inputs:
        if window and not outputs:
            root, args, kwargs, _, training = window[-1]
            found = first_bad_operation(root.module, args, kwargs, training=training)
        found = found or bad_operation(loss)
    half = half or (found or {}).get("dtype") == "float16"
    return {
        "what": "loss", "weights_finite": weights, "inputs_finite": inputs, "targets_finite": target,
        "outputs_finite": outputs, "largest_output": big, "half": half, "operation": found,
    }  # fmt: skip


def first_bad_operation(
    module: torch.nn.Module, args: Any, kwargs: Any, *, training: bool
) -> dict[str, Any] | None:
    """Run a copy of a model once more; return the first operation that made finite values not finite.

    Autograd keeps nothing of what is computed from inputs and buffers alone: only running it tells.
    """
    watch = FirstBad()
    try:
        net = copy.deepcopy(module).train(training)
        with torch.no_grad(), torch.random.fork_rng(), watch:
            net(*args, **kwargs)
    except Exception:  # a model that cannot be copied or run outside its script tells nothing
        return None
    return watch.found


class FirstBad(TorchFunctionMode):
    """Looks at each operation until one makes NaN of numbers, or infinity of finite ones.

    Infinities that are put in on purpose, as a mask's are, stay out of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Any] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function as it is, then look at what it made."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if self.found is not None or name in _ON_PURPOSE:
            return func(*args, **kwargs)
        finite, numbers = _state((args, kwargs))  # before: an operation in place overwrites its operand
        zero = name in _DIVISIONS and len(args) > 1 and _any_zero(args[0 if name.startswith("__r") else 1])
        out = func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            for x in tensors(out):
                if not x.is_floating_point() or not numbers:
                    continue
                if bool(torch.isnan(x).any()) or (finite and not bool(torch.isfinite(x).all())):
                    grew = not zero and _largest((args, kwargs)) > _GROWN
                    self.found = _described(name, x, zero) | {"place": user_place(), "grew": grew}
                    break
        return out


_ON_PURPOSE = {"masked_fill", "masked_fill_", "full", "full_like", "new_full", "fill_", "where", "__setitem__",
               "tensor", "__get__", "__set__", "size", "dim"}  # fmt: skip
_GROWN = (
    1e15  # numbers that are in no training: what they overflow in is where growth ended, not where it began
)
_DIVISIONS = ("div", "div_", "__truediv__", "__rtruediv__", "true_divide")
_REASONS = {
    "log": say("logarithm of zero or less"), "log2": say("logarithm of zero or less"), "log10": say("logarithm of zero or less"),
    "sqrt": say("square root of a negative number"), "rsqrt": say("reciprocal root of zero or less"),
    "reciprocal": say("division by zero"), "exp": say("exponential overflowed"), "expm1": say("exponential overflowed"),
    "acos": say("inverse cosine beyond 1"), "asin": say("inverse sine beyond 1"), "atanh": say("inverse tangent at its end"),
    "softmax": say("softmax over nothing but -inf"), "std": say("spread of a single value"), "var": say("spread of a single value"),
}  # fmt: skip


def _described(function: str, bad: Tensor, zero: bool) -> dict[str, Any]:
    kind = function.strip("_").removesuffix("_")
    if zero:
        kind = "div"
    elif kind in ("pow", "square") and bool(torch.isnan(bad).any()):
        kind = "pow"
    name = kind or say("an operation")
    why = say("division by zero") if zero else _REASONS.get(kind, say("{name} overflowed", name=name))
    dtype = str(bad.dtype).removeprefix("torch.")
    if dtype == "float16" and not zero:
        why = say("{name} beyond 65504, where float16 ends", name=name)
    return {"operation": kind, "why": why, "dtype": dtype}


def _state(tree: Any) -> tuple[bool, bool]:
    """Return whether all numbers are finite, and whether none is NaN."""
    finite = numbers = True
    with torch._C.DisableTorchFunction():
        for x in tensors(tree):
            if x.is_floating_point() and not bool(torch.isfinite(x).all()):
                finite, numbers = False, numbers and not bool(torch.isnan(x).any())
    return finite, numbers


def _largest(tree: Any) -> float:
    """Return the largest size of the finite numbers in a tree, 0 where there is none."""
    sizes = [
        float(torch.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0).abs().max())
        for x in tensors(tree)
        if x.is_floating_point() and x.numel()
    ]
    return max(sizes, default=0.0)


def _any_zero(x: Any) -> bool:
    if isinstance(x, Tensor):
        with torch._C.DisableTorchFunction():
            return bool((x == 0).any())
    return bool(x == 0) if isinstance(x, int | float) else False
