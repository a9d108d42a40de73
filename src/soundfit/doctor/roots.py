"""The models of a running script that a repair changes: which they are, and what is changed in them.

Knows modules and the names of changes; patches nothing of torch.
"""

from __future__ import annotations

import math
import types
from typing import Any

import torch
from torch import nn

from soundfit.doctor.foreign import register_hidden
from soundfit.doctor.remodel import calmed, draw_anew, relu_between, remembering, residual, widen

__all__ = ["Roots"]

_Norm = nn.modules.batchnorm._BatchNorm


class Roots:
    """Models of the kind that was examined: all folds', a second phase's, and copies that are evaluated.

    Args:
        wanted: changes by name.
        facts: ``model`` (a class's name) and ``row_shape`` of its input, without which any shape will do.
    """

    def __init__(self, wanted: dict[str, Any], facts: dict[str, Any]) -> None:
        self.wanted = wanted
        self.facts = facts
        self.taught: nn.Module | None = None  # the one that was called last with gradients
        self._seen: dict[int, tuple[nn.Module, bool]] = {}  # and whether its weights were prepared

    def knows(self, module: nn.Module, x: torch.Tensor) -> bool:
        """Return whether a called module is one of the models, prepared for this call."""
        if id(module) not in self._seen and not self._is_alike(module, x):
            return False
        prepared = self._seen.get(id(module), (module, False))[1]
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
        asked = self.wanted.get("unfreeze") or self.wanted.get("include")
        if id(module) not in self._seen:
            self._shape(module)
        if torch.is_grad_enabled() and (learns or asked):
            if not prepared:
                self._weights(module)
                prepared = True
            self.taught = module
            self._wake(module)
        elif not torch.is_grad_enabled() and self.wanted.get("buffers"):
            self._take_buffers(module)
        self._seen[id(module)] = (module, prepared)
        for part in module.modules() if self.wanted.get("unshare") else ():
            if isinstance(part, _Norm):
                part._use = 0  # type: ignore[assignment]
        return True

    def _is_alike(self, module: nn.Module, x: torch.Tensor) -> bool:
        shape = self.facts.get("row_shape")
        if type(module).__name__ != self.facts.get("model") or (
            shape is not None and list(x.shape[1:]) != shape
        ):
            return False
        return next(module.parameters(), None) is not None

    def _shape(self, module: nn.Module) -> None:
        """Change what a model is made of, before its first call; a copy of a changed one has been changed."""
        want = self.wanted
        if module.__dict__.get("_reshaped"):
            return
        module.__dict__["_reshaped"] = True
        for part in module.modules():
            if "dropout" in want and isinstance(part, nn.modules.dropout._DropoutNd):
                part.p = min(part.p, float(want["dropout"]))
            if "momentum" in want and isinstance(part, _Norm):
                part.momentum = float(want["momentum"])
        if want.get("activation") == "relu":
            relu_between(module)
        for part in module.modules() if want.get("batch_first") else ():
            if getattr(part, "batch_first", None) is False:
                part.batch_first = True  # type: ignore[assignment]
        if want.get("widen"):
            widen(module, int(want["widen"]))
        if want.get("residual"):
            residual(module)
        if want.get("unshare"):
            for part in [m for m in module.modules() if isinstance(m, _Norm)]:
                part.forward = types.MethodType(_next_norm(type(part)), part)  # type: ignore[method-assign]

    def _weights(self, module: nn.Module) -> None:
        """Change what a model's training begins with, before its first call with gradients."""
        if self.wanted.get("fresh"):
            draw_anew(module)
        if self.wanted.get("residual"):
            calmed(module)
        if self.wanted.get("recall"):
            remembering(module, **self.wanted["recall"])
        for part in module.modules() if self.wanted.get("factors") else ():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=float(self.wanted["factors"]))
        if self.wanted.get("include"):
            register_hidden(module)
        if self.wanted.get("unfreeze") or self.wanted.get("include"):
            for p in module.parameters():
                p.requires_grad_(True)

    def _wake(self, module: nn.Module) -> None:
        """Draw matrices that are all zero, and set scales of norms to 1, whenever they join the model.

        A fine-tuning may add them later.
        """
        held = dict(module.named_parameters()) if self.wanted.get("wake") else {}
        with torch.no_grad():
            for name in self.wanted.get("wake", ()):
                if name in held and not bool(held[name].any()):
                    if held[name].dim() < 2:
                        nn.init.ones_(held[name])
                    else:
                        nn.init.kaiming_uniform_(held[name], a=math.sqrt(5))

    def _take_buffers(self, module: nn.Module) -> None:
        """Give a copy of the model the statistics of the one that is taught."""
        if self.taught is None or self.taught is module:
            return
        own, other = dict(module.named_buffers()), dict(self.taught.named_buffers())
        if own.keys() != other.keys():
            return
        with torch.no_grad():
            for name, value in own.items():
                if value.shape == other[name].shape:
                    value.copy_(other[name])


def _next_norm(kind: type[_Norm]) -> Any:
    """Return a forward that uses a norm of its own for each place at which a model calls the same one."""

    def forward(norm: Any, x: torch.Tensor) -> torch.Tensor:
        use = norm.__dict__.get("_use", 0)
        norm.__dict__["_use"] = use + 1
        if use == 0:
            return kind.forward(norm, x)
        name = f"use{use}"
        if name not in norm._modules:
            form = norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
            like = next(norm.buffers(), x)
            another = kind(*form).to(like.device, like.dtype)
            norm.add_module(name, another)
        norm._modules[name].training = norm.training
        return kind.forward(norm._modules[name], x)

    return forward
