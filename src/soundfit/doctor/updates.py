"""What one optimiser step does to gradients and weights, measured in a full step. Knows no hook or rule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch.optim import Optimizer

from soundfit.doctor.graph import leaves_of
from soundfit.doctor.seen import RootRecord
from soundfit.doctor.series import Recording

__all__ = ["Updates", "has_gradient"]

# Of a graph, for a loss of a deep model over many steps of time.
_MOST_NODES = 20_000


def has_gradient(params: Iterable[torch.Tensor]) -> bool:
    """Return whether any parameter holds a gradient that is not zero throughout."""
    return any(p.grad is not None and (p.grad.is_sparse or bool((p.grad != 0).any())) for p in params)


class Updates:
    """Norms of gradients before a step, and how far the weights moved by it."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.before: list[torch.Tensor] = []
        self.reached: dict[int, int] = {}  # parameters that had a gradient, and when last
        self.aimed: set[int] = set()  # parameters that losses of the first steps hang on
        self._names: tuple[int, dict[int, str]] = (-1, {})

    def aim(self, loss: torch.Tensor) -> None:
        """Take note of what a loss would teach, were its gradient asked for."""
        self.aimed.update(id(leaf) for leaf in leaves_of(loss, _MOST_NODES))

    def look_at_gradients(self, optimiser: Optimizer, step: int, roots: dict[int, RootRecord]) -> None:
        """Record the gradients' norms, whole and by layer, and keep the weights for the comparison."""
        params = [p for g in optimiser.param_groups for p in g["params"]]
        names = self._parameter_names(roots.values())
        arrived = [p for p in params if p.grad is not None]
        self.reached.update((id(p), step) for p in arrived)
        self.recording.put("gradients_at_step", step, float(has_gradient(arrived)))
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
        self.before = [p.detach().clone() for p in params[:64]]

    def look_at_updates(self, optimiser: Optimizer, step: int, roots: dict[int, RootRecord]) -> None:
        """Record how far weights moved against their size, whole and by layer."""
        params = [p for g in optimiser.param_groups for p in g["params"]][:64]
        if len(params) == len(self.before):
            names = self._parameter_names(roots.values())
            moved, size = 0.0, 0.0
            for p, old in zip(params, self.before, strict=True):
                change, norm = float((p.detach() - old).norm()), float(old.norm())
                moved, size = moved + change**2, size + norm**2
                name = names.get(id(p), "")
                if name.endswith("weight"):
                    ratio = change / (norm + 1e-12)
                    self.recording.put_layer(name.rpartition(".")[0] or name, "update_ratio", step, ratio)
            self.recording.put("update_ratio", step, math.sqrt(moved) / (math.sqrt(size) + 1e-12))
        self.before = []

    def _parameter_names(self, roots: Iterable[RootRecord]) -> dict[int, str]:
        known = list(roots)
        if self._names[0] != len(known):
            names: dict[int, str] = {}
            for k, root in enumerate(known):
                prefix = f"{type(root.module).__name__}{k}." if len(known) > 1 else ""
                for name, p in root.module.named_parameters():
                    names.setdefault(id(p), prefix + name)
            self._names = (len(known), names)
        return self._names[1]
