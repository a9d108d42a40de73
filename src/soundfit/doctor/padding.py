"""What a recurrent model reads of padded texts: does a gradient reach the words, or only the padding?

Asks a copy of the model; knows calls and rows, no watch and no rule.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from soundfit.doctor.call import output_of
from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord

__all__ = ["lengths_of", "padding_facts"]

Tensor = torch.Tensor
_MOST_ROWS = 64
_FEWEST = 8


def lengths_of(codes: Tensor) -> Tensor | None:
    """Return each row's length without the padding at its end; None where rows do not end alike.

    Args:
        codes: whole numbers, rows by places. Padding is the number that half of the rows end in.
    """
    if codes.dim() != 2 or codes.is_floating_point() or codes.shape[1] < 4 or not len(codes):
        return None
    pad = codes[:, -1].mode().values
    if float((codes[:, -1] == pad).float().mean()) < 0.5:
        return None
    real = codes != pad
    places = torch.arange(1, codes.shape[1] + 1, device=codes.device)
    return (real * places).max(1).values.clamp_min(1)


def padding_facts(root: RootRecord, rows: Rows) -> dict[str, float]:
    """Return ``share`` of padding in texts, and ``reached``: the share of the gradient that falls on words.

    Empty where there is no padding at the end, no recurrent layer, or the model cannot be asked.
    """
    module, x = root.module, rows.inputs[0]
    recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())
    lengths = lengths_of(x) if recurrent and root.call is not None else None
    if lengths is None or root.call is None:
        return {}
    share = 1.0 - float(lengths.float().mean()) / x.shape[1]
    some = (lengths <= 0.8 * x.shape[1]).nonzero().reshape(-1)[:_MOST_ROWS]
    if share < 0.2 or len(some) < _FEWEST:
        return {}
    words: list[Tensor] = []

    def cut(_: nn.Module, args: Any, out: Tensor) -> Tensor:
        if args and isinstance(args[0], Tensor) and args[0].shape == x[some].shape:
            words.append(out.detach().requires_grad_())
            return words[-1]
        return out

    try:
        net = copy.deepcopy(module).cpu().eval()
        for part in net.modules():
            if isinstance(part, nn.Embedding):
                part.register_forward_hook(cut)
        with torch.enable_grad():
            out = output_of(root.call(net, [one[some] for one in rows.inputs])).float()
            found = torch.autograd.grad(out.pow(2).sum() + out.sum(), words, allow_unused=True)
    except Exception:  # a model that will not run outside its script tells nothing
        return {}
    slopes = [g.norm(dim=-1) for g in found if g is not None]
    if not slopes:
        return {}
    slope = torch.stack(slopes).sum(0)
    real = torch.arange(x.shape[1]) < lengths[some, None]
    total = float(slope.sum())
    return {"share": share, "reached": float(slope[real].sum()) / total} if total > 0 else {}
