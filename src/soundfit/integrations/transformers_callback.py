"""The doctor as a callback of Transformers' ``Trainer``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from soundfit.integrations.watching import Watching

__all__ = ["TransformersDoctor"]


class TransformersDoctor(Watching, TrainerCallback):
    """Watch ``trainer.train()``; on its end say on standard error what keeps it from its possible result.

    Transformers tells callbacks nothing of an exception in the loop: after one, call ``drop()``.

    Example:
        >>> doctor = TransformersDoctor()                                       # doctest: +SKIP
        >>> Trainer(model, args, train_dataset=rows, callbacks=[doctor]).train()  # doctest: +SKIP
        >>> doctor.healthy, doctor.diagnoses                                    # doctest: +SKIP
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **found: Any) -> None:
        """Attach; the optimiser is there already."""
        if state.is_world_process_zero:
            optimizer = found.get("optimizer")
            self.begin(getattr(optimizer, "optimizer", optimizer))

    def on_train_end(self, args: Any, state: Any, control: Any, **found: Any) -> None:
        """Detach and examine."""
        self.end()
