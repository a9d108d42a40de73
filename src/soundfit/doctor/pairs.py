"""Pairs: which pairs of rows a loss by hand pulls together, and whether these are alike to begin with.

Listens to the gradient that arrives at one side's outputs of a full step; changes nothing. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.call import tensors
from soundfit.doctor.pull import ones_of
from soundfit.doctor.unbroken import quietly

__all__ = ["listen_to_pairs"]

Tensor = torch.Tensor
Window = Sequence[tuple[Any, ...]]
_MOST_LOOKS = 64


def listen_to_pairs(window: Window, target: Tensor, looks: list[dict[str, float]]) -> None:
    """Have it added to ``looks`` how near pairs are that a loss pulls together, when the gradient arrives.

    Args:
        window: calls of models since the last step: one of two inputs and two outputs, or two of one model.
        target: a zero or a one for each pair; nothing is heard of others.
        looks: takes ``alike`` and ``learned``, the probability that a pair pulled together is nearer than one
            pushed apart, by the inputs and by the outputs, and ``error``, the standard error of the first.
    """
    found = _sides(window, len(target)) if target.dim() and target.numel() == len(target) >= 4 else None
    one = ones_of(target) if found is not None else None
    if found is None or one is None or len(looks) >= _MOST_LOOKS:
        return
    (a, b), (left, right) = found
    pairs = len(one)
    raw = (a.detach().float() - b.detach().float()).reshape(pairs, -1).norm(dim=1)
    way = (right.detach() - left.detach()).reshape(pairs, -1)

    def look(gradient: Tensor) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            pull = -(gradient.reshape(pairs, -1) * way).sum(1)
            together = [_mostly(pull[rows]) for rows in (one, ~one)]
            if together in ([1, -1], [-1, 1]) and len(looks) < _MOST_LOOKS:
                pulled = one if together[0] == 1 else ~one
                n, m = int(pulled.sum()), int((~pulled).sum())
                looks.append({"alike": _nearer(raw, pulled), "learned": _nearer(way.norm(dim=1), pulled),
                              "error": ((n + m + 1) / (12 * n * m)) ** 0.5})  # fmt: skip

    left.register_hook(quietly(look))


def _sides(window: Window, n: int) -> tuple[list[Tensor], list[Tensor]] | None:
    """Return the two sides' inputs and outputs, None where there are no two sides that are alike."""
    for last in (window[-1:], window[-2:]):
        roots = {id(root) for root, *_ in last}
        outputs = [x for _, _, _, out, _ in last for x in tensors(out)]
        inputs = [x for _, args, kwargs, _, _ in last for x in tensors((args, kwargs))]
        if len(roots) != 1 or len(outputs) != 2 or len(inputs) != 2:
            continue
        learned = all(x.requires_grad and x.shape == outputs[0].shape for x in outputs)
        if learned and all(
            x.shape == inputs[0].shape and x.is_floating_point() and len(x) == n for x in inputs
        ):
            return inputs, outputs
    return None


def _mostly(pull: Tensor) -> int:
    """Return 1 where nearly all that is pulled at all is pulled together, -1 where apart, 0 else."""
    felt = pull[pull != 0]
    share = float((felt > 0).double().mean()) if len(felt) else 0.5
    return 1 if share > 0.9 else -1 if share < 0.1 else 0


def _nearer(distance: Tensor, pulled: Tensor) -> float:
    """Return the probability that a distance among the pulled is smaller than one among the others."""
    x, y = distance[pulled][:512, None], distance[~pulled][None, :512]
    return float((x < y).double().mean() + 0.5 * (x == y).double().mean())
