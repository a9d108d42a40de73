"""What the autograd graph of a loss says: the output's activation, the loss's shape, the first bad operation.

Reads ``grad_fn`` nodes and their saved tensors; runs nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from soundfit.records.said import say

__all__ = [
    "SHAPE_ONLY",
    "activation_node",
    "alike_leaves",
    "bad_operation",
    "constant_factor",
    "infinite_slope",
    "is_gated",
    "kind_of",
    "leads_to",
    "leaf_gains",
    "leaves_of",
    "logged_activation",
    "logged_node",
    "loss_structure",
    "outer_activation",
    "output_activation",
    "parents_of",
    "saved",
    "shared_activation",
    "sign_to",
    "softmax_axis",
    "turns",
    "walk",
]

SHAPE_ONLY = (
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "T", "Transpose", "Permute", "Select",
    "Slice", "ToCopy", "Clone", "Alias", "Expand", "AsStrided", "Index", "Contiguous",
)  # fmt: skip
_ACTIVATIONS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "log_sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Softplus": "softplus",
    "Hardtanh": "hardtanh",
    "Clamp": "clamp",
    "Exp": "exp",
    "Threshold": "relu",
}


def kind_of(node: Any) -> str:
    """Return a node's name without its suffix: ``MulBackward0`` is ``Mul``."""
    return node.name().split("Backward")[0].removeprefix("torch::autograd::")


def _shape(node: Any) -> tuple[int, ...] | None:
    """Return the shape of the tensor that a node made, where autograd kept it."""
    try:
        return tuple(node._input_metadata[0].shape)
    except (AttributeError, IndexError, RuntimeError):
        return None


def parents_of(node: Any) -> list[Any]:
    """Return the nodes that a node's gradient flows on to."""
    return [parent for parent, _ in node.next_functions if parent is not None]


def output_activation(tensor: torch.Tensor) -> str | None:
    """Return the activation that made ``tensor``, looking through reshapes; None for a plain output."""
    found = activation_node(tensor.grad_fn)
    return found[0] if found else None


def activation_node(node: Any) -> tuple[str, Any] | None:
    """Return the activation that a node made, looking through reshapes, and its own node."""
    for _ in range(12):
        if node is None:
            return None
        kind = kind_of(node)
        if kind in _ACTIVATIONS:
            if kind == "Clamp" and getattr(node, "_saved_max", None) is None:
                return ("relu", node) if getattr(node, "_saved_min", None) == 0 else None
            return _ACTIVATIONS[kind], node
        if kind not in SHAPE_ONLY:
            return None
        parents = parents_of(node)
        node = parents[0] if parents else None
    return None


def outer_activation(tensor: torch.Tensor, inner: torch.Tensor) -> str | None:
    """Return the activation that a script put between its model and what the loss judges, or None."""
    found = activation_node(tensor.grad_fn)
    if found is None or inner.grad_fn is None or found[1] is inner.grad_fn:
        return None
    parents = parents_of(found[1])
    return found[0] if len(parents) == 1 and reshapes(parents[0], inner.grad_fn) else None


def reshapes(node: Any, wanted: Any) -> bool:
    """Return whether a node only gives what ``wanted`` made another shape, or is that node."""
    for _ in range(12):
        if node is None or node is wanted:
            return node is not None
        parents = parents_of(node)
        node = parents[0] if kind_of(node) in SHAPE_ONLY and len(parents) == 1 else None
    return False


def logged_activation(tensor: torch.Tensor) -> str | None:
    """Return the activation whose logarithm ``tensor`` is, as in a likelihood by hand; None if it is none.

    Looks through signs and reshapes before the logarithm, and through clamps and small constants under it.
    """
    node = logged_node(tensor.grad_fn)
    return None if node is None else _ACTIVATIONS[kind_of(node)]


def shared_activation(tensor: torch.Tensor) -> str | None:
    """Return the activation whose shares of their sum ``tensor`` is the logarithm of, None if of none."""
    node = _under_logarithm(tensor.grad_fn, _BETWEEN, before=_BETWEEN)
    parents = parents_of(node) if node is not None else []
    if len(parents) != 2 or kind_of(node) != "Div":
        return None
    found = activation_node(parents[0])
    summed = next((n for n in walk(parents[1], 4) if kind_of(n) == "Sum"), None)
    return found[0] if found is not None and summed is not None and parents[0] in parents_of(summed) else None


def logged_node(node: Any, *, plain: bool = False) -> Any:
    """Return the node of the sigmoid or softmax whose logarithm a node made; None if it made none.

    Args:
        node: where to begin.
        plain: the logarithm of the activation itself, not of one minus it.
    """
    node = _under_logarithm(node, _BETWEEN if plain else (*_BETWEEN, "Rsub", "Sub"))
    return node if node is not None and kind_of(node) in ("Sigmoid", "Softmax") else None


_BETWEEN = ("Clamp", "ClampMin", "Add")


def _under_logarithm(node: Any, between: tuple[str, ...], *, before: tuple[str, ...] = ()) -> Any:
    """Return what a logarithm is taken of, None where there is none: signs and shapes are looked through.

    Args:
        node: where to begin.
        between: kinds of nodes that are looked through under the logarithm.
        before: and those before it.
    """
    logged = False
    for _ in range(12):
        if node is None:
            return None
        kind = kind_of(node)
        if kind in ("Log", "Log2"):
            logged = True
        elif kind not in (*SHAPE_ONLY, "Neg", *(between if logged else before)):
            return node if logged else None
        parents = parents_of(node)
        node = parents[0] if len(parents) == 1 else None
    return None


_SIGNED = ("Mean", "Sum", "Neg", "Rsub", "Sub", "Add", "Mul", "Div")


def sign_to(loss: torch.Tensor, wanted: Any) -> int | None:
    """Return 1 where a loss is a node's mean or sum, -1 for minus that, None for anything else."""
    node, sign = loss.grad_fn, 1
    for _ in range(12):
        if node is wanted:
            return sign
        kind, parents = (kind_of(node), parents_of(node)) if node is not None else ("", [])
        if len(parents) != 1 or kind not in (*SHAPE_ONLY, *_SIGNED):
            return None
        sign, node = -sign if turns(node) else sign, parents[0]
    return None


def turns(node: Any) -> bool:
    """Return whether a node gives minus its one operand, up to a positive factor and a constant."""
    kind = kind_of(node)
    if kind in ("Mul", "Div"):
        factor = constant_factor(node)
        return factor is not None and factor < 0
    return kind == "Neg" or (kind == "Rsub" and len(parents_of(node)) == 1)


def softmax_axis(tensor: torch.Tensor) -> int | None:
    """Return over which axis the softmax ran that made ``tensor``, None where that is not known."""
    node: Any = tensor.grad_fn
    for _ in range(12):
        if node is None:
            return None
        kind = kind_of(node)
        if kind in ("Softmax", "LogSoftmax"):
            axis, shape = int(node._saved_dim), _shape(node)
            axis -= 2**64 if axis >= 2**63 else 0
            return axis + len(shape) if axis < 0 and shape is not None else axis
        if kind not in ("Clone", "Alias", "ToCopy", "Contiguous", "Squeeze"):
            return None
        parents = parents_of(node)
        node = parents[0] if parents else None
    return None


def walk(node: Any, limit: int = 4000, stop: frozenset[Any] = frozenset()) -> Iterator[Any]:
    """Yield nodes from the loss back to the leaves, each once, and none beyond those in ``stop``."""
    seen: set[Any] = set()
    queue = [node]
    while queue and len(seen) < limit:
        node = queue.pop(0)
        if node in seen:
            continue
        seen.add(node)
        yield node
        if node not in stop:
            queue.extend(parents_of(node))


def loss_structure(
    loss: torch.Tensor, known: frozenset[Any] = frozenset(), prediction: torch.Tensor | None = None
) -> dict[str, Any]:
    """Describe the operations nearest to the loss; ``known`` are nodes of losses that need no look inside.

    Args:
        loss: a scalar, with its graph.
        known: see above.
        prediction: what met a tensor without a history, where something did.

    Returns:
        ``negated`` (sign of the loss turned odd times), ``reduction`` (``mean``, ``sum`` or None),
        ``scale`` (product of constant factors), ``operations`` (names from the loss back, at most 24)
        ``broadcast`` (``(inner shape, outer shape)`` of a difference that grew a square, else None),
        ``penalised`` (how many parameters' own sizes are part of the loss), ``signed`` (whether rows are
        weighed by numbers of both signs, as advantages are), ``shuns`` (whether it is minus the power or
        the size of a difference), ``errs`` (the same without the minus), ``likelihood`` (whether it is a
        mean or sum of logarithms of a softmax or sigmoid, not negated), and ``even`` (whether a difference
        from the prediction is squared or taken as a size; None where no difference of it was found).
    """
    out: dict[str, Any] = {
        "negated": False, "reduction": None, "operations": [], "broadcast": None, "penalised": 0,
        "signed": False, "even": None, "shuns": False, "errs": False, "likelihood": False,
    }  # fmt: skip
    node = loss.grad_fn
    while node is not None and node not in known and len(out["operations"]) < 8:
        kind = kind_of(node)
        out["operations"].append(kind)
        if turns(node):
            out["negated"] = not out["negated"]
        elif kind in ("Mean", "Sum"):
            out["reduction"] = kind.lower()
        elif kind not in ("Mul", "Div", *SHAPE_ONLY):
            # Of two operands one has no history: numbers that were given.
            differs = any(kind_of(p) in ("Sub", "Rsub") and len(parents_of(p)) == 1 for p in parents_of(node))
            error = kind in ("Pow", "Abs") and differs
            out["shuns"], out["errs"] = out["negated"] and error, not out["negated"] and error
            out["likelihood"] = not out["negated"] and kind in ("LogSoftmax", "LogSigmoid")
            break
        parents = parents_of(node)
        node = parents[0] if len(parents) == 1 else None
    if loss.grad_fn is not None:
        for node in list(walk(loss.grad_fn, 40)):
            kind = kind_of(node)
            if len(out["operations"]) < 24:
                out["operations"].append(kind)
            if (
                kind in ("Sub", "Rsub", "MseLoss", "SmoothL1Loss", "HuberLoss", "Mul")
                and out["broadcast"] is None
            ):
                out["broadcast"] = _grown(node)
        made = prediction.grad_fn if prediction is not None else None
        ends = known if made is None else known | {made}
        near = walk(loss.grad_fn, 40, ends)  # of what a model does inside, nothing weighs rows
        out["signed"] = any(kind_of(n) == "Mul" and n not in ends and _weighs_both_ways(n) for n in near)
        out["penalised"] = _penalised(loss)
        if prediction is not None and prediction.grad_fn is not None:
            out["even"] = _even(loss, prediction.grad_fn)
    return out


def _weighs_both_ways(node: Any) -> bool:
    """Return whether a product's constant factor has many positive and many negative values."""
    if len(parents_of(node)) != 1:  # both factors were made by what is trained
        return False
    for name in ("_saved_other", "_saved_self"):
        weights = saved(node, name)
        if weights is not None and weights.numel() > 1 and not weights.requires_grad:
            signs = (weights > 0).double().mean(), (weights < 0).double().mean()
            if min(float(s) for s in signs) > 0.02:
                return True
    return False


_EVEN = (
    "Pow",
    "Abs",
    "Mul",
    "LinalgVectorNorm",
    "Norm",
    "Cosh",
    "Maximum",
    "Where",
    "Clamp",
    "ClampMin",
    "Relu",
)


def _even(loss: torch.Tensor, prediction: Any) -> bool | None:
    """Return whether what is subtracted from the prediction goes straight into a square or a size."""
    nodes = list(walk(loss.grad_fn, 400))
    differences = [
        node
        for node in nodes
        if kind_of(node) in ("Sub", "Rsub") and any(leads_to(p, prediction) for p in parents_of(node))
    ]
    if not differences:
        return None
    for node in nodes:
        found = [any(leads_to(p, d) for d in differences) for p in parents_of(node)]
        if (
            kind_of(node) in _EVEN
            and any(found)
            and (kind_of(node) != "Mul" or (all(found) and len(found) == 2))
        ):
            return True
    return False


def leads_to(node: Any, wanted: Any, depth: int = 6) -> bool:
    """Return whether a node is the wanted one, or a reshaped or rescaled form of it."""
    if node is wanted:
        return True
    if depth == 0 or kind_of(node) not in (*SHAPE_ONLY, "Mul", "Div", "Neg"):
        return False
    return any(leads_to(p, wanted, depth - 1) for p in parents_of(node))


def _penalised(loss: torch.Tensor) -> int:
    """Return how many parameters have their size added to the loss: its norm, power or absolute value."""
    found = set()
    for node in walk(loss.grad_fn, 400):
        if kind_of(node) in ("Abs", "Pow", "LinalgVectorNorm", "Norm", "Square", "Mul"):
            parents = parents_of(node)
            if parents and all("AccumulateGrad" in p.name() for p in parents):
                found |= {p for p in parents if p.variable.dim() > 0}
    return len(found)


def leaves_of(loss: torch.Tensor, limit: int = 400) -> list[torch.Tensor]:
    """Return the tensors that a loss teaches, each once, those nearest to it first."""
    if loss.grad_fn is None:
        return []
    found = (getattr(n, "variable", None) for n in walk(loss.grad_fn, limit))
    return list({id(v): v for v in found if v is not None}.values())


_GATES = ("Relu", "Clamp", "ClampMin", "Threshold", "Maximum", "Where")


def is_gated(loss: torch.Tensor) -> bool:
    """Return whether a ReLU, by whatever name, is among the operations behind a loss."""
    return loss.grad_fn is not None and any(kind_of(n) in _GATES for n in walk(loss.grad_fn, 400))


def alike_leaves(loss: torch.Tensor) -> list[list[int]]:
    """Return the shapes of matrices that are learned and hold one number throughout."""
    matrices = [v.detach() for v in leaves_of(loss) if v.dim() == 2 and min(v.shape) > 1]
    return [list(w.shape) for w in matrices if bool((w == w[0, 0]).all())]


def leaf_gains(loss: torch.Tensor) -> list[float]:
    """Return the size of each matrix that is learned: the root mean square of a weight times √(longer side).

    About 1 for sound initial weights (He et al. 2015), whichever way round they multiply.
    """
    matrices = [v.detach().float() for v in leaves_of(loss) if v.dim() == 2]
    return [float(w.pow(2).mean().sqrt()) * max(w.shape) ** 0.5 for w in matrices if w.numel()]


def constant_factor(node: Any) -> float | None:
    """Return the constant that a product multiplies by, where autograd kept it."""
    for name in ("_saved_other", "_saved_self"):
        try:
            value = getattr(node, name)
        except (AttributeError, RuntimeError):
            continue
        if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.requires_grad:
            return float(value)
        if isinstance(value, int | float):
            return float(value)
    return None


def _grown(node: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return shapes where an operation on ``(N, 1)`` or ``(N,)``, and on what was given, made ``(N, N)``.

    Where both sides have a history, as in a table of all pairs, a square is what its author wants.
    """
    outer, parents = _shape(node), parents_of(node)
    if outer is None or len(outer) < 2 or outer[-1] < 2 or outer[-1] != outer[-2] or len(parents) != 1:
        return None
    inner = _shape(parents[0])
    return (inner, outer) if inner in ((outer[-1],), (outer[-1], 1), (1, outer[-1])) else None


def saved(node: Any, name: str) -> torch.Tensor | None:
    """Return a tensor that autograd keeps for a node's backward pass, None where there is none."""
    try:
        value = getattr(node, name)
    except (AttributeError, RuntimeError):
        return None
    return value.detach() if isinstance(value, torch.Tensor) and value.is_floating_point() else None


def infinite_slope(loss: torch.Tensor) -> str | None:
    """Return the operation of a loss's graph that stands where its slope is infinite, None where none does.

    The square root of 0 is 0 and its gradient NaN, whatever comes after: 0 times infinity.
    """
    for node in walk(loss.grad_fn):
        kind = kind_of(node)
        if kind == "Sqrt":
            value = saved(node, "_saved_result")
            if value is not None and bool((value == 0).any()):
                return "sqrt"
        elif kind == "Pow":
            value, power = saved(node, "_saved_self"), getattr(node, "_saved_exponent", 1.0)
            if (
                value is not None
                and isinstance(power, float)
                and 0.0 < power < 1.0
                and bool((value == 0).any())
            ):
                return "pow"
        elif kind in ("Acos", "Asin"):
            value = saved(node, "_saved_self")
            if value is not None and bool((value.abs() == 1).any()):
                return kind.lower()
    return None


def bad_operation(loss: torch.Tensor) -> dict[str, Any] | None:
    """Return the operation that most likely made a loss or its gradient non-finite, or None.

    Looks at the tensors that autograd saved: a zero under a logarithm, a square root or a division, an
    exponential that overflowed, a matrix product whose operands are finite and whose successor's are not.
    The operation farthest from the loss wins, since it came first.
    """
    found: dict[str, Any] | None = None
    if loss.grad_fn is None:
        return None
    with torch.no_grad():
        for node in walk(loss.grad_fn):
            bad = _judge(node)
            if bad is not None:
                found = bad
    return found


def _judge(node: Any) -> dict[str, Any] | None:
    kind = kind_of(node)
    operand = saved(node, "_saved_self")
    if kind in ("Log", "Log2", "Log10", "Log1P") and operand is not None:
        low = float(operand.min())
        limit = -1.0 if kind == "Log1P" else 0.0
        if low <= limit and bool(torch.isfinite(operand).all()):
            word = say("zero") if low == limit else say("a negative number")
            return {"operation": "log", "why": say("logarithm of {word}", word=word), "minimum": low}
    if kind == "Sqrt":
        result = saved(node, "_saved_result")
        if result is not None and (bool((result == 0).any()) or bool(result.isnan().any())):
            bad = (
                say("a negative number")
                if bool(result.isnan().any())
                else say("zero, whose slope is infinite")
            )
            return {"operation": "sqrt", "why": say("square root of {bad}", bad=bad), "minimum": 0.0}
    if kind == "Div":
        other = saved(node, "_saved_other")
        if other is not None and bool((other == 0).any()):
            return {"operation": "div", "why": say("division by zero"), "minimum": 0.0}
    if kind == "Exp":
        result = saved(node, "_saved_result")
        if result is not None and bool(result.isinf().any()):
            dtype = str(result.dtype).removeprefix("torch.")
            return {"operation": "exp", "why": say("exponential overflowed"), "dtype": dtype}
    if kind == "Pow" and operand is not None and bool(torch.isfinite(operand).all()):
        exponent = getattr(node, "_saved_exponent", None)
        if isinstance(exponent, int | float) and exponent < 1 and bool((operand <= 0).any()):
            return {
                "operation": "pow",
                "why": say("power {exponent:g} of zero or less", exponent=exponent),
                "minimum": float(operand.min()),
            }
    if kind in ("Acos", "Asin") and operand is not None and bool((operand.abs() >= 1).any()):
        return {
            "operation": kind.lower(),
            "why": say("inverse trigonometric function at its end"),
            "maximum": 1.0,
        }
    return None
