"""What a watch has seen: calls of losses, optimisers and models, as records. Knows no hook and no rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer

from soundfit.doctor.call import Call, tensors
from soundfit.doctor.rows import RowStore
from soundfit.records import Place

__all__ = [
    "LossCall",
    "OptimiserRecord",
    "RootRecord",
    "any_of",
    "first_tensor",
    "main_root",
    "optimiser_of",
    "play_together",
    "tensors",
    "weights_of",
]

_MOST_ELEMENTS = 50_000_000


@dataclass
class LossCall:
    """One call of a loss function: what met what, and how."""

    kind: str
    prediction: torch.Tensor
    target: torch.Tensor
    output: torch.Tensor
    reduction: str
    kwargs: dict[str, Any]
    factor: torch.Tensor | None = None
    """Given numbers that a loss of each place is multiplied by before it is summed."""


@dataclass
class OptimiserRecord:
    """An optimiser that the script built."""

    optimiser: Optimizer
    place: Place
    steps: int = 0
    began: int = 0
    ended: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    grads_were_zeroed: bool = True
    untaken: int = 0
    """Looks at which its parameters held a gradient and it had never stepped."""
    as_was: list[tuple[int, float]] = field(default_factory=list)

    @property
    def parameters(self) -> list[torch.Tensor]:
        """What it holds, of all its groups."""
        return [p for g in self.optimiser.param_groups for p in g["params"]]

    def look(self) -> None:
        """Take note of gradients that wait for this optimiser's first step, and of the weights by then."""
        if not self.untaken:
            self.as_was = self.now()
        self.untaken += 1

    def now(self) -> list[tuple[int, float]]:
        """Return a version and a sum of each parameter: one is new where it changed, ``.data`` or not."""
        with torch.no_grad(), torch._C.DisableTorchFunction():
            return [(p._version, float(p.detach().double().sum())) for p in self.parameters]


@dataclass
class RootRecord:
    """A module that the script called itself (not through another module)."""

    module: torch.nn.Module
    place: Place
    initial: dict[str, torch.Tensor] | None = None
    initial_training: bool = True
    train_calls: int = 0
    train_calls_in_eval_mode: int = 0
    eval_calls: int = 0
    eval_calls_in_train_mode: int = 0
    eval_place: Place = field(default_factory=Place)
    batch_sizes: dict[int, int] = field(default_factory=dict)
    train_rows: RowStore = field(default_factory=RowStore)
    eval_rows: RowStore = field(default_factory=lambda: RowStore(fewest=4))
    eval_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    eval_named: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    train_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    call: Call | None = None
    parts: dict[str, tuple[int, torch.Size]] = field(default_factory=dict)
    heads: dict[int, Any] = field(default_factory=dict)

    def renewed(self) -> bool:
        """Return whether parameters are others than at the last look, as a head changed for a new task is.

        Rows of an earlier task say nothing of this one: they are forgotten, and new parts begin here.
        """
        made = [(n, p) for n, p in self.module.named_parameters() if not torch.nn.parameter.is_lazy(p)]
        before, self.parts = self.parts, {n: (id(p), p.shape) for n, p in made}
        if not before or before == self.parts:
            return False
        self.train_rows, self.eval_rows = RowStore(), RowStore(fewest=4)
        self.train_scores, self.eval_scores, self.eval_named = [], [], []
        self.batch_sizes, self.call, self.heads = {}, None, {}
        now = weights_of(self.module)
        if now is not None:
            first = self.initial or {}
            kept = {
                k
                for k in now
                if k in first and first[k].shape == now[k].shape and before.get(k) == self.parts.get(k)
            }
            self.initial = {k: first[k] if k in kept else v for k, v in now.items()}
        return True

    def keep(
        self, inputs: tuple[torch.Tensor, ...], prediction: torch.Tensor, targets: torch.Tensor, step: int
    ) -> None:
        """Copy a batch that was trained on to the CPU, with what was predicted for it."""
        with torch.no_grad():
            self.train_rows.keep(inputs, targets, step)
            places = self.call.places if self.call is not None else None
            listed = prediction if places is None else places.of_list(prediction, len(targets))
            if listed is not None and listed.numel() <= 100_000:
                scores = (step, listed.detach().cpu().clone(), self.train_rows.last)
                self.train_scores.append(scores)
                if len(self.train_scores) > 64:
                    del self.train_scores[4:36]

    def last_evaluated(self, numbers: bool) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the last outputs, as a loss takes them for ``numbers``, and targets evaluated, or None."""
        if not self.eval_scores:
            return None
        step, first, _ = self.eval_scores[-1]
        same = [(a, b) for s, a, b in self.eval_scores if s == step and a.shape[1:] == first.shape[1:]]
        p, y = (torch.cat(list(both)) for both in zip(*same, strict=True))
        return (p if self.call is None else self.call.amounts(p, numbers)), y


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor] | None:
    """Return copies of a model's tensors; None where they are too many, or not made yet."""
    with torch.no_grad():
        state = {k: v for k, v in module.state_dict(keep_vars=False).items() if isinstance(v, torch.Tensor)}
        uninitialised = any(torch.nn.parameter.is_lazy(v) for v in state.values())
        if uninitialised or sum(v.numel() for v in state.values()) > _MOST_ELEMENTS:
            return None
        return {k: v.detach().clone() for k, v in state.items()}


def main_root(records: Iterable[RootRecord]) -> RootRecord | None:
    """Return the model that the script trains: the one with most rows seen together with a target.

    Of models trained one after another (folds, candidates) the last to be trained as long as any.
    """
    roots = [r for r in records if r.train_calls]
    if not roots:
        return None
    longest = max((r.train_calls for r in roots if r.train_rows.batches), default=0)
    for root in reversed(roots):
        if root.train_rows.batches and root.train_calls >= 0.7 * longest:
            return root
    return max(roots, key=lambda r: r.train_calls)


def optimiser_of(root: RootRecord | None, records: Iterable[OptimiserRecord]) -> OptimiserRecord | None:
    """Return the optimiser that steps a model's parameters, else the one with most steps."""
    known = {id(p) for p in root.module.parameters()} if root is not None else set()
    return max(records, key=lambda o: (o.steps > 0 and any_of(o.parameters, known), o.steps), default=None)


def play_together(roots: Iterable[RootRecord], records: Iterable[OptimiserRecord]) -> bool:
    """Return whether models with optimisers of their own were trained in turns, not one after another.

    What both are trained by (a part that they share, in a phase before) tells neither way.
    """
    owners = []
    for root in roots:
        known = {id(p) for p in root.module.parameters()}
        owners.append({id(o): o for o in records if o.steps and any_of(o.parameters, known)})
    for i, a in enumerate(owners):
        for b in owners[:i]:
            mine, others = ([o for k, o in x.items() if k not in y] for x, y in ((a, b), (b, a)))
            if any(m.began < o.ended and o.began < m.ended for m in mine for o in others):
                return True
    return False


def any_of(parameters: Iterable[torch.Tensor], known: set[int]) -> bool:
    """Return whether one of the parameters is among those known by identity."""
    return any(id(p) in known for p in parameters)


def first_tensor(tree: Any) -> torch.Tensor | None:
    with contextlib.suppress(IndexError):
        return tensors(tree)[0]
    return None
