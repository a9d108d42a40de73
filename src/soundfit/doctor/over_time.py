"""What a recurrent model's output feels of a sequence: only its padding, or only its last steps?

Asks a copy of the model; knows calls and rows, no watch and no rule.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import nn

from soundfit.doctor.call import output_of
from soundfit.doctor.padding import padding_facts
from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord

__all__ = ["over_time", "recall_facts"]

Tensor = torch.Tensor
_MOST_ROWS = 64
_FEWEST_STEPS = 6
_ROLLED_OUT = (nn.RNNBase, nn.RNNCellBase)


def over_time(root: RootRecord, rows: Rows) -> dict[str, Any]:
    """Return the facts ``padding`` and ``recall``; each is empty where it tells nothing."""
    return {"padding": padding_facts(root, rows), "recall": recall_facts(root, rows)}


def recall_facts(root: RootRecord, rows: Rows) -> dict[str, Any]:
    """Return how much of the output's gradient reaches the first quarter of a sequence's steps.

    ``start`` and ``now``, before and after training: that part over the last quarter's, where it fell from
    quarter to quarter before training, which is how a product of as many factors as there are steps falls
    (Bengio, Simard & Frasconi 1994). ``steps``: of a sequence. ``looped``: names of layers that a pass calls
    again and again, ``of_state`` those of them that read a state. Empty where the model does not go step by
    step, or cannot be asked.
    """
    x = rows.inputs[0]
    steps = x.shape[1] if x.dim() in (2, 3) else 0
    if root.call is None or root.initial is None or steps < _FEWEST_STEPS:
        return {}
    try:
        before, looped = _reached(root, rows, root.initial)
        if not looped and not any(isinstance(m, _ROLLED_OUT) for m in root.module.modules()):
            return {}
        after, _ = _reached(root, rows, None)
    except Exception:  # a model that will not run outside its script tells nothing
        return {}
    quarters, now = _quarters(before), _quarters(after)
    falls = all(a < b for a, b in itertools.pairwise(quarters))
    if not falls or quarters[0] <= 0 or now[-1] <= 0:
        return {}
    start = quarters[0] / quarters[-1]
    return {
        "steps": steps,
        "start": start,
        "now": now[0] / now[-1],
        "looped": list(looped),
        "of_state": [name for name, given in looped.items() if given],
    }


def _quarters(slopes: Tensor) -> list[float]:
    return [float(part.median()) for part in slopes.chunk(4)]


def _reached(root: RootRecord, rows: Rows, state: dict[str, Tensor] | None) -> tuple[Tensor, dict[str, bool]]:
    """Return the size of the output's gradient at each step, (T,), and the layers that are called at many.

    With each layer whether it was first given zeros, as a state is that has seen nothing yet.
    """
    net = copy.deepcopy(root.module).cpu().eval()
    if state is not None:
        net.load_state_dict(state)
    part = rows.take(torch.arange(min(len(rows), _MOST_ROWS)))
    x = part.inputs[0]
    read: list[Tensor] = []
    called: Counter[str] = Counter()
    empty: set[str] = set()

    def cut(_: nn.Module, args: Any, out: Tensor) -> Tensor:
        if args and isinstance(args[0], Tensor) and args[0].numel() == x.numel():
            read.append(out.detach().requires_grad_())
            return read[-1]
        return out

    def count(_: nn.Module, args: Any, out: Any, name: str) -> None:
        if not called[name] and args and isinstance(args[0], Tensor) and not bool(args[0].any()):
            empty.add(name)
        called[name] += 1

    for name, module in net.named_modules():
        module.register_forward_hook(partial(count, name=name))
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(cut)
    inputs = list(part.inputs)
    if x.is_floating_point():
        inputs[0] = x.detach().clone().requires_grad_()
        read.append(inputs[0])
    assert root.call is not None
    with torch.enable_grad():
        out = output_of(root.call(net, inputs)).float()
        found = torch.autograd.grad(out.pow(2).sum() + out.sum(), read, allow_unused=True)
    slopes = [g.reshape(*x.shape[:2], -1).norm(dim=-1).mean(0) for g in found if g is not None]
    looped = [name for name, times in called.items() if name and times >= _FEWEST_STEPS]
    return torch.stack(slopes).sum(0), {name: name in empty for name in looped}
