"""Pull: which way a loss written by hand moves its outputs, towards the targets that it was given or away.

Listens to the gradient that arrives at the outputs of a full step, and reads the graph; changes neither.
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import kind_of, leads_to, output_activation, parents_of
from soundfit.doctor.unbroken import quietly

__all__ = ["is_margin", "listen", "ones_of"]

Tensor = torch.Tensor
_MOST_LOOKS = 64


def listen(prediction: Tensor, target: Tensor, looks: list[dict[str, float]]) -> None:
    """Have the pull on probabilities added to ``looks`` when their gradient arrives.

    Args:
        prediction: with a history; nothing is heard of any that no sigmoid or softmax made.
        target: zeros and ones, as many as there are outputs; nothing is heard of others.
        looks: takes ``towards``, the cosine between the step down the gradient and the way to the targets,
            and ``apart``, how much larger outputs are where the target is 1.
    """
    if output_activation(prediction) not in ("sigmoid", "softmax"):
        return  # distances are from 0 to 1 by chance, and what marks pairs is no target
    if (
        len(looks) >= _MOST_LOOKS
        or prediction.numel() != target.numel()
        or not prediction.is_floating_point()
    ):
        return
    p, one = prediction.detach().reshape(-1), ones_of(target)
    if one is None or not bool(((p >= 0) & (p <= 1)).all()):
        return

    def look(gradient: Tensor) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            down, way = -gradient.reshape(-1).double(), one.double() - p.double()
            size = float(down.norm() * way.norm())
            if len(looks) < _MOST_LOOKS and 0 < size < float("inf"):
                apart = float(p[one].mean() - p[~one].mean())
                both = bool((down[one] < 0).any()) and bool((down[~one] > 0).any())
                looks.append({"towards": float(down @ way) / size, "apart": apart, "both": float(both)})

    prediction.register_hook(quietly(look))


def ones_of(target: Tensor) -> Tensor | None:
    """Return where targets are 1, None unless they are zeros and ones and there are some of each."""
    t = target.detach().reshape(-1)
    one = t == 1
    return one if bool((one | (t == 0)).all()) and 0 < int(one.sum()) < len(t) else None


_ONE_SIDED = ("Clamp", "ClampMin", "Relu", "Softplus", "LeakyRelu", "Threshold")
_AROUND = ("Mean", "Sum", "Div", "Mul", "Pow", "Add", "View", "Squeeze", "Unsqueeze", "UnsafeView", "Neg")


def is_margin(loss: Tensor, prediction: Tensor) -> bool:
    """Return whether a loss bends, to one side, a constant and the product of outputs and given numbers.

    So are the hinge, max(0, 1 - t * y), its square, and log(1 + exp(-t * y)); t must be -1 or 1 in each.
    """
    node: Any = loss.grad_fn
    bent = shifted = False
    for _ in range(16):
        if node is None:
            return False
        kind, parents = kind_of(node), parents_of(node)
        if len(parents) != 1:
            return False
        given = getattr(node, "_saved_other", None) if kind == "Mul" else None
        if given is None and kind == "Mul":
            given = getattr(node, "_saved_self", None)
        if isinstance(given, Tensor) and given.numel() > 1:
            return bent and shifted and leads_to(parents[0], prediction.grad_fn)
        shifted = shifted or kind in ("Softplus", "Log1P") or (bent and kind in ("Rsub", "Sub", "Add"))
        bent = bent or kind in (*_ONE_SIDED, "Log1P")
        if kind not in (*_AROUND, *_ONE_SIDED, "Rsub", "Sub", "Log1P", "Exp"):
            return False
        node = parents[0]
    return False
