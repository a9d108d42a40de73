"""The doctor as a callback of Lightning (``lightning`` or ``pytorch_lightning``, whichever is in use)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from soundfit.integrations.watching import Watching

if TYPE_CHECKING or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch.callbacks import Callback
else:
    from pytorch_lightning.callbacks import Callback

__all__ = ["LightningDoctor"]


class LightningDoctor(Watching, Callback):
    """Watch ``trainer.fit``; on its end say on standard error what keeps it from its possible result.

    Example:
        >>> doctor = LightningDoctor()                          # doctest: +SKIP
        >>> Trainer(callbacks=[doctor]).fit(model, loader)      # doctest: +SKIP
        >>> doctor.healthy, doctor.diagnoses                    # doctest: +SKIP
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Attach before the optimisers are built."""
        if stage == "fit" and trainer.is_global_zero:
            self.begin()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Detach and examine."""
        self.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Detach."""
        self.drop()
