"""The doctor inside other training libraries. Each callback imports its library only when it is asked for.

``LightningDoctor`` goes into ``Trainer(callbacks=[…])`` of Lightning, ``TransformersDoctor`` into
``Trainer(callbacks=[…])`` of Transformers. skorch and plain functions need neither: they train inside
``with soundfit.doctor() as visit``.
"""

from __future__ import annotations

from typing import Any

from soundfit.errors import UsageError
from soundfit.records.said import say

__all__ = ["LightningDoctor", "TransformersDoctor"]

_HOMES = {
    "LightningDoctor": ("soundfit.integrations.lightning_callback", "lightning"),
    "TransformersDoctor": ("soundfit.integrations.transformers_callback", "transformers"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    home, library = _HOMES[name]
    try:
        return getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("soundfit"):
            raise
        raise UsageError(
            say("{name} needs the library that it plugs into", name=name),
            received=say("no module named {name}", name=error.name),
            fix=say("pip install {library}", library=library),
        ) from error
