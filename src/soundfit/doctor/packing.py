"""Recurrent layers that stop at each text's end: sequences packed while a script runs.

Knows layers and codes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from soundfit.doctor.padding import lengths_of

__all__ = ["pack_texts"]

Tensor = torch.Tensor


def pack_texts(patch: Callable[[Any, str, Any], None], texts: Callable[[], Tensor | None]) -> None:
    """Let recurrent layers read texts up to their ends; the places after that repeat the last output.

    Args:
        patch: called with owner, name and what to put there; it is the caller's to undo.
        texts: returns the codes that the running model was called with.
    """
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        patch(kind, "forward", _packed(kind.forward, texts))


def _packed(original: Any, texts: Callable[[], Tensor | None]) -> Any:
    @functools.wraps(original)
    def forward(layer: nn.RNNBase, x: Any, state: Any = None) -> Any:
        codes = texts()
        lengths = None if codes is None or isinstance(x, PackedSequence) else lengths_of(codes)
        if lengths is None or codes is None or x.dim() != 3:
            return original(layer, x, state)
        rows = (0, 1) if layer.batch_first else (1, 0)
        if (x.shape[rows[0]], x.shape[rows[1]]) != codes.shape:
            return original(layer, x, state)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=layer.batch_first, enforce_sorted=False)
        out, last = original(layer, packed, state)
        steps = x.shape[rows[1]]
        out, _ = pad_packed_sequence(out, batch_first=True, total_length=steps)
        place = torch.minimum(torch.arange(steps, device=out.device), lengths.to(out.device)[:, None] - 1)
        out = out.gather(1, place[..., None].expand(-1, -1, out.shape[-1]))
        return out if layer.batch_first else out.transpose(0, 1), last

    return forward
