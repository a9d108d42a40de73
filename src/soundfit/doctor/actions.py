"""Whether a loss makes what was done likelier where it went well: the sign of a policy gradient.

Knows autograd's graph; knows no rule (Williams 1992: ascend the mean of ``log_prob * reward``).
"""

from __future__ import annotations

from typing import Any

import torch

from soundfit.doctor.graph import SHAPE_ONLY, constant_factor, kind_of, parents_of, saved, turns, walk
from soundfit.doctor.replaced import Replaced

__all__ = ["favoured", "sign_of_actions"]

_RISING = (
    *SHAPE_ONLY,
    "Mean",
    "Sum",
    "Add",
    "Exp",
    "Clamp",
    "ClampMin",
    "ClampMax",
    "Minimum",
    "Stack",
    "Cat",
)
_LIKELIHOODS = {
    "Gather": 1,
    "LogSoftmax": 1,
    "LogSigmoid": 1,
    "NllLoss": -1,
    "BinaryCrossEntropyWithLogits": -1,
    "Pow": -1,
}
_NEAR = 80  # nodes looked at


def sign_of_actions(loss: torch.Tensor) -> tuple[int, Any] | None:
    """Return whether a loss rises (1) or falls (-1) with weighed log-probabilities, and their node.

    Weighed: each row is multiplied by a number of its own that nothing is taught through, as a reward or an
    advantage is. None where the loss has no such part, or where its sign is not known.

    >>> logits, reward = torch.randn(4, 3, requires_grad=True), torch.tensor([1.0, 0.0, 2.0, -1.0])
    >>> chosen = torch.distributions.Categorical(logits=logits).log_prob(torch.tensor([0, 1, 2, 0]))
    >>> sign_of_actions((chosen * reward).mean())[0], sign_of_actions(-(chosen * reward).sum())[0]
    (1, -1)
    >>> sign_of_actions(chosen.mean())
    """
    waiting, seen = [(loss.grad_fn, 1, False)], 0
    while waiting and seen < _NEAR:
        node, sign, weighed = waiting.pop(0)
        seen += 1
        if node is None:
            continue
        kind = kind_of(node)
        if weighed and kind in _LIKELIHOODS and (kind != "Gather" or _of_logarithms(node)):
            return sign * _LIKELIHOODS[kind], node
        way = -sign if turns(node) else sign
        if kind in ("Sub", "Rsub"):
            ways = (sign, -sign) if kind == "Sub" else (-sign, sign)
            waiting += [(one, to, weighed) for (one, _), to in zip(node.next_functions, ways, strict=False)]
        elif kind == "Div":  # what divides by row is a size
            waiting.append((node.next_functions[0][0], way, weighed))
        elif kind == "Mul":
            weighs = _weighs_rows(node)
            if len(parents_of(node)) == 1 and (weighs or constant_factor(node) is not None):
                waiting.append((parents_of(node)[0], way, weighed or weighs))
        elif kind in _RISING or kind == "Neg":
            waiting += [(one, way, weighed) for one in parents_of(node)]
    return None


def _weighs_rows(node: Any) -> bool:
    """Return whether a product has a factor of many unlike numbers without a history, not all below zero."""
    found = [saved(node, name) for name in ("_saved_other", "_saved_self")]
    weights = next((w for w in found if w is not None and w.numel() > 1 and not w.requires_grad), None)
    return weights is not None and bool((weights > 0).any()) and bool((weights != weights.flatten()[0]).any())


def _of_logarithms(node: Any) -> bool:
    return any(kind_of(one) in ("Logsumexp", "LogSoftmax", "Log") for one in walk(node, 6))


def favoured(replaced: Replaced) -> None:
    """Turn the gradient of weighed log-probabilities round where a loss rises with them."""
    original = torch.Tensor.backward

    def backward(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        found = sign_of_actions(self)
        if found is not None and found[0] > 0:
            found[1].register_prehook(lambda grads: tuple(None if g is None else -g for g in grads))
        return original(self, *args, **kwargs)

    replaced.put(torch.Tensor, "backward", backward)
