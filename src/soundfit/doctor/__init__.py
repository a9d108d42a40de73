"""The doctor: watches any PyTorch training, names what is wrong and where, and proves repairs.

Knows torch; knows nothing of tables, banks or the rest of soundfit but its records. Importing this package
imports no torch: a script under the doctor imports it itself, as it would alone.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["Visit", "diagnose", "doctor", "run_script"]


def __getattr__(name: str) -> Any:
    if name in ("Visit", "doctor"):
        from soundfit.doctor import visit

        return getattr(visit, name)
    if name == "run_script":
        from soundfit.doctor.script import run_script

        return run_script
    if name == "diagnose":
        from soundfit.doctor.rules import diagnose

        return diagnose
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallablePackage(ModuleType):
    """Once imported, ``soundfit.doctor`` is this package, and users call it: ``with sf.doctor(model)``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from soundfit.doctor.visit import doctor

        return doctor(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
