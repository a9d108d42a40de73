"""Changes that a repair makes to a running script: each patches torch while the script runs, none edits it.

Knows torch and the names of changes in prescriptions; knows no rule and judges nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from soundfit.doctor.bare import Bare
from soundfit.doctor.between import relu_before_maps
from soundfit.doctor.by_hand import ByHand
from soundfit.doctor.call import Call, call_of, with_output
from soundfit.doctor.calls import CALLS
from soundfit.doctor.direct import DirectForwards
from soundfit.doctor.extra import ExtraSteps
from soundfit.doctor.foreign import cleared_with
from soundfit.doctor.guards import bounded, divided, unclipped
from soundfit.doctor.half import in_float
from soundfit.doctor.held_back import held_back, without_gradient
from soundfit.doctor.left_out import LeftOut
from soundfit.doctor.loaders import Loaders
from soundfit.doctor.marks import marked_outputs
from soundfit.doctor.neutral import neutral_draws
from soundfit.doctor.packing import pack_texts
from soundfit.doctor.patches import LOSSES
from soundfit.doctor.plain_step import plain_step
from soundfit.doctor.plateau import turned_mode
from soundfit.doctor.rejoin import rejoined, taught_inside
from soundfit.doctor.remodel import INSIDE
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.replay import sound_loss
from soundfit.doctor.roots import Roots
from soundfit.doctor.shifts import shifted_back
from soundfit.doctor.signed import signed_labels
from soundfit.doctor.views import carried

__all__ = ["Changes"]

Tensor = torch.Tensor
F = nn.functional
_OF_LOADERS = ("shuffle", "longer", "go_on", "turn_pairs", "kept_rows", "row_weights", "aligned")
_PAIRED = ("__sub__", "__rsub__", "sub", "__mul__", "__rmul__", "mul")


class Changes:
    """Patches for one run of a script.

    Args:
        wanted: names and values, merged from prescriptions (``scale_inputs``, ``rate``, ``zero_grad``, …).
        facts: what the examination found: ``task``, ``activation``, ``input_mean``/``input_std`` (tensors),
            ``target_mean``/``target_std`` (floats), ``row_shape`` of the main model's input.
        hold_back: keep this share of rows out of every loss, for judging.
    """

    def __init__(self, wanted: dict[str, Any], facts: dict[str, Any], *, hold_back: float = 0.0) -> None:
        self.wanted = wanted
        self.facts = facts
        self.hold_back = hold_back
        self.held: list[tuple[tuple[Tensor, ...], Tensor]] = []
        self._roots = Roots(wanted, facts)
        self.optimisers: list[Optimizer] = []
        self.fresh_backward = True
        self.depth = self._nested = self._n_held = 0
        self.mask: Tensor | None = None
        self.backed: Tensor | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.call: Call | None = None
        self._loaders = Loaders(wanted)
        self.inside_loss = self.inside_backward = False
        self.foreign: dict[int, nn.Parameter] = {}  # of layers that run inside the model, no part of it
        self._extra = ExtraSteps(int(wanted.get("longer", 1)))
        self._adams: dict[int, Optimizer] = {}
        self._spans: dict[int, tuple[int, int]] = {}  # of each optimiser its first and last step
        self._steps = 0
        self._texts: Tensor | None = None  # what the running model was called with
        self._own: Any = None  # what a loss function gave last
        self._replaced = Replaced()
        self._patch = self._replaced.put
        self._direct = DirectForwards()
        self._by_hand = ByHand(wanted)
        self._left_out = LeftOut(bool(wanted.get("all_losses")))
        self.bare = Bare(wanted, facts, hold_back) if facts.get("bare") else None

    @property
    def root(self) -> nn.Module | None:
        """The model that was taught last."""
        return self._roots.taught

    def attach(self) -> None:
        """Install the patches."""
        want = self.wanted
        self._patch(nn.Module, "__call__", self._call(nn.Module.__call__))
        self._patch(nn.Module, "__init__", self._made(nn.Module.__init__))
        for name in LOSSES:
            self._patch(F, name, self._loss(name, getattr(F, name)))
        self._patch(torch.Tensor, "backward", self._backward(torch.Tensor.backward))
        self._patch(Optimizer, "__init__", self._optimiser(Optimizer.__init__))
        self._replaced.later(register_optimizer_step_pre_hook(self._before_step).remove)
        self._replaced.later(register_optimizer_step_post_hook(self._after_step).remove)
        if want.get("output"):
            marked_outputs(self._patch)
        if want.get("rows_first"):
            for name in ("view", "reshape"):
                self._patch(torch.Tensor, name, self._rows_first(getattr(torch.Tensor, name)))
        if want.get("axes"):
            for owner, name in ((torch.Tensor, "view"), (torch.Tensor, "reshape"), (torch, "reshape")):
                self._patch(owner, name, carried(getattr(owner, name), lambda: bool(self.depth)))
        for name, put in CALLS.items():
            if want.get(name):
                put(self._replaced)
        if want.get("signs"):
            signed_labels(self._patch)
        if want.get("float"):
            in_float(self._patch)
        if want.get("align"):
            for owner, name in [(torch.Tensor, n) for n in _PAIRED] + [(torch, "sub"), (torch, "mul")]:
                self._patch(owner, name, self._aligned(getattr(owner, name)))
        other = INSIDE.get(str(want.get("activation")))
        if other is not None and self.facts.get("activation") not in ("sigmoid", "tanh"):
            for owner in (torch, F, torch.Tensor):
                for name in ("sigmoid", "tanh"):
                    if hasattr(owner, name):
                        self._patch(owner, name, self._inside(getattr(owner, name), other))
        if want.get("guard") == "div":
            for owner in (torch, torch.Tensor):
                for name in ("div", "divide", "true_divide", "__truediv__"):
                    if hasattr(owner, name):
                        self._patch(owner, name, divided(getattr(owner, name)))
        if want.get("activation") == "leaky":
            self._patch(F, "relu", lambda x, inplace=False: F.leaky_relu(x, 0.1))
            self._patch(torch, "relu", lambda x: F.leaky_relu(x, 0.1))
        for owner, name, stand_in in bounded(str(want.get("guard", ""))):
            self._patch(owner, name, stand_in)
        if want.get("mode") or "dropout" in want:
            self._patch(F, "dropout", self._dropout(F.dropout))
        if want.get("unclip"):
            for place in (nn.utils, nn.utils.clip_grad):
                self._patch(place, "clip_grad_norm_", unclipped(nn.utils.clip_grad_norm_))
        if want.get("keep_gradients"):
            self._patch(Optimizer, "zero_grad", self._kept(Optimizer.zero_grad))
            self._patch(nn.Module, "zero_grad", self._kept(nn.Module.zero_grad))
        if want.get("foreign"):
            cleared_with(self._patch, self.foreign)
        if want.get("axis"):
            for owner in (torch, F, torch.Tensor):
                for name in ("softmax", "log_softmax"):
                    self._patch(owner, name, self._over_classes(getattr(owner, name)))
        if want.get("turn_plateau"):
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
            self._patch(plateau, "__init__", turned_mode(plateau.__init__))
        if want.get("between"):
            relu_before_maps(self._patch)
        if want.get("pack"):
            pack_texts(self._patch, lambda: self._texts if self.depth else None)
        if want.get("connected"):
            rejoined(self._patch, lambda: bool(self.depth) or want["connected"] == "all")
            taught_inside(self._patch, lambda: bool(self.depth))
        if want.get("neutral"):
            neutral_draws(self._patch, lambda: self.root is not None and not self.depth)
        if any(want.get(name) for name in _OF_LOADERS):
            data = torch.utils.data.DataLoader
            self._patch(data, "__init__", self._loaders.built(data.__init__))
            self._patch(data, "__iter__", self._loaders.iterated(data.__iter__))
        if self.bare is not None:
            self.bare.attach()

    def detach(self) -> None:
        """Remove the patches."""
        if self.bare is not None:
            self.bare.detach()
        self._direct.restore()
        self._replaced.restore()

    # -- the model ----------------------------------------------------------------------------------

    def _call(self, original: Any) -> Any:
        @functools.wraps(original)
        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            first = args[0] if args and isinstance(args[0], Tensor) else None
            if self.depth or first is None or not self._roots.knows(module, first):
                if self.depth and self.wanted.get("foreign") and torch.is_grad_enabled():
                    self.foreign.update({id(p): p for p in module.parameters()})
                return self._within(original, module, args, kwargs)
            self.depth, self._texts = 1, first
            try:
                x = self._input(module, first)
                out = original(module, x, *args[1:], **kwargs)
            finally:
                self.depth = 0
            if torch.is_grad_enabled() and self.hold_back:
                self._hold(args, kwargs, first)
            out = self._output(out)
            as_a_whole = self.facts.get("custom_loss") or self.facts.get("by_places")
            if self.mask is not None and torch.is_grad_enabled() and as_a_whole:
                out = without_gradient(out, self.mask, int(bool(self.facts.get("second"))))
            if self._extra.times > 1 and torch.is_grad_enabled():
                self._extra.saw_model(module, args, kwargs, out)
            return out

        return __call__

    def _within(self, original: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Call a part of a model, or a whole one whose rows are not known: its output alone is changed."""
        self._nested += 1
        try:
            out = original(module, *args, **kwargs)
        finally:
            self._nested -= 1
        whole = self.bare is not None and not self._nested and self.wanted.get("output") == "sigmoid"
        return self._output(out) if whole else out

    def _hold(self, args: Any, kwargs: Any, first: Tensor) -> None:
        """Choose which rows of a call are held back, by all that the call says of a row."""
        turned = bool(self.facts.get("second"))
        made = call_of(args, kwargs, first.transpose(0, 1) if turned else first, second=turned)
        self.call, self.inputs = (None, (first,)) if made is None else made
        self.mask = held_back(self.inputs, self.hold_back)

    def _made(self, original: Any) -> Any:
        @functools.wraps(original)
        def __init__(module: nn.Module, *args: Any, **kwargs: Any) -> None:
            original(module, *args, **kwargs)
            self._direct.wrap(module)

        return __init__

    def _input(self, module: nn.Module, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        if self.wanted.get("nan_to_num"):
            x = torch.nan_to_num(x)
        if self.wanted.get("scale_inputs") and "input_mean" in self.facts:
            x = (x - self.facts["input_mean"].to(x)) / self.facts["input_std"].to(x)
        if self.wanted.get("mode"):
            module.train(torch.is_grad_enabled())
        return x

    def _output(self, out: Any) -> Any:
        if not isinstance(out, Tensor):
            mine = self.wanted.get("scale_targets") and "judged" in self.facts
            return with_output(out, self.facts["output"] or 0, self._in_units) if mine else out
        wish = self.wanted.get("output")
        raw = getattr(out, "_raw", None)
        if wish in ("sigmoid", "softmax") and raw is not None:
            return raw.sigmoid() if wish == "sigmoid" else raw.softmax(1)
        if wish == "drop" and raw is not None and not self.facts["task"].is_classification:
            out = raw
        return self._in_units(out) if self.wanted.get("scale_targets") else out

    def _in_units(self, out: Tensor) -> Tensor:
        return out * self.facts["target_std"] + self.facts["target_mean"]

    def _inside(self, original: Any, other: Any) -> Any:
        @functools.wraps(original)
        def activation(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            return other(x) if self.depth else original(x, *args, **kwargs)

        return activation

    def _kept(self, original: Any) -> Any:
        """Clear gradients only before a backward pass, never between it and the step."""

        @functools.wraps(original)
        def zero_grad(owner: Any, *args: Any, **kwargs: Any) -> None:
            if self.fresh_backward:
                original(owner, *args, **kwargs)

        return zero_grad

    def _over_classes(self, original: Any) -> Any:
        @functools.wraps(original)
        def softmax(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            named = {k: v for k, v in kwargs.items() if k != "dim"}
            return original(x, 1, *args[1:], **named) if x.dim() > 1 else original(x, *args, **kwargs)

        return softmax

    def _aligned(self, original: Any) -> Any:
        @functools.wraps(original)
        def paired(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
            both = isinstance(a, Tensor) and isinstance(b, Tensor)
            if (
                both
                and a.numel() == b.numel()
                and a.shape != b.shape
                and a.dim()
                and b.dim()
                and not self.depth
            ):
                b = b.reshape(a.shape)
            return original(a, b, *args, **kwargs)

        return paired

    def _rows_first(self, original: Any) -> Any:
        @functools.wraps(original)
        def reshape(x: Tensor, *shape: Any, **kwargs: Any) -> Tensor:
            """Bring the axis of rows to the front where a view would cut through it."""
            n = len(self._texts) if self.depth and self._texts is not None else 0
            sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
            if n > 1 and x.dim() > 2 and x.shape[0] != n == x.shape[1] and sizes and sizes[0] == n:
                return x.transpose(0, 1).reshape(*shape, **kwargs)
            return original(x, *shape, **kwargs)

        return reshape

    def _dropout(self, original: Any) -> Any:
        @functools.wraps(original)
        def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
            if self.wanted.get("mode"):
                training = torch.is_grad_enabled()
            return original(x, min(p, float(self.wanted.get("dropout", 1.0))), training, inplace)

        return dropout

    # -- the loss -----------------------------------------------------------------------------------

    def _loss(self, kind: str, original: Any) -> Any:
        @functools.wraps(original)
        def loss(prediction: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
            judged = self.facts.get("judged", kind) == kind
            want = self.wanted if judged else {}
            if self.inside_loss or not isinstance(prediction, Tensor) or not isinstance(target, Tensor):
                return original(prediction, target, *args, **kwargs)
            if self._extra.times > 1 and prediction.requires_grad:
                self._extra.saw_loss(kind, prediction, target, args, kwargs)
            raw = getattr(prediction, "_raw", None)
            if want.get("output") == "drop" and raw is not None:
                prediction = raw
            elif want.get("output") == "log" and raw is not None:
                prediction = prediction.clamp_min(1e-12).log()
            if want.get("align") and prediction.numel() == target.numel() and kind != "cross_entropy":
                target = target.reshape(prediction.shape)
            if want.get("shift_back") and self._texts is not None:
                target = shifted_back(self._texts, target)
            if self.bare is not None:
                prediction = self.bare.loss(kind, prediction, target)
            prediction, target = self._without_held(prediction, target, judged)
            if want.get("target") == "unit":
                target = (target > self.facts["target_mean"]).to(target.dtype)
            if want.get("scale_targets"):
                mean, std = self.facts["target_mean"], self.facts["target_std"]
                prediction, target = (prediction - mean) / std, (target - mean) / std
            if want.get("reduction"):
                kwargs["reduction"] = want["reduction"]
            if want.get("loss") and prediction.requires_grad:
                self.inside_loss = True  # the sound loss is one of those that are replaced
                try:
                    if want["loss"] == "bce":
                        return F.binary_cross_entropy_with_logits(prediction, target.to(prediction.dtype))
                    return sound_loss(self.facts["task"], self.facts.get("activation"), prediction, target)
                finally:
                    self.inside_loss = False
            if want.get("weights") and "class_weights" in self.facts and prediction.requires_grad:
                weights = self.facts["class_weights"]
                args = args[1:]  # a weight handed over by position, as nn.BCEWithLogitsLoss does
                if kind in ("cross_entropy", "nll_loss"):
                    kwargs["weight"] = weights
                elif kind.startswith("binary_cross_entropy") and prediction.shape == target.shape:
                    kwargs["weight"] = weights[(target > 0.5).long()]
            self.inside_loss = True  # a mode hands the same call down once more
            try:
                made = original(prediction, target, *args, **kwargs)
            finally:
                self.inside_loss = False
            if want.get("own_loss") and prediction.requires_grad:
                self._own = made
            self._left_out.saw(made)
            return made

        return loss

    def _without_held(self, prediction: Tensor, target: Tensor, judged: bool) -> tuple[Tensor, Tensor]:
        mask = self.mask
        if mask is None or not prediction.requires_grad or not target.dim() or len(mask) != len(target):
            return prediction, target
        if judged and self._n_held < 20_000:
            held = tuple(x[mask].detach().clone() for x in self.inputs)
            self.held.append((held, target[mask].detach().clone()))
            self._n_held += len(held[0]) if held else 0
        keep = ~mask
        if not bool(keep.any()) or len(prediction) != len(mask):
            return prediction, target
        return prediction[keep], target[keep]

    def _backward(self, original: Any) -> Any:
        @functools.wraps(original)
        def backward(loss: Tensor, *args: Any, **kwargs: Any) -> Any:
            want = self.wanted
            if self.inside_backward:  # a mode of ours hands the same call down once more
                return original(loss, *args, **kwargs)
            if want.get("once") and loss is self.backed:
                return None
            self.backed = loss
            if isinstance(self._own, Tensor) and self._own.numel() == 1:
                loss, self._own = self._own, None  # without what was made of it
            loss = self._left_out.whole(loss)
            if self.bare is not None:
                loss = self._met(self.bare, loss)
            if want.get("zero_grad") and self.fresh_backward:
                for optimiser in self.optimisers:
                    optimiser.zero_grad()
            self.fresh_backward = False
            if want.get("descend") and not any(
                g.get("maximize") for o in self.optimisers for g in o.param_groups
            ):
                loss = loss * self.facts.get("sign", -1.0)
            if want.get("reduction") == "mean" and self.facts.get("custom_loss"):
                loss = loss / max(float(self.facts.get("batch_size", 1)), 1.0)
            if want.get("scale_targets") and self.facts.get("custom_loss"):
                loss = loss / self.facts["target_std"] ** self.facts.get("loss_power", 2)
            self.inside_backward = True
            try:
                out = original(loss, *args, **kwargs)
            finally:
                self.inside_backward = False
            if self.bare is not None:
                if not self.optimisers:
                    self._by_hand.after(self.bare.entries.used.values())
                    self.optimisers.clear()  # Adam in place of an update by hand is none of the script's
                self.bare.entries.forget()
            if want.get("step"):
                for optimiser in self.optimisers:
                    optimiser.step()
                    optimiser.zero_grad()
            return out

        return backward

    def _met(self, bare: Bare, loss: Tensor) -> Tensor:
        """Return the loss of a step without a model's output: a sound one or a multiple where wanted."""
        with torch._C.DisableTorchFunction():
            met = bare.before_backward()
        if (
            self.wanted.get("loss")
            and met is not None
            and self.facts.get("custom_loss")
            and not self.facts.get("logged")
        ):
            prediction = met.prediction if met.mask is None else without_gradient(met.prediction, met.mask)
            loss = sound_loss(self.facts["task"], self.facts.get("activation"), prediction, met.target)
        return loss if self.optimisers else self._by_hand.before(loss, bare.entries.used.values())

    # -- the optimiser ------------------------------------------------------------------------------

    def _optimiser(self, original: Any) -> Any:
        @functools.wraps(original)
        def __init__(optimiser: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimiser, *args, **kwargs)
            self.optimisers.append(optimiser)
            for group in optimiser.param_groups:
                if "rate" in self.wanted:
                    group["lr"] = group["lr"] * float(self.wanted["rate"])
                if "weight_decay" in self.wanted and "weight_decay" in group:
                    group["weight_decay"] = float(self.wanted["weight_decay"])
                if self.wanted.get("descend") and group.get("maximize"):
                    group["maximize"] = False
                    self.facts["sign"] = 1.0
                group["_first_rate"] = group["lr"]

        return __init__

    def _before_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if optimiser is self._by_hand.adam or any(optimiser is adam for adam in self._adams.values()):
            return
        if self.wanted.get("clip"):
            params = [p for g in optimiser.param_groups for p in g["params"] if p.grad is not None]
            nn.utils.clip_grad_norm_(params, float(self.wanted["clip"]))
        if self.wanted.get("include") and (self.root is not None or self.bare is not None):
            held = {id(p) for o in self._active(optimiser) for g in o.param_groups for p in g["params"]}
            used = [*(self.root.parameters() if self.root is not None else ()), *self.foreign.values()]
            used += self.bare.entries.leaves.values() if self.bare is not None else ()
            missing = [p for p in {id(p): p for p in used}.values() if id(p) not in held]
            if missing:
                optimiser.add_param_group({"params": missing})
        if self.wanted.get("flat_rate"):
            for group in optimiser.param_groups:
                group["_scheduled"], group["lr"] = group["lr"], group.get("_first_rate", group["lr"])
        if "adam" in self.wanted:
            self._step_by_adam(optimiser)
        if self.bare is not None:
            self.bare.asleep = not args and kwargs.get("closure") is None

    def _active(self, optimiser: Optimizer) -> list[Optimizer]:
        """Return the optimisers without an earlier phase's, which step no more when this one begins."""
        self._steps += 1
        first, _ = self._spans.get(id(optimiser), (self._steps, 0))
        self._spans[id(optimiser)] = first, self._steps
        return [o for o in self.optimisers if self._spans.get(id(o), (0, first))[1] >= first]

    def _step_by_adam(self, optimiser: Optimizer) -> None:
        """Step by Adam instead; the script's own optimiser then finds no gradient and steps nothing."""
        params = [p for g in optimiser.param_groups for p in g["params"]]
        adam = self._adams.get(id(optimiser))
        if adam is None or len(adam.param_groups[0]["params"]) != len(params):
            rate, self.wanted = self.wanted["adam"], {k: v for k, v in self.wanted.items() if k != "rate"}
            adam = self._adams[id(optimiser)] = torch.optim.Adam(params, lr=float(rate))
            self.optimisers.remove(adam)
        plain_step(adam)  # no hooks: a watch takes some away, and the script's own are gone through now
        for p in params:
            p.grad = None

    def _after_step(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if optimiser is self._by_hand.adam or any(optimiser is adam for adam in self._adams.values()):
            return
        self.fresh_backward, self.backed = True, None
        if self.bare is not None:
            self.bare.asleep = False
        if not self._loaders.lengthened:
            self._extra.after_step(optimiser)
        if self.wanted.get("flat_rate"):
            for group in optimiser.param_groups:
                group["lr"] = group.pop("_scheduled", group["lr"])
