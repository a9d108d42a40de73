"""The places where a watch holds on to torch: what is replaced, by what, and how it is put back.

Each replacement calls the original and tells the watch; it knows nothing of what the watch makes of it.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from soundfit.doctor.direct import DirectForwards
from soundfit.doctor.light import heard_backward, heard_step
from soundfit.doctor.lines import user_place
from soundfit.doctor.once import hear_distances, hear_states
from soundfit.doctor.plateau import hear_plateaus
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.seeds import hear_seeds
from soundfit.doctor.signed import hear_labels
from soundfit.doctor.slopes import hear_slopes
from soundfit.doctor.stops import hear_stops
from soundfit.doctor.stored import too_few_weights

__all__ = ["LOSSES", "Patches"]

LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "gaussian_nll_loss",
    "poisson_nll_loss", "hinge_embedding_loss", "multi_margin_loss", "multilabel_soft_margin_loss",
    "soft_margin_loss",
)  # fmt: skip
_MOST_DATASETS = 6


class Patches:
    """Everything that is replaced in torch while a watch lasts.

    Args:
        watch: who is told.
    """

    def __init__(self, watch: Any) -> None:
        self.watch = watch
        self._replaced = Replaced()
        self._patch = self._replaced.put
        self._direct = DirectForwards()
        self._every_call: Callable[[], None] | None = None
        self._before: Any = None  # the handle of a hook
        self._held: dict[type, Callable[[], None]] = {}

    def install(self) -> None:
        """Replace everything."""
        module = torch.nn.Module
        self.every_call(True)
        for name in LOSSES:
            self._patch(torch.nn.functional, name, self._loss_call(name, getattr(torch.nn.functional, name)))
        self._patch(torch.Tensor, "backward", self._backward_call(torch.Tensor.backward))
        self._patch(torch.autograd, "grad", self._gradient_call(torch.autograd.grad))
        clip = torch.nn.utils.clip_grad_norm_
        for owner in (torch.nn.utils, torch.nn.utils.clip_grad):
            self._patch(owner, "clip_grad_norm_", self._clip(clip))
        self._patch(torch, "compile", self._compile(torch.compile))
        self._patch(module, "compile", self._compile(module.compile))
        self._patch(module, "__init__", self._module_init(module.__init__))
        self._patch(Optimizer, "__init__", self._optimiser_init(Optimizer.__init__))
        loader = torch.utils.data.DataLoader
        self._patch(loader, "__init__", self._loader_init(loader.__init__))
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
        around = hear_plateaus(self.watch, lambda: user_place(self.watch.step))
        self._patch(plateau, "step", around(plateau.step))
        told, here = self.watch.custom, lambda: user_place(self.watch.step)
        hear_states(self._patch, told, lambda: self.watch.step, here)
        hear_distances(self._patch, told, here)
        hear_labels(self._patch, told, here)
        hear_slopes(self._replaced, told, here)
        hear_stops(self._replaced, told)
        hear_seeds(self._patch, told, lambda: self.watch.step, here)
        self._replaced.later(register_optimizer_step_post_hook(heard_step(self.watch)).remove)
        self.every_step(True)

    def remove(self) -> None:
        """Put everything back."""
        self.every_call(False)
        self.every_step(False)
        self.release()
        self._direct.restore()
        self._replaced.restore()

    def release(self) -> None:
        """Let go of the classes that were held."""
        for undo in self._held.values():
            undo()
        self._held.clear()

    def every_call(self, on: bool) -> None:
        """Look at the calls of every module, or of those classes alone that were held."""
        if on == (self._every_call is not None):
            return
        module, functions = torch.nn.Module, torch.nn.functional
        if on:
            old, drops = module.__call__, functions.dropout
            module.__call__ = self._module_call(old)  # type: ignore[method-assign]
            functions.dropout = self._dropout(drops)

            def undo() -> None:
                module.__call__ = old  # type: ignore[method-assign]
                functions.dropout = drops

            self._every_call = undo
        elif self._every_call is not None:
            self._every_call()
            self._every_call = None

    def every_step(self, on: bool) -> None:
        """Look at optimisers before they step, as steps that are looked at in full ask for."""
        if on and self._before is None:
            self._before = register_optimizer_step_pre_hook(self._before_step())
        elif not on and self._before is not None:
            self._before.remove()
            self._before = None

    def hold(self, kind: type[torch.nn.Module]) -> None:
        """Go on looking at the calls of one class of models when other modules' calls are no longer seen.

        Most steps of a training call one model with dozens of parts: only the outermost call is of interest.
        """
        if kind in self._held or kind is torch.nn.Module:
            return
        old = kind.__dict__.get("__call__")
        original = kind.__call__
        while getattr(original, "_watched", False):
            original = original.__wrapped__  # type: ignore[attr-defined]
        kind.__call__ = self._module_call(original)  # type: ignore[method-assign]
        self._held[kind] = lambda: (
            delattr(kind, "__call__") if old is None else setattr(kind, "__call__", old)
        )

    def _module_call(self, original: Any) -> Any:
        watch = self.watch
        is_compiling = torch.compiler.is_compiling
        is_grad_enabled = torch.is_grad_enabled

        @functools.wraps(original)
        def __call__(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if watch.quiet and is_grad_enabled():
                if module is watch.main:
                    out = original(module, *args, **kwargs)
                    watch.last = (args, kwargs, out, module.training)
                    return out
                return original(module, *args, **kwargs)
            if watch.compiled and is_compiling():
                return original(module, *args, **kwargs)
            if watch.depth:
                if not watch.full:
                    return original(module, *args, **kwargs)
                watch.layers.stack.append(module)
                if id(module) not in watch.layers.names:
                    watch.saw_unregistered(module)
                try:
                    return original(module, *args, **kwargs)
                finally:
                    watch.layers.stack.pop()
            root = watch.enter(module) if threading.get_ident() == watch.thread else None
            if root is None:
                return original(module, *args, **kwargs)
            training, watch.depth = is_grad_enabled(), 1
            try:
                out = original(module, *args, **kwargs)
            finally:
                watch.depth = 0
            watch.leave(root, args, kwargs, out, training)
            return out

        __call__._watched = True  # type: ignore[attr-defined]
        return __call__

    def _dropout(self, original: Any) -> Any:
        """Hear dropouts of scripts that call no module: inside of one, operations are looked at anyway."""
        watch = self.watch

        @functools.wraps(original)
        def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
            if not watch.depth and not watch.ops.on and not watch.compiled:
                watch.grad = torch.is_grad_enabled()
                if (p, training, watch.grad) not in watch.dropouts:
                    watch.saw_dropout(float(p), bool(training), user_place(watch.step + 1))
            return original(input, p, training, inplace)

        return dropout

    def _module_init(self, original: Any) -> Any:
        watch = self.watch

        @functools.wraps(original)
        def __init__(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            original(module, *args, **kwargs)
            self._direct.wrap(module)
            if len(watch.births) < 20_000:
                watch.births[id(module)] = user_place()

        return __init__

    def _compile(self, original: Any) -> Any:
        @functools.wraps(original)
        def compile_(*args: Any, **kwargs: Any) -> Any:
            self.watch.compiled = True  # the compiler must not see a mode of ours
            self.release()
            self.every_call(True)
            return original(*args, **kwargs)

        return compile_

    def _loss_call(self, kind: str, original: Any) -> Any:
        watch = self.watch
        is_compiling = torch.compiler.is_compiling
        is_grad_enabled = torch.is_grad_enabled
        inside = [False]

        @functools.wraps(original)
        def loss(*args: Any, **kwargs: Any) -> Any:
            if watch.quiet and not inside[0] and is_grad_enabled():
                out = original(*args, **kwargs)
                watch.last_loss = (kind, args, kwargs, out)
                return out
            if inside[0] or is_compiling():  # a mode hands the same call down once more
                return original(*args, **kwargs)
            inside[0] = True
            try:
                out = original(*args, **kwargs)
            finally:
                inside[0] = False
            if not isinstance(out, torch.Tensor):
                return out
            prediction = args[0] if args else kwargs.get("input")
            target = args[1] if len(args) > 1 else kwargs.get("target")
            if isinstance(prediction, torch.Tensor) and isinstance(target, torch.Tensor):
                started = time.perf_counter()
                watch.saw_loss(kind, prediction, target, out, kwargs)
                watch.spent_seconds += time.perf_counter() - started
            return out

        return loss

    def _backward_call(self, original: Any) -> Any:
        watch, get_ident = self.watch, threading.get_ident
        is_compiling = torch.compiler.is_compiling

        def loud(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if get_ident() != watch.thread or (watch.compiled and is_compiling()):
                return original(tensor, *args, **kwargs)
            if watch.inside_backward:  # a mode of ours hands the same call down once more
                return original(tensor, *args, **kwargs)
            started = time.perf_counter()
            watch.before_backward(tensor)
            watch.spent_seconds += time.perf_counter() - started
            watch.inside_backward = True
            try:
                return original(tensor, *args, **kwargs)
            finally:
                watch.inside_backward = False
                watch.after_backward()

        return heard_backward(watch, original, loud)

    def _loader_init(self, original: Any) -> Any:
        watch = self.watch

        @functools.wraps(original)
        def __init__(loader: Any, *args: Any, **kwargs: Any) -> None:
            original(loader, *args, **kwargs)
            few = too_few_weights(loader)
            if few is not None:
                watch.custom.setdefault("few_weights", {**few, "place": user_place(watch.step)})
            known = any(loader.dataset is one.dataset for one in watch.loaders)
            if not known and len(watch.loaders) < _MOST_DATASETS:
                watch.loaders.append(loader)

        return __init__

    def _before_step(self) -> Callable[..., None]:
        watch = self.watch

        def before(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
            if watch.full:
                watch.before_step(optimiser, args, kwargs)

        return before

    def _gradient_call(self, original: Any) -> Any:
        """Take a gradient that a script asks for by name for a backward pass, where no optimiser steps."""
        watch, heard = self.watch, self._backward_call(original)

        @functools.wraps(original)
        def grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs
            leaves = list(inputs) if isinstance(inputs, list | tuple) else []
            teaches = (
                not watch.optimisers
                and not kwargs.get("create_graph")
                and isinstance(loss, torch.Tensor)
                and loss.numel() == 1
                and len(leaves) > 1  # of one tensor alone it may be an input that is looked for
                and all(x.is_leaf for x in leaves)
            )
            if teaches:
                made = heard(loss, inputs, *args, **kwargs)
                watch.hand_steps.received(leaves, made)
                return made
            return original(outputs, inputs, *args, **kwargs)

        return grad

    def _clip(self, original: Any) -> Any:
        watch = self.watch

        @functools.wraps(original)
        def clip_grad_norm_(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Any:
            out = original(parameters, max_norm, *args, **kwargs)
            if watch.full and isinstance(out, torch.Tensor) and float(max_norm) > 0:
                watch.saw_clipping(float(out) / float(max_norm), user_place())
            return out

        return clip_grad_norm_

    def _optimiser_init(self, original: Any) -> Any:
        watch = self.watch

        @functools.wraps(original)
        def __init__(optimiser: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimiser, *args, **kwargs)
            watch.add_optimiser(optimiser, user_place(watch.step))

        return __init__
