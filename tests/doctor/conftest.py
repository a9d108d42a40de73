"""Lets tests import the suite of scripts beside them, and leave the blind search out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def no_blind_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the blind trainings, which say nothing of a repair; other tests run them."""
    monkeypatch.setattr("soundfit.doctor.repair.blind", lambda looked, judges: None)
    monkeypatch.setattr("soundfit.doctor.repair.blind_by_print", lambda runner: None)
