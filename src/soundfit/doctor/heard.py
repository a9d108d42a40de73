"""The loss of every step, as a number: at once on a CPU, many at once from an accelerator. Knows no hook."""

from __future__ import annotations

import math

import torch

from soundfit.doctor.series import Recording

__all__ = ["Heard"]

_AT_ONCE = 64


class Heard:
    """Losses on their way into a recording, one a step."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._late: list[torch.Tensor] = []

    def hear(self, loss: torch.Tensor, step: int) -> float | None:
        """Record a step's first loss; return it where it is known at once."""
        if loss.dim():
            return None
        if loss.is_cpu:
            value = loss.item()
            if len(self.recording.loss) <= step:
                self.recording.loss.append(value)
            return value
        self._late.append(loss.detach())
        if len(self._late) >= _AT_ONCE:
            self.flush()
        return None

    def fill(self, steps: int) -> None:
        """Put NaN for a step without a loss."""
        if len(self.recording.loss) < steps and not self._late:
            self.recording.loss.append(math.nan)

    def flush(self) -> None:
        """Bring what waits on an accelerator."""
        if self._late:
            for value in torch.stack(self._late).float().cpu().tolist():
                self.recording.loss.append(value)
                if not math.isfinite(value):
                    step = len(self.recording.loss)
                    self.recording.event("nonfinite", step, "loss is not finite", what="loss")
            self._late = []
