"""What a trained model does as a function: is it straight, are rows mixed, do weights without gradient count?

Each question is put to a copy in eval mode, on rows of the training, with no number of the training touched.
Knows models, calls and rows; knows no watch and no rule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from soundfit.doctor.call import output_of
from soundfit.doctor.pace import clock
from soundfit.doctor.rows import Rows
from soundfit.doctor.seen import RootRecord

__all__ = ["Question", "behaviour"]

Tensor = torch.Tensor
_MOST_ROWS = 256
_ASKED = 16  # rows that are changed, one at a time
_FEWEST = 4  # of them, where a pass takes long
_MOST_ELEMENTS = 20_000_000  # of a model that is copied
_CLOSE = 1e-5  # of the outputs' spread: what rounding may do


def behaviour(
    root: RootRecord, rows: Rows, size: int, without_gradient: Iterable[str], *, seconds: float = 3.0
) -> dict[str, Any]:
    """Return what a model does as a function; nothing where it cannot be run, or is not the same twice.

    Args:
        root: the model, with how it is called.
        rows: of the training.
        size: of the script's batches: a model may depend on it.
        without_gradient: names of parameters that no gradient ever reached.
        seconds: of processor time, after which no further row is changed.

    Returns:
        ``bend``: how far the output halfway between two rows is from halfway between their outputs, in
        spreads of the output (0 for a straight map); ``own``: share of rows whose output depends on their own
        input; ``others``: share of other rows whose output depends on a row's input; ``later``: whether all
        of these come after it; ``cut_off``: whether outputs depend on the parameters without gradient.
    """
    out: dict[str, Any] = {}
    size_of = sum(p.numel() for p in root.module.parameters())
    if root.call is None or root.extra.get("composite") or len(rows) < 4 or size_of > _MOST_ELEMENTS:
        return out
    deadline = clock() + seconds
    part = rows.take(torch.arange(min(len(rows), max(4, min(size, _MOST_ROWS)))))
    try:
        ask = Question(root)
        base = ask(part.inputs)
        spread = float(base.std(0).mean()) if len(base) == len(part) else 0.0
        if (
            not spread > 1e-12
            or not bool(torch.isfinite(base).all())
            or not torch.equal(base, ask(part.inputs))
        ):
            return out
        if clock() > deadline:
            return out
        if all(x.is_floating_point() for x in part.inputs):
            out["bend"] = _bend(ask, part.inputs, base, spread)
        names = [name for name in without_gradient if name in dict(root.module.named_parameters())]
        if clock() < deadline:
            out |= _mixing(ask, part.inputs, base, _CLOSE * spread, deadline)
        if names:
            out["cut_off"] = ask.depends_on(names, part.inputs, base, _CLOSE * spread)
    except Exception:  # a model that will not run outside its script tells nothing
        return {}
    return out


class Question:
    """A copy of a model that is asked for outputs; what it draws, it draws alike each time."""

    def __init__(self, root: RootRecord) -> None:
        assert root.call is not None
        self.net = copy.deepcopy(root.module).cpu().eval()
        self.call = root.call

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        with torch.no_grad(), _drawn_alike():
            out = output_of(self.call(self.net, list(inputs))).float()
        return out.reshape(len(out), -1)

    def depends_on(self, names: list[str], inputs: tuple[Tensor, ...], base: Tensor, close: float) -> bool:
        """Return whether other values of these parameters make other outputs."""
        held = dict(self.net.named_parameters())
        with torch.no_grad(), _drawn_alike():
            for name in names:
                p = held[name]
                p.add_((p.std() if p.numel() > 1 else 1.0) * torch.randn_like(p) + 1e-3)
        return bool((self(inputs) - base).abs().max() > close)


@contextmanager
def _drawn_alike() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


def _bend(ask: Question, inputs: tuple[Tensor, ...], base: Tensor, spread: float) -> float:
    turned = tuple(x.roll(1, 0) for x in inputs)
    halfway = ask(tuple((x + y) / 2 for x, y in zip(inputs, turned, strict=True)))
    return float((halfway - (base + base.roll(1, 0)) / 2).abs().mean()) / spread


def _mixing(
    ask: Question, inputs: tuple[Tensor, ...], base: Tensor, close: float, deadline: float
) -> dict[str, Any]:
    n = len(base)
    own: list[float] = []
    others, later = [], True
    asked = torch.linspace(0, n - 1, min(_ASKED, n)).long().tolist()
    for i in [
        *asked[::5],
        *(a for k, a in enumerate(asked) if k % 5),
    ]:  # all over the batch, if time ends early
        if len(own) >= _FEWEST and clock() > deadline:
            break
        changed = tuple(x.clone() for x in inputs)
        for x, whole in zip(changed, inputs, strict=True):
            x[i] = whole[(i + n // 2) % n]
        moved = (ask(changed) - base).abs().amax(1) > close
        own.append(float(moved[i]))
        moved[i] = False
        others.append(float(moved.float().sum()) / max(n - 1, 1))
        later = later and not bool(moved[:i].any())
    return {"own": sum(own) / len(own), "others": sum(others) / len(others), "later": later}
