"""The script's own evaluation: outputs made without gradients, and the targets they meet. Knows no hook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from soundfit.doctor.beside import beside, fitting
from soundfit.doctor.call import call_of
from soundfit.doctor.seen import LossCall, RootRecord, first_tensor

__all__ = ["Evaluation"]


_DRAWN = 5


class Evaluation:
    """An output waits here until a target meets it; then both are kept with the model's record."""

    def __init__(self) -> None:
        self.pending: tuple[RootRecord, Any, torch.Tensor, int] | None = None
        self._beside: list[tuple[str, Any, str]] = []
        self.seen = 0
        self.sampled = False
        """Whether the same rows went through again and again at one step: outputs were drawn on purpose."""
        self._asked: tuple[int, dict[tuple[Any, ...], int]] = (-1, {})

    def wants(self, full: frozenset[int]) -> bool:
        """Return whether this forward pass is looked at in full; counts it."""
        self.seen += 1
        return self.seen <= 64 or self.seen in full

    def asked(self, rows: torch.Tensor | None, step: int) -> None:
        """Take note of the rows of an evaluation pass."""
        if rows is None or self.sampled or not rows.numel() or rows.is_complex():
            return
        if self._asked[0] != step:
            self._asked = (step, {})
        with torch.no_grad(), torch._C.DisableTorchFunction():
            key = (tuple(rows.shape), float(rows.double().sum()))
        count = self._asked[1].get(key, 0) + 1
        self._asked[1][key] = count
        self.sampled = count >= _DRAWN

    def wait(self, root: RootRecord, args: Any, out: torch.Tensor, step: int, *, look: bool) -> None:
        """Let an output wait for its target; ``look``: see what stands beside its inputs by then."""
        self.pending = (root, args, out, step)
        rows = first_tensor(args) if look and root.train_rows.batches else None
        if rows is not None and rows.dim() and rows.shape[0] == out.shape[0]:
            self._beside = beside(rows)

    def forget(self) -> None:
        """Wait for nothing, and hold nothing."""
        self.pending, self._beside = None, []

    def expire(self) -> None:
        """End the waiting: what stood beside the inputs is the target, where only one thing can be."""
        found, self._beside = self._beside, []
        if self.pending is not None and found:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                target = fitting(found, self.pending[0].train_rows.last)
            if target is not None:
                self.met(target)
        self.pending = None

    def met(self, target: torch.Tensor, said: torch.Tensor | None = None) -> None:
        """Take ``target`` as what the waiting output should have been, if their rows agree.

        ``said``: what the script made of the output and compared with the target.
        """
        if self.pending is None:
            return
        root, args, out, step = self.pending
        positional, named = args
        if root.call is not None and root.call.places is not None:
            target = root.call.places.of_target(target, len(out))
        made = call_of(positional, named, target, second=root.call is not None and bool(root.call.second))
        if made is None:
            return
        inputs = made[1]
        self.pending, self._beside = None, []
        with torch.no_grad(), torch._C.DisableTorchFunction():
            if root.eval_rows.wants():
                root.eval_rows.keep(inputs, target, step)
            root.eval_scores.append((step, out.detach().cpu().clone(), target.detach().cpu().clone()))
            if len(root.eval_scores) > 96:
                del root.eval_scores[16:32]
            if said is not None and said.shape == target.shape and not said.is_floating_point():
                root.eval_named.append((step, said.detach().cpu().clone(), target.detach().cpu().clone()))
                del root.eval_named[:-96]

    def left_over(self, calls: Sequence[LossCall], window: Sequence[tuple[Any, ...]], step: int) -> None:
        """Take losses computed after the last step with gradients on as the evaluation that they are."""
        for call in calls:
            for root, args, kwargs, out, _ in window:
                y = first_tensor(out if root.call is None else root.call.of_call(out, args, kwargs))
                listed = root.call is not None and root.call.places is not None
                if y is not None and (listed or y.shape[:1] == call.target.shape[:1]):
                    self.pending = (root, (args, kwargs), y, step)
                    self.met(call.target.detach())
                    root.eval_calls += 1
                    root.eval_calls_in_train_mode += int(root.module.training)
                    break
