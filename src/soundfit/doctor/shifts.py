"""Tokens predicted from tokens: by how many places targets lie ahead of the inputs. Knows tensors alone."""

from __future__ import annotations

import torch

__all__ = ["shift_of", "shifted_back"]

Tensor = torch.Tensor
_FEWEST = 64  # targets that are compared
_MATCH = 0.95
_MOST = 3


def shift_of(tokens: Tensor, targets: Tensor) -> int | None:
    """Return k where nearly every target is the token k places on in its own row, None where no k is.

    Args:
        tokens: whole numbers, rows × places.
        targets: as many rows, flattened or not, of at most as many places; negative ones are left out.

    >>> rows = torch.arange(40)[:, None] * 7 % 11 + torch.arange(9) * 5 % 7
    >>> shift_of(rows[:, :-1], rows[:, 1:].reshape(-1)), shift_of(rows[:, :-1], rows[:, 2:].reshape(-1))
    (1, 2)
    """
    if tokens.dim() != 2 or tokens.is_floating_point() or targets.is_floating_point() or not len(tokens):
        return None
    places = targets.numel() // len(tokens)
    if places * len(tokens) != targets.numel() or not 4 <= places <= tokens.shape[1]:
        return None
    wanted = targets.detach().reshape(len(tokens), places)
    shares = {}
    for k in range(_MOST + 1):
        width = min(places, tokens.shape[1] - k)
        if width < 3:
            break
        mine, ahead = wanted[:, :width], tokens[:, k : k + width]
        known = mine >= 0
        if int(known.sum()) < _FEWEST:
            return None
        shares[k] = float((mine == ahead)[known].float().mean())
    best = max(shares, key=lambda k: shares[k], default=None)
    alone = [k for k in shares if shares[k] >= _MATCH]
    return best if len(alone) == 1 else None


def shifted_back(tokens: Tensor, targets: Tensor) -> Tensor:
    """Return targets that lie one place ahead, where they lie more; as they are where they do not.

    Args:
        tokens: whole numbers, rows × places.
        targets: as many rows, flattened or not; negative ones stay with the token that they stood at.

    >>> rows = torch.arange(40)[:, None] * 7 % 11 + torch.arange(9) * 5 % 7
    >>> torch.equal(shifted_back(rows[:, :-2], rows[:, 2:]), rows[:, 1:-1])
    True
    """
    k = shift_of(tokens, targets)
    if k is None or k < 2:
        return targets
    given = targets.reshape(len(tokens), -1)
    back = torch.cat([tokens[:, 1:k].to(given.dtype), given[:, : 1 - k]], 1)
    return back.reshape(targets.shape)
