"""The watch: hooks that see a training and change none of its numbers. Knows no rule.

Every patch is undone by :meth:`Watch.detach`. Light steps keep references and one float; full steps (1, 2,
3, then ever rarer) also keep statistics of activations, gradients and updates.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import torch
from torch.optim import Optimizer

from soundfit.doctor.batch import judging, matched, put_maker_last
from soundfit.doctor.call import output_of
from soundfit.doctor.constant_terms import ConstantTerms
from soundfit.doctor.evaluation import Evaluation
from soundfit.doctor.glance import described, glance
from soundfit.doctor.graph import sign_to
from soundfit.doctor.hand_steps import HandSteps
from soundfit.doctor.heads import Head, keep_heads
from soundfit.doctor.heard import Heard
from soundfit.doctor.layers import Layers
from soundfit.doctor.light import due_step
from soundfit.doctor.lines import user_place
from soundfit.doctor.nonfinite import nonfinite_detail
from soundfit.doctor.optrace import OpTrace
from soundfit.doctor.patches import Patches
from soundfit.doctor.plateau import Plateau
from soundfit.doctor.seen import LossCall, OptimiserRecord, RootRecord, any_of, first_tensor, weights_of
from soundfit.doctor.series import Recording
from soundfit.doctor.steps import ACCUMULATED, FULL, rows_due
from soundfit.doctor.unbroken import unbroken
from soundfit.doctor.updates import Updates, has_gradient
from soundfit.doctor.weighed import take_factors
from soundfit.records import Place

__all__ = ["Watch"]

_ADDING = ("add", "__add__")
_EVALUATIONS = ("eq", "__eq__", "ne", "__ne__", "sub", "__sub__", "rsub")


class Watch:
    """Attach to torch, gather a :class:`Recording`, detach without a trace.

    Args:
        price: ``economy`` watches few steps in full, ``full`` watches every one.
    """

    def __init__(self, *, price: str = "economy") -> None:
        self.price = price
        self.recording = Recording()
        self.roots: dict[int, RootRecord] = {}
        self.optimisers: dict[int, OptimiserRecord] = {}
        self.losses: dict[str, dict[str, Any]] = {}
        self.custom: dict[str, Any] = {}
        self.risky: dict[str, Place] = {}
        self.plateaus: dict[int, Plateau] = {}
        self.loaders: list[Any] = []  # of the script, each dataset's first
        self.dropouts: dict[tuple[float, bool, bool], Place] = {}
        self.quiet = False
        self.due = 0  # the step from which on rows are kept again
        self.light_steps = 0
        self.light_steps_in_eval_mode = 0
        self.main: torch.nn.Module | None = None
        self.last: tuple[tuple[Any, ...], dict[str, Any], Any, bool] | None = None
        self.last_loss: tuple[str, tuple[Any, ...], dict[str, Any], Any] | None = None
        self.depth = 0
        self.step = 0
        self.backwards = 0
        self.backwards_since_step = 0
        self.backward_place = Place()
        self.grad = True
        self.compiled = False
        self.unregistered: dict[str, tuple[Place, torch.nn.Module]] = {}
        self.spent_seconds = 0.0
        self.full = False
        self.births: dict[int, Place] = {}
        self.layers = Layers(self.recording)
        self.evaluation = Evaluation()
        self.head: Head | None = None  # of several outputs the one that the examination is about
        self.thread = threading.get_ident()
        self._window: list[tuple[RootRecord, tuple[Any, ...], dict[str, Any], Any, bool]] = []
        self._calls: list[LossCall] = []
        self._met: tuple[str, torch.Tensor, torch.Tensor] | None = None
        self._inner_target: torch.Tensor | None = None  # of a loss that a model computes inside itself
        self.ops = OpTrace(self)
        self.updates = Updates(self.recording)
        self.terms = ConstantTerms()
        self.patches = Patches(self)
        self._known: dict[int, torch.Tensor] = {}
        self._heard = Heard(self.recording)
        self.hand_steps = HandSteps()
        self.by_hand = False  # no optimiser: what comes between two backward passes is taken for a step
        self._seen_before = (0, 0)
        self.attached = False
        self.inside_backward = False
        self._backed: torch.Tensor | None = None
        self._stepping: Optimizer | None = None
        self._wanted = False  # whether the call that lasts is looked at in full
        self.stumbled: str | None = None

    # -- life ---------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Install every hook."""
        self.attached = True
        self.patches.install()
        self.full = True

    def detach(self) -> None:
        """Remove every hook; torch is as it was."""
        self.ops.stop()
        self._note_the_rest()
        self.patches.remove()
        self.attached = False
        self.evaluation.forget()
        self._forget()

    @unbroken
    def _note_the_rest(self) -> None:
        self.evaluation.expire()
        if self.step:
            self._take_last()
            if self.backwards_since_step == 0:
                self.evaluation.left_over(self._calls, self._window, self.step)
        self._credit_light_steps()
        self._heard.flush()

    def stumble(self, error: Exception) -> None:
        """Look at nothing any more: the training goes on as if it were not watched."""
        self.stumbled = self.stumbled or f"{type(error).__name__}: {error}"[:300]
        self.ops.stop()
        self.full = False
        self._forget()

    def _forget(self) -> None:
        self._window, self._calls, self._met = [], [], None
        self.last = self.last_loss = None

    def _credit_light_steps(self) -> None:
        if self.main is not None and self.light_steps:
            root = self.roots[id(self.main)]
            root.train_calls += self.light_steps
            root.train_calls_in_eval_mode += self.light_steps_in_eval_mode
            self.light_steps = self.light_steps_in_eval_mode = 0

    @unbroken
    def enter(self, module: torch.nn.Module) -> RootRecord | None:
        """Prepare for a model's call; None where it is none of interest."""
        if not self._is_model(module):
            return None
        if type(module).__name__ == "OptimizedModule":
            self.compiled = True
        inner: torch.nn.Module = getattr(module, "_orig_mod", module)
        root = self.roots.get(id(inner))
        if root is None:
            root = self._new_root(inner)
        started = time.perf_counter()
        training = torch.is_grad_enabled()
        self.evaluation.expire()  # what no target met, another model's outputs say, waits no longer
        if training:
            self.ops.forget()
        self._wanted = self.full if training else self.price == "full" or self.evaluation.wants(FULL)
        if self._wanted and training and root.renewed():
            self.layers.know(inner)
        if self._wanted:
            if not self.compiled:
                self.ops.start()
        elif not training and self.ops.on:
            self.ops.stop()
        self._inner_target = None
        self.layers.stack = [module]
        self.spent_seconds += time.perf_counter() - started
        return root

    @unbroken
    def leave(self, root: RootRecord, args: Any, kwargs: Any, out: Any, training: bool) -> None:
        """Take note of what a model's call gave."""
        started = time.perf_counter()
        first, module = first_tensor(out), root.module
        if training and first is not None and first.requires_grad:
            if root.train_calls == 0:  # an evaluation may have come before
                root.initial_training = module.training
            root.train_calls += 1
            self._window.append((root, args, kwargs, out, module.training))
            if len(self._window) > 64:
                del self._window[:32]
        elif first is not None:
            root.eval_calls += 1
            if module.training:
                root.eval_calls_in_train_mode += 1
            if self._wanted:
                self.evaluation.asked(first_tensor((args, kwargs)), self.step)
            if root.eval_calls <= 2:
                root.eval_place = user_place(self.step)
            first = output_of(out if root.call is None else root.call.of_call(out, args, kwargs))
            self.evaluation.wait(root, (args, kwargs), first, self.step, look=self._wanted)
            if self._inner_target is not None:
                self.evaluation.met(self._inner_target)
            if self.ops.on:
                self.ops.seed(first)
        self.spent_seconds += time.perf_counter() - started

    def _is_model(self, module: torch.nn.Module) -> bool:
        known = self._known.get(id(module))
        if known is None:
            known = next(module.parameters(), None)
            known = known if known is not None else False  # type: ignore[assignment]
            self._known[id(module)] = known  # type: ignore[assignment]
            if known is False:
                self.recording.facts.setdefault("plain_modules", []).append(type(module).__name__)
        return known is not False

    def _new_root(self, module: torch.nn.Module) -> RootRecord:
        root = RootRecord(module, user_place(self.step + 1), weights_of(module), module.training)
        self.roots[id(module)] = root
        self.layers.know(module)
        if not self.compiled:
            self.patches.hold(type(module))
        return root

    # -- what a full step sees ----------------------------------------------------------------------

    @unbroken
    def saw_unregistered(self, module: torch.nn.Module) -> None:
        """Receive a module that runs inside a model and is not known by name."""
        if torch.is_grad_enabled() and self.layers.is_foreign(module):
            held = {id(p) for o in self.optimisers.values() for p in o.parameters}
            if not any(id(p) in held for p in module.parameters()):
                place = self.births.get(id(module), Place())
                self.unregistered.setdefault(type(module).__name__, (place, module))

    def saw_activation(self, kind: str, out: Any) -> None:
        """Receive an activation's output from a full step."""
        if self.grad or self.evaluation.pending is None:
            self.layers.activation(kind, out, self.step + 1, inside=bool(self.depth))

    def saw_linear(self, out: Any) -> None:
        """Receive a linear map's output from a full step."""
        if self.depth:
            self.layers.linear(out, self.step + 1)

    def saw_risky(self, name: str, place: Place) -> None:
        """Receive the place of an operation that can make non-finite values."""
        self.risky.setdefault(name.strip("_").replace("true", ""), place)

    def saw_dropout(self, p: float, training: bool, place: Place) -> None:
        """Receive a dropout's rate and mode; what layers are asked before any training is no evaluation."""
        # What draws in a model that is in train mode does as it was told (as when batch norm is taught anew).
        told = bool(self.depth and self.layers.stack and self.layers.stack[0].training)
        if self.grad or (self.step and not told):
            self.dropouts.setdefault((p, training, self.grad), place)

    @unbroken
    def saw_clipping(self, ratio: float, place: Place) -> None:
        """Receive by how much a gradient was longer than it was allowed to be."""
        self.recording.put("clipped", self.step + 1, ratio)
        self.custom.setdefault("clip_place", place)

    def met(self, name: str, prediction: torch.Tensor, target: torch.Tensor, place: Place) -> None:
        """Receive a tensor without history that met one made by a model, outside of modules."""
        if prediction.requires_grad:
            # What is only added to a prediction is an offset where a target comes after it.
            offset = self._met is not None and self._met[0] in _ADDING and name not in _ADDING
            if self._met is None or offset:
                self._met = (name, prediction, target)
                shapes = tuple(prediction.shape), tuple(target.shape)
                if offset and self.custom.get("first_meeting") in _ADDING:
                    self.custom.update(place=place, first_meeting=name, shapes=shapes)
                self.custom.setdefault("place", place)
                self.custom.setdefault("first_meeting", name)
                self.custom.setdefault("shapes", shapes)
        elif name in _EVALUATIONS:
            self.evaluation.met(target, prediction if name in ("eq", "__eq__", "ne", "__ne__") else None)

    # -- losses -------------------------------------------------------------------------------------

    @unbroken
    def saw_loss(self, kind: str, prediction: Any, target: Any, out: torch.Tensor, kwargs: Any) -> None:
        """Receive a loss and what met in it."""
        if not out.requires_grad:
            if self.depth and not torch.is_grad_enabled():
                self._inner_target = target
            elif self.evaluation.pending is not None and not torch.is_grad_enabled():
                if out.dim() == 0:
                    self.recording.put("validation_loss", max(self.step, 1), float(out))
                if prediction.shape[:1] == target.shape[:1]:
                    self.evaluation.met(target)
            elif self.full and torch.is_grad_enabled():
                self.terms.saw(kind, out)
            return
        if self.step < 2:
            self.updates.aim(out)
        call = LossCall(kind, prediction, target, out, kwargs.get("reduction", "mean"), kwargs)
        self._calls.append(call)
        if len(self._calls) > 32:
            del self._calls[:16]
        if kind not in self.losses:
            self.losses[kind] = described(call, user_place(self.step + 1))
        self.losses[kind]["calls"] += 1

    # -- backward -----------------------------------------------------------------------------------

    @unbroken
    def before_backward(self, loss: torch.Tensor) -> None:
        """Receive a loss whose gradient is asked for."""
        self.step_by_hand()
        self.backwards += 1
        self.backwards_since_step += 1
        if self.backwards <= 2:
            self.backward_place = user_place(self.step + 1)
        self.hear(loss)
        put_maker_last(self._window, self._calls, self._met)
        take_factors(loss, self._calls, self.custom)
        if self.backwards_since_step > ACCUMULATED and self.price != "full":
            self.ops.stop()
            self.full = False
        if self.full:
            pair = matched(self._window, self._calls, self._met)
            told = (loss, self._calls, pair and pair[1], self.custom, self.recording, self.step + 1)
            glance(*told, window=self._window, target=pair and pair[2])
            if self.ops.similarity is not None:
                self.custom.setdefault("similarity", sign_to(loss, self.ops.similarity))
            self.terms.take(loss, self._calls)
            self._look_for_old_gradients()
            if not self.optimisers or not self.roots:
                self.hand_steps.before(loss)
            if loss is self._backed:
                self.recording.put("backward_twice", self.step + 1, 1.0)
            self._backed = loss
        self._keep_rows()

    @unbroken
    def after_backward(self) -> None:
        """Look at the gradients of a closure: they are made inside of the optimiser's step."""
        if not self.optimisers:
            self._seen_before, self._met = (len(self._window), len(self._calls)), None
        if not self.optimisers or not self.roots:
            self.hand_steps.after()
        if not self.full:
            return
        with torch.no_grad(), torch._C.DisableTorchFunction():
            if self.optimisers:
                held = [p for o in self.optimisers.values() for p in o.parameters]
                self.recording.put("gradients_after_backward", self.step + 1, float(has_gradient(held)))
                for record in self.optimisers.values():
                    if not record.steps and self.step >= 1 and has_gradient(record.parameters):
                        record.look()
            if self._stepping is not None:
                self.updates.look_at_gradients(self._stepping, self.step + 1, self.roots)

    def hear(self, loss: torch.Tensor) -> None:
        """Record a step's loss; see what went wrong where it is not finite."""
        value = self._heard.hear(loss, self.step)
        if value is not None and not math.isfinite(value):
            self._nonfinite_loss(loss, value)

    def _look_for_old_gradients(self) -> None:
        """See whether gradients from before the last step are still there when a new backward begins."""
        if self.backwards_since_step != 1:
            return
        # An earlier fold's optimiser keeps its last gradients, as do those of models that are called no more.
        called = {id(p) for root, *_ in self._window for p in root.module.parameters()}
        late = (
            o
            for o in self.optimisers.values()
            if o.steps and self.step - o.ended <= 2 and (not called or any_of(o.parameters, called))
        )
        record = next((o for o in late if has_gradient(o.parameters)), None)
        if record is not None:
            self.recording.put(f"old_gradients_{id(record)}", self.step + 1, 1.0)
            record.grads_were_zeroed = False

    def _nonfinite_loss(self, loss: torch.Tensor, value: float) -> None:
        if not any(e.kind == "nonfinite" for e in self.recording.events):
            self._take_last()
            seen = self.depth, self.full, self.ops.on, self._inner_target
            self.depth, self.full, self.ops.on = 1, False, False  # a copy of the model runs unseen
            try:
                detail = nonfinite_detail(loss, self.roots.values(), self._window, self._calls)
            finally:
                self.depth, self.full, self.ops.on, self._inner_target = seen
            self.recording.event("nonfinite", self.step + 1, f"loss became {value}", **detail)

    def _keep_rows(self) -> None:
        if not self._window or (not self._calls and self._met is None):
            return
        root, args, kwargs, _, training = self._window[-1]
        if not training:
            root.train_calls_in_eval_mode += 1
        if not rows_due(self.step, root.train_rows.stride):
            return
        pair = matched(self._window, self._calls, self._met)
        x = first_tensor((args, kwargs))
        if x is not None and x.dim():
            n = int(x.shape[0]) if root.call is None else root.call.rows_in(x)
            root.batch_sizes[n] = root.batch_sizes.get(n, 0) + 1
        if pair is None or pair[0] is None or pair[3] is None:
            return
        pair[3].keep(pair[0], pair[1], pair[2], self.step + 1)
        if self._calls and pair[3] is root:
            root.extra["kind"] = judging(self._calls).kind
            keep_heads(root, self._window[-1][1:4], self._calls, self.step + 1)

    # -- evaluation ---------------------------------------------------------------------------------

    def _take_last(self) -> None:
        """Bring what a light step left lying to notice: a forward pass and a loss without backward."""
        if self.last is None or self.last_loss is None or self.main is None:
            return
        self._window.append((self.roots[id(self.main)], *self.last))
        kind, args, kwargs, out = self.last_loss
        if len(args) > 1 and isinstance(out, torch.Tensor):
            self.saw_loss(kind, args[0], args[1], out, kwargs)

    # -- optimisers ---------------------------------------------------------------------------------

    @unbroken
    def add_optimiser(self, optimiser: Optimizer, place: Place) -> OptimiserRecord:
        """Take note of an optimiser, at its birth or at its first step."""
        record = OptimiserRecord(optimiser, place)
        record.first = [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups]
        self.optimisers[id(optimiser)] = record
        if self.attached:  # another model may be about to train
            self.patches.every_call(True)
        return record

    @unbroken
    def before_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        """Receive an optimiser that is about to step."""
        if not self.full or threading.get_ident() != self.thread:
            return
        self._stepping = optimiser if args or kwargs.get("closure") is not None else None
        if self.ops.on and self._stepping is None:
            self.ops.finish(self.recording.facts)
        started = time.perf_counter()
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self.updates.look_at_gradients(optimiser, self.step + 1, self.roots)
        self.spent_seconds += time.perf_counter() - started

    @unbroken
    def after_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        """Receive an optimiser that has stepped: a new step begins."""
        if threading.get_ident() != self.thread:
            return
        started = time.perf_counter()
        record = self.optimisers.get(id(optimiser))
        if record is None:
            record = self.add_optimiser(optimiser, user_place(self.step))
        self._count(record)
        if self.full and self.updates.before:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                self.updates.look_at_updates(optimiser, self.step + 1, self.roots)
        groups = optimiser.param_groups
        self.recording.rate.append(float(groups[0]["lr"]))
        self.step += 1
        self.backwards_since_step = 0
        if self._window and self._window[-1][0].module is not self.main:
            self._credit_light_steps()
            self.main = self._window[-1][0].module
        self._heard.fill(self.step)
        self._backed = self._stepping = None
        self._forget()
        nearest = record.steps + 1
        self.full = self.price == "full" or nearest in FULL
        self.full = self.full or (not self.losses and nearest <= 64)
        if self.ops.on:
            self.ops.finish(self.recording.facts)
        self.prepare_next()
        self.spent_seconds += time.perf_counter() - started

    def step_by_hand(self) -> None:
        """Begin a new step where weights are updated by hand: no optimiser tells of it."""
        if self.optimisers or not self.backwards_since_step:
            return
        self.by_hand = True
        if self._window:
            self.main = self._window[-1][0].module
        elif self.quiet:
            self.light_steps += 1
        windows, calls = self._seen_before
        del self._window[:windows], self._calls[:calls]
        self._seen_before = (0, 0)
        self.recording.rate.append(math.nan)
        self.step += 1
        self.backwards_since_step = 0
        self._heard.fill(self.step)
        self.full = self.price == "full" or self.step + 1 in FULL or (not self.losses and self.step < 64)
        if self.ops.on and not self.full:
            self.ops.finish(self.recording.facts)
        self.prepare_next()

    def _count(self, record: OptimiserRecord) -> None:
        record.steps += 1
        record.ended = self.step + 1
        if record.steps == 1:
            record.began = record.ended

    def fill(self, steps: int) -> None:
        """Put NaN for a step without a loss."""
        self._heard.fill(steps)

    def prepare_next(self) -> None:
        """Set how closely the step ahead is looked at."""
        self.due = self._next_due()
        self.quiet = not self.full and self.step < self.due
        self.patches.every_call(self.full or self.compiled or self.main is None)
        self.patches.every_step(self.full)

    def _next_due(self) -> int:
        """Return the first step from this one on whose rows are kept."""
        root = self.roots.get(id(self.main))
        if self.step < 16 or self.compiled or root is None:
            return self.step
        return due_step(self.step, root.train_rows.stride)
