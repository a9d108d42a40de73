"""The watch: hooks that see a training and change none of its numbers. Knows no rule.

Every patch is undone by :meth:`Watch.detach`. Light steps keep references and one float; full steps (1, 2,
3, then ever rarer) also keep statistics of activations, gradients and updates.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from soundfit.doctor.graph import bad_operation, loss_structure, output_activation
from soundfit.doctor.lines import user_place
from soundfit.doctor.optrace import OpTrace
from soundfit.doctor.rows import RowStore
from soundfit.doctor.series import Recording
from soundfit.records import Place

__all__ = ["LOSSES", "LossCall", "OptimiserRecord", "RootRecord", "Watch"]

LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "gaussian_nll_loss",
    "poisson_nll_loss", "hinge_embedding_loss", "multi_margin_loss", "multilabel_soft_margin_loss",
    "soft_margin_loss",
)  # fmt: skip
_SNAPSHOT_ELEMENTS = 50_000_000


@dataclass
class LossCall:
    """One call of a loss function: what met what, and how."""

    kind: str
    prediction: torch.Tensor
    target: torch.Tensor
    output: torch.Tensor
    reduction: str
    kwargs: dict[str, Any]


@dataclass
class OptimiserRecord:
    """An optimiser that the script built."""

    optimiser: Optimizer
    place: Place
    steps: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    grads_were_zeroed: bool = True


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
    eval_rows: RowStore = field(default_factory=RowStore)
    eval_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    train_scores: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def full_steps(limit: int = 10_000_000) -> frozenset[int]:
    """Return the steps that are watched in full: 1 … 4, then each half, later twice, as far again."""
    out, step = set(), 1
    while step < limit:
        out.add(step)
        step = max(step + 1, int(step * (1.5 if step < 64 else 2)))
    return frozenset(out)


_FULL = full_steps()


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
        self.dropouts: dict[tuple[float, bool, bool], Place] = {}
        self.depth = 0
        self.step = 0
        self.backwards = 0
        self.backwards_since_step = 0
        self.backward_place = Place()
        self.grad = True
        self.compiled = False
        self.unregistered: dict[str, Place] = {}
        self.spent_seconds = 0.0
        self.full = False
        self.births: dict[int, Place] = {}
        self.stack: list[torch.nn.Module] = []
        self.layer_names: dict[int, str] = {}
        self._thread = threading.get_ident()
        self._window: list[tuple[RootRecord, tuple[Any, ...], dict[str, Any], Any, bool]] = []
        self._calls: list[LossCall] = []
        self._met: tuple[str, torch.Tensor, torch.Tensor] | None = None
        self._eval_pending: tuple[RootRecord, tuple[Any, ...], Any, int] | None = None
        self._eval_seen = 0
        self._eval_losses: list[float] = []
        self._undo: list[Callable[[], None]] = []
        self._ops = OpTrace(self)
        self._before: list[torch.Tensor] = []
        self._known: dict[int, torch.Tensor] = {}
        self._late_loss: list[torch.Tensor] = []
        self.attached = False

    # -- life ---------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Install every hook."""
        self.attached = True
        self._patch(torch.nn.Module, "__call__", self._module_call(torch.nn.Module.__call__))
        for name in LOSSES:
            self._patch(torch.nn.functional, name, self._loss_call(name, getattr(torch.nn.functional, name)))
        self._patch(torch.Tensor, "backward", self._backward_call(torch.Tensor.backward))
        self._patch(torch, "compile", self._compile(torch.compile))
        self._patch(torch.nn.Module, "compile", self._compile(torch.nn.Module.compile))
        self._patch(torch.nn.Module, "__init__", self._module_init(torch.nn.Module.__init__))
        self._patch(Optimizer, "__init__", self._optimiser_init(Optimizer.__init__))
        for handle in (
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ):
            self._undo.append(handle.remove)
        self.full = True

    def detach(self) -> None:
        """Remove every hook; torch is as it was."""
        self._ops.stop()
        if self.step:
            self._leftover_evaluation()
        self._flush_eval()
        self._flush_losses()
        while self._undo:
            self._undo.pop()()
        self.attached = False
        self._window, self._calls, self._met = [], [], None

    def _patch(self, owner: Any, name: str, new: Any) -> None:
        old = owner.__dict__[name]
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old))

    # -- modules ------------------------------------------------------------------------------------

    def _module_call(self, original: Any) -> Any:
        watch = self
        is_compiling = torch.compiler.is_compiling

        @functools.wraps(original)
        def __call__(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if watch.compiled and is_compiling():
                return original(module, *args, **kwargs)
            if watch.depth:
                if not watch.full:
                    return original(module, *args, **kwargs)
                watch.stack.append(module)
                if id(module) not in watch.layer_names:
                    watch.saw_unregistered(module)
                try:
                    return original(module, *args, **kwargs)
                finally:
                    watch.stack.pop()
            return watch._root_call(original, module, args, kwargs)

        return __call__

    def _module_init(self, original: Any) -> Any:
        watch = self

        @functools.wraps(original)
        def __init__(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            original(module, *args, **kwargs)
            if len(watch.births) < 20_000:
                watch.births[id(module)] = user_place()

        return __init__

    def _compile(self, original: Any) -> Any:
        @functools.wraps(original)
        def compile_(*args: Any, **kwargs: Any) -> Any:
            self.compiled = True  # the compiler must not see a mode of ours
            return original(*args, **kwargs)

        return compile_

    def _root_call(self, original: Any, module: torch.nn.Module, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread or not self._is_model(module):
            return original(module, *args, **kwargs)
        if type(module).__name__ == "OptimizedModule":
            self.compiled = True
        inner: torch.nn.Module = getattr(module, "_orig_mod", module)
        root = self.roots.get(id(inner))
        if root is None:
            root = self._new_root(inner)
        training = torch.is_grad_enabled()
        if (self.full and training) or (not training and self._wants_eval()):
            if not self._eval_pending and not self.compiled:
                self._ops.start()
        elif not training and self._ops.on:
            self._ops.stop()
        if not training:
            self._flush_eval()
        self.depth = 1
        self.stack = [module]
        try:
            out = original(module, *args, **kwargs)
        finally:
            self.depth = 0
        first = _first_tensor(out)
        if training and first is not None and first.requires_grad:
            root.train_calls += 1
            self._window.append((root, args, kwargs, out, module.training))
            if len(self._window) > 64:
                del self._window[:32]
        elif first is not None:
            root.eval_calls += 1
            if module.training:
                root.eval_calls_in_train_mode += 1
            if root.eval_calls <= 2:
                root.eval_place = user_place(self.step)
            self._eval_pending = (root, args, first, self.step)
            if self._ops.on:
                self._ops.seed(first)
        return out

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
        root = RootRecord(module, user_place(self.step + 1))
        self.roots[id(module)] = root
        with torch.no_grad():
            state = {
                k: v for k, v in module.state_dict(keep_vars=False).items() if isinstance(v, torch.Tensor)
            }
            uninitialised = any(torch.nn.parameter.is_lazy(v) for v in state.values())
            if not uninitialised and sum(v.numel() for v in state.values()) <= _SNAPSHOT_ELEMENTS:
                root.initial = {k: v.detach().clone() for k, v in state.items()}
        root.initial_training = module.training
        for name, child in module.named_modules():
            self.layer_names.setdefault(id(child), name or type(child).__name__)
        return root

    def saw_unregistered(self, module: torch.nn.Module) -> None:
        """Receive a module with parameters that the model calls but does not know as its part."""
        owned = any(id(module) in self.layer_names for module in self.stack[:-1])
        if owned and next(module.parameters(), None) is not None and torch.is_grad_enabled():
            held = {
                id(p) for o in self.optimisers.values() for g in o.optimiser.param_groups for p in g["params"]
            }
            if not any(id(p) in held for p in module.parameters()):
                self.unregistered.setdefault(type(module).__name__, self.births.get(id(module), Place()))

    # -- what a full step sees ----------------------------------------------------------------------

    def _layer(self, suffix: str) -> str:
        owner = self.stack[-1] if self.depth and self.stack else None
        base = self.layer_names.get(id(owner), type(owner).__name__) if owner is not None else "script"
        return f"{base}:{suffix}" if owner is not None and next(owner.children(), None) is not None else base

    def saw_activation(self, kind: str, out: Any) -> None:
        """Receive an activation's output from a full step."""
        if not self.grad and self._eval_pending is not None:
            return
        x = _first_tensor(out)
        if x is None or x.numel() == 0 or not x.is_floating_point():
            return
        layer = self._layer(kind)
        step = self.step + 1
        x = x.detach()
        std, mean = torch.std_mean(x.float(), correction=0)
        put = self.recording.put_layer
        put(layer, "activation_std", step, float(std))
        put(layer, "activation_mean", step, float(mean))
        if kind == "relu":
            put(layer, "zero_fraction", step, float((x == 0).float().mean()))
        elif kind == "tanh":
            put(layer, "saturated_fraction", step, float((x.abs() > 0.98).float().mean()))
        elif kind == "sigmoid":
            put(layer, "saturated_fraction", step, float(((x - 0.5).abs() > 0.49).float().mean()))

    def saw_linear(self, out: Any) -> None:
        """Receive a linear map's output from a full step."""
        x = _first_tensor(out)
        if self.depth and x is not None and x.numel() and x.is_floating_point() and x.requires_grad:
            std, mean = torch.std_mean(x.detach().float(), correction=0)
            layer = self._layer("linear")
            self.recording.put_layer(layer, "activation_std", self.step + 1, float(std))
            self.recording.put_layer(layer, "activation_mean", self.step + 1, float(mean))

    def saw_risky(self, name: str, place: Place) -> None:
        """Receive the place of an operation that can make non-finite values."""
        self.risky.setdefault(name.strip("_").replace("true", ""), place)

    def saw_dropout(self, p: float, training: bool, place: Place) -> None:
        """Receive a dropout's rate and mode."""
        self.dropouts.setdefault((p, training, self.grad), place)

    def met(self, name: str, prediction: torch.Tensor, target: torch.Tensor, place: Place) -> None:
        """Receive a tensor without history that met one made by a model, outside of modules."""
        if prediction.requires_grad:
            if self._met is None:
                self._met = (name, prediction, target)
                self.custom.setdefault("place", place)
                self.custom.setdefault("first_meeting", name)
                self.custom.setdefault("shapes", (tuple(prediction.shape), tuple(target.shape)))
        elif self._eval_pending is not None and name in (
            "eq",
            "__eq__",
            "ne",
            "__ne__",
            "sub",
            "__sub__",
            "rsub",
        ):
            self._eval_target(target)

    # -- losses -------------------------------------------------------------------------------------

    def _loss_call(self, kind: str, original: Any) -> Any:
        watch = self
        is_compiling = torch.compiler.is_compiling

        @functools.wraps(original)
        def loss(*args: Any, **kwargs: Any) -> Any:
            out = original(*args, **kwargs)
            if not isinstance(out, torch.Tensor) or (watch.compiled and is_compiling()):
                return out
            prediction = args[0] if args else kwargs.get("input")
            target = args[1] if len(args) > 1 else kwargs.get("target")
            if isinstance(prediction, torch.Tensor) and isinstance(target, torch.Tensor):
                watch._saw_loss(kind, prediction, target, out, kwargs)
            return out

        return loss

    def _saw_loss(self, kind: str, prediction: Any, target: Any, out: torch.Tensor, kwargs: Any) -> None:
        if not out.requires_grad:
            if self._eval_pending is not None and not torch.is_grad_enabled():
                if out.dim() == 0:
                    self._eval_losses.append(float(out))
                    self.recording.put("validation_loss", max(self.step, 1), float(out))
                if prediction.shape[:1] == target.shape[:1]:
                    self._eval_target(target)
            return
        call = LossCall(kind, prediction, target, out, kwargs.get("reduction", "mean"), kwargs)
        self._calls.append(call)
        if len(self._calls) > 32:
            del self._calls[:16]
        if kind not in self.losses:
            self.losses[kind] = {
                "place": user_place(self.step + 1),
                "activation": output_activation(prediction),
                "prediction_shape": tuple(prediction.shape),
                "target_shape": tuple(target.shape),
                "target_dtype": str(target.dtype).removeprefix("torch."),
                "reduction": call.reduction,
                "kwargs": {k: v for k, v in kwargs.items() if isinstance(v, int | float | str | bool)},
                "weighted": kwargs.get("weight") is not None or kwargs.get("pos_weight") is not None,
                "calls": 0,
                "target_from_model": target.requires_grad,
            }
        self.losses[kind]["calls"] += 1

    # -- backward -----------------------------------------------------------------------------------

    def _backward_call(self, original: Any) -> Any:
        watch = self
        is_compiling = torch.compiler.is_compiling

        @functools.wraps(original)
        def backward(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != watch._thread or (watch.compiled and is_compiling()):
                return original(tensor, *args, **kwargs)
            watch._before_backward(tensor)
            return original(tensor, *args, **kwargs)

        return backward

    def _before_backward(self, loss: torch.Tensor) -> None:
        self.backwards += 1
        self.backwards_since_step += 1
        if self.backwards <= 2:
            self.backward_place = user_place(self.step + 1)
        if loss.dim() == 0 and loss.device.type == "cpu":
            value = loss.item()
            self._put_loss(value)
            if not math.isfinite(value):
                self._nonfinite_loss(loss, value)
        elif loss.dim() == 0:
            self._late_loss.append(loss.detach())
            if len(self._late_loss) >= 64:
                self._flush_losses()
        if self.full:
            self._look_at_loss(loss)
            self._look_for_old_gradients()
        self._keep_rows()

    def _put_loss(self, value: float) -> None:
        if len(self.recording.loss) <= self.step:
            self.recording.loss.append(value)

    def _flush_losses(self) -> None:
        if self._late_loss:
            for value in torch.stack(self._late_loss).float().cpu().tolist():
                self.recording.loss.append(value)
                if not math.isfinite(value):
                    self.recording.event(
                        "nonfinite", len(self.recording.loss), "loss is not finite", what="loss"
                    )
            self._late_loss = []

    def _look_at_loss(self, loss: torch.Tensor) -> None:
        shape = loss_structure(loss, frozenset(c.output.grad_fn for c in self._calls))
        if "structure" not in self.custom:
            self.custom["structure"] = shape
        elif shape["broadcast"] and not self.custom["structure"]["broadcast"]:
            self.custom["structure"]["broadcast"] = shape["broadcast"]
        pair = self._pair()
        if pair is not None:
            prediction = pair[1]
            self.custom.setdefault(
                "activation", output_activation(prediction) if prediction.grad_fn else None
            )
            if prediction.numel() and prediction.is_floating_point():
                step = self.step + 1
                std, mean = torch.std_mean(prediction.detach().float(), correction=0)
                self.recording.put("output_std", step, float(std))
                self.recording.put("output_mean", step, float(mean))

    def _look_for_old_gradients(self) -> None:
        """See whether gradients from before the last step are still there when a new backward begins."""
        if self.backwards_since_step != 1:
            return
        for record in self.optimisers.values():
            if record.steps == 0:
                continue
            for group in record.optimiser.param_groups:
                for p in group["params"]:
                    if p.grad is not None and bool((p.grad != 0).any()):
                        self.recording.put(f"old_gradients_{id(record)}", self.step + 1, 1.0)
                        record.grads_were_zeroed = False
                        return

    def _nonfinite_loss(self, loss: torch.Tensor, value: float) -> None:
        if any(e.kind == "nonfinite" for e in self.recording.events):
            return
        with torch.no_grad():
            weights = all(
                bool(torch.isfinite(p).all())
                for root in self.roots.values()
                for p in root.module.parameters()
            )
            inputs, outputs, target, big = True, True, True, 0.0
            for _, args, kwargs, out, _ in self._window[-2:]:
                for x in _tensors((args, kwargs)):
                    if x.is_floating_point():
                        inputs = inputs and bool(torch.isfinite(x).all())
                y = _first_tensor(out)
                if y is not None:
                    outputs = outputs and bool(torch.isfinite(y).all())
                    big = max(big, float(torch.nan_to_num(y.float()).abs().max()) if y.numel() else 0.0)
            if self._calls:
                call = self._calls[-1]
                target = not call.target.is_floating_point() or bool(torch.isfinite(call.target).all())
        halves = [
            str(y.dtype)
            for _, _, _, out, _ in self._window[-2:]
            for y in _tensors(out)
            if y.dtype == torch.float16
        ]
        operation = bad_operation(loss) if weights and inputs else None
        self.recording.event(
            "nonfinite", self.step + 1, f"loss became {value}", what="loss", weights_finite=weights,
            inputs_finite=inputs, targets_finite=target, outputs_finite=outputs, largest_output=big,
            half=bool(halves), operation=operation,
        )  # fmt: skip

    def _pair(
        self,
    ) -> tuple[tuple[torch.Tensor, ...] | None, torch.Tensor, torch.Tensor, RootRecord | None] | None:
        """Return ``(inputs, prediction, target, root)`` of the step at hand."""
        if self._calls:
            call = self._calls[-1]
            prediction, target = call.prediction, call.target
        elif self._met is not None:
            _, prediction, target = self._met
        else:
            return None
        last = self._window[-1][0] if self._window else None
        for root, args, kwargs, _, _ in reversed(self._window):
            inputs = tuple(_tensors((args, kwargs)))
            if (
                not inputs
                or not target.dim()
                or any(x.requires_grad and x.grad_fn is not None for x in inputs)
            ):
                continue
            if all(x.dim() and x.shape[0] == target.shape[0] for x in inputs):
                root.extra["composite"] = root is not last
                return inputs, prediction, target, root
        return None, prediction, target, None

    def _keep_rows(self) -> None:
        if not self._window:
            return
        if not self._calls and self._met is None:
            return
        root, args, kwargs, _, training = self._window[-1]
        if not training:
            root.train_calls_in_eval_mode += 1
        if not root.train_rows.wants():
            return
        x = _first_tensor((args, kwargs))
        if x is not None and x.dim():
            n = int(x.shape[0])
            root.batch_sizes[n] = root.batch_sizes.get(n, 0) + 1
        pair = self._pair()
        if pair is None or pair[0] is None or pair[3] is None:
            return
        with torch.no_grad():
            root = pair[3]
            root.train_rows.keep(pair[0], pair[2], self.step + 1)
            if pair[1].numel() <= 100_000:
                root.train_scores.append(
                    (self.step + 1, pair[1].detach().cpu().clone(), root.train_rows.last)
                )
                if len(root.train_scores) > 64:
                    del root.train_scores[:32]

    # -- evaluation ---------------------------------------------------------------------------------

    def _wants_eval(self) -> bool:
        self._eval_seen += 1
        return self._eval_seen <= 64 or self._eval_seen in _FULL or self.price == "full"

    def _eval_target(self, target: torch.Tensor) -> None:
        if self._eval_pending is None:
            return
        root, args, out, step = self._eval_pending
        inputs = tuple(_tensors(args))
        if (
            not inputs
            or not target.dim()
            or any(not x.dim() or x.shape[0] != target.shape[0] for x in inputs)
        ):
            return
        self._eval_pending = None
        torch_mode_off = torch._C.DisableTorchFunction()
        with torch.no_grad(), torch_mode_off:
            if root.eval_rows.wants():
                root.eval_rows.keep(inputs, target, step)
            root.eval_scores.append((step, out.detach().cpu().clone(), target.detach().cpu().clone()))
            if len(root.eval_scores) > 96:
                del root.eval_scores[16:32]

    def _flush_eval(self) -> None:
        self._eval_pending = None

    def _leftover_evaluation(self) -> None:
        """Take losses computed after the last step with gradients on as the evaluation that they are."""
        for call in self._calls:
            for root, args, kwargs, out, _ in self._window:
                y = _first_tensor(out)
                if y is not None and y.shape[:1] == call.target.shape[:1] and self.backwards_since_step == 0:
                    self._eval_pending = (root, (args, kwargs), y, self.step)
                    self._eval_target(call.target.detach())
                    root.eval_calls += 1
                    root.eval_calls_in_train_mode += int(root.module.training)
                    break

    # -- optimisers ---------------------------------------------------------------------------------

    def _optimiser_init(self, original: Any) -> Any:
        watch = self

        @functools.wraps(original)
        def __init__(optimiser: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimiser, *args, **kwargs)
            watch.add_optimiser(optimiser, user_place(watch.step))

        return __init__

    def add_optimiser(self, optimiser: Optimizer, place: Place) -> OptimiserRecord:
        """Take note of an optimiser, at its birth or at its first step."""
        record = OptimiserRecord(optimiser, place)
        record.first = [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups]
        self.optimisers[id(optimiser)] = record
        return record

    def _before_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if not self.full or threading.get_ident() != self._thread:
            return
        if self._ops.on:
            self._end_of_operations()
        started = time.perf_counter()
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self._look_at_gradients(optimiser)
        self.spent_seconds += time.perf_counter() - started

    def _look_at_gradients(self, optimiser: Optimizer) -> None:
        step = self.step + 1
        params = [p for g in optimiser.param_groups for p in g["params"]]
        names = self._parameter_names()
        with_grad = [p for p in params if p.grad is not None and not p.grad.is_sparse]
        if with_grad:
            norms = torch.stack(torch._foreach_norm([p.grad for p in with_grad])).float().cpu()
            sizes = torch.stack(torch._foreach_norm([p.detach() for p in with_grad])).float().cpu()
            total = float(norms.norm())
            self.recording.put("gradient_norm", step, total)
            self.recording.put("weight_norm", step, float(sizes.norm()))
            for p, g, w in zip(with_grad, norms.tolist(), sizes.tolist(), strict=True):
                name = names.get(id(p), "")
                if name.endswith(("weight", "weight_ih_l0", "weight_hh_l0")) or not names:
                    layer = name.rpartition(".")[0] or name
                    self.recording.put_layer(layer, "gradient_norm", step, g)
                    self.recording.put_layer(layer, "gradient_rms", step, g / math.sqrt(p.numel()))
                    self.recording.put_layer(layer, "weight_norm", step, w)
            if not math.isfinite(total):
                bad = next((names.get(id(p), "") for p, g in zip(with_grad, norms.tolist(), strict=True)
                            if not math.isfinite(g)), "")  # fmt: skip
                self.recording.event("nonfinite-gradient", step, "a gradient is not finite", layer=bad)
        self._before = [p.detach().clone() for p in params[:64]]

    def _after_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        record = self.optimisers.get(id(optimiser))
        if record is None:
            record = self.add_optimiser(optimiser, user_place(self.step))
        record.steps += 1
        if self.full and self._before:
            self._look_at_updates(optimiser)
        groups = optimiser.param_groups
        self.recording.rate.append(float(groups[0]["lr"]))
        self.step += 1
        self.backwards_since_step = 0
        if len(self.recording.loss) < self.step and not self._late_loss:
            self.recording.loss.append(float("nan"))
        self._window.clear()
        self._calls.clear()
        self._met = None
        nearest = record.steps + 1
        self.full = self.price == "full" or nearest in _FULL
        self.full = self.full or (not self.losses and nearest <= 64)
        if self._ops.on:
            self._end_of_operations()

    def _end_of_operations(self) -> None:
        self._ops.stop()
        if self._ops.sequence and "sequence" not in self.recording.facts:
            self.recording.facts["sequence"] = list(self._ops.sequence)

    def _look_at_updates(self, optimiser: Optimizer) -> None:
        started = time.perf_counter()
        with torch.no_grad(), torch._C.DisableTorchFunction():
            step = self.step + 1
            params = [p for g in optimiser.param_groups for p in g["params"]][:64]
            if len(params) == len(self._before):
                names = self._parameter_names()
                moved, size = 0.0, 0.0
                for p, old in zip(params, self._before, strict=True):
                    change, norm = float((p.detach() - old).norm()), float(old.norm())
                    moved, size = moved + change**2, size + norm**2
                    name = names.get(id(p), "")
                    if name.endswith("weight"):
                        ratio = change / (norm + 1e-12)
                        self.recording.put_layer(name.rpartition(".")[0] or name, "update_ratio", step, ratio)
                self.recording.put("update_ratio", step, math.sqrt(moved) / (math.sqrt(size) + 1e-12))
            self._before = []
        self.spent_seconds += time.perf_counter() - started

    def _parameter_names(self) -> dict[int, str]:
        cached = self.recording.facts.get("_names")
        if cached is None or cached[0] != len(self.roots):
            names: dict[int, str] = {}
            many = len(self.roots) > 1
            for k, root in enumerate(self.roots.values()):
                prefix = f"{type(root.module).__name__}{k}." if many else ""
                for name, p in root.module.named_parameters():
                    names.setdefault(id(p), prefix + name)
            cached = (len(self.roots), names)
            self.recording.facts["_names"] = cached
        return cached[1]


def _tensors(tree: Any) -> list[torch.Tensor]:
    """Return the tensors in nested tuples, lists and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [x for value in tree.values() for x in _tensors(value)]
    if isinstance(tree, list | tuple):
        return [x for value in tree for x in _tensors(value)]
    return []


def _first_tensor(tree: Any) -> torch.Tensor | None:
    with contextlib.suppress(IndexError):
        return _tensors(tree)[0]
    return None
