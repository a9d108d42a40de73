"""Shared fixtures. The ledger of opened seals is a temporary file: tests never touch the machine's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Speed is never tested: a shared machine may take seconds for what usually takes milliseconds.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

ROOT = Path(__file__).parents[1]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True, scope="session")
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["SOUNDFIT_LEDGER"] = str(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    yield
    os.environ.pop("SOUNDFIT_LEDGER", None)


@pytest.fixture(scope="session")
def ames_csv() -> Path:
    """The bundled house prices."""
    return ROOT / "examples" / "ames.csv"


@pytest.fixture(scope="session")
def tables() -> Path:
    """Folder of small real tables."""
    return ROOT / "tests" / "tables"


@pytest.fixture(scope="session")
def soundfit() -> Command:
    """Run the command line in a process of its own, as a user does."""

    def run(
        *args: str | Path, cwd: Path | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "soundfit.cli.main", *map(str, args)],
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=900,
            check=False,
        )

    return run
