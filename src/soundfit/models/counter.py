"""Random numbers by counter: the same number for (seed, step, position) on every device, alone or in a bank.

A stateful generator would make a member's dropout mask depend on who else is in the bank. Here each
number is a hash of where it stands, so member *i* draws the same mask alone, among 640 others, on a
CPU or on a GPU, and after a restart. Knows nothing of banks; works under ``torch.func.vmap``.

The mixer is "lowbias32" (C. Wellons, hash-prospector, 2018), a 32-bit bijection with low avalanche bias.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

__all__ = ["STRIDE", "key_of", "normal_like", "stir", "uniform16"]

_GOLDEN = -1640531527  # 0x9E3779B9 as int32
#: A cheap key is ``seed + step * STRIDE``: windows of one long sequence, by the golden ratio apart from
#: each other (in the order of ``uniform16``), so that those of nearby steps never overlap.
STRIDE = -565178675
_SPREAD = 747796405
_MIX_A = 0x7FEB352D
_MIX_B = -2073254261  # 0x846CA68B as int32


def _mix(h: Tensor) -> Tensor:
    # torch has no logical shift: the mask undoes the sign extension of the arithmetic one.
    h = h ^ ((h >> 16) & 0xFFFF)
    h = h * _MIX_A
    h = h ^ ((h >> 15) & 0x1FFFF)
    h = h * _MIX_B
    return h ^ ((h >> 16) & 0xFFFF)


def stir(seed: int) -> int:
    """Spread a seed over 31 bits, so that neighbouring seeds share nothing."""
    # On the CPU by name: nets are also built without memory, under torch.device("meta").
    return int(_mix(torch.tensor((seed * 2 + 1) % 2**31, dtype=torch.int32, device="cpu"))) & 0x7FFFFFFF


def key_of(seed: Tensor, step: Tensor) -> Tensor:
    """Mix a stirred seed and a step (int32, any shape) into a key of that shape."""
    return _mix(seed ^ (step * _GOLDEN))


def uniform16(key: Tensor, n: int) -> Tensor:
    """Return n uniform int16 values (65,536 equally likely) for an int32 key: scalar, or (K, 1) for (K, n).

    One 32-bit hash gives two of them: half the work of a 32-bit draw, and a dropout rate is
    resolved to 1/65,536.
    """
    # One multiplication spreads the counter, one mixes: tested uniform and independent where it is used.
    h = torch.arange((n + 1) // 2, dtype=torch.int32, device=key.device) * _SPREAD + key
    h = h ^ ((h >> 15) & 0x1FFFF)
    h = h * _MIX_B
    h = h ^ ((h >> 16) & 0xFFFF)
    if _maps_views():
        return h.view(torch.int16)[..., :n]
    return torch.stack([h.to(torch.int16), (h >> 16).to(torch.int16)], dim=-1).flatten(-2)[..., :n]


@cache
def _maps_views() -> bool:
    """Return whether ``vmap`` follows a view as another type, which it does from torch 2.13 on."""
    try:
        torch.func.vmap(lambda h: h.view(torch.int16))(torch.zeros(1, 2, dtype=torch.int32))
    except (RuntimeError, NotImplementedError):
        return False
    return True


def normal_like(key: Tensor, like: Tensor) -> Tensor:
    """Return standard normal values of the shape of ``like`` for a scalar int32 key (inverse CDF)."""
    counter = torch.arange(like.numel(), dtype=torch.int32, device=key.device)
    bits = (_mix(counter * _GOLDEN + key) >> 8) & 0xFFFFFF
    # Centred in its cell, so never 0 or 1 and the inverse stays finite.
    uniform = (bits.to(like.dtype) + 0.5) * (2.0**-24)
    return (torch.erfinv(2.0 * uniform - 1.0) * 2.0**0.5).reshape(like.shape)
