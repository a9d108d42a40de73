"""What the doctor finds in a script's text."""

from __future__ import annotations

from pathlib import Path

from soundfit.doctor.script import watched_run
from soundfit.records import Diagnosis

__all__ = ["found_in", "named_in"]


def found_in(folder: Path, text: str, seconds: float = 8.0) -> list[Diagnosis]:
    """Return the diagnoses of a script, run to its end, without the notes; ``seconds``: to examine it."""
    script = folder / "train.py"
    script.write_text(text)
    status, found = watched_run(script, [], seconds=seconds)
    assert status == 0
    return [d for d in found.diagnoses if d.severity != "note"]


def named_in(folder: Path, text: str, seconds: float = 8.0) -> list[str]:
    """Return their codes, worst first."""
    return [d.code for d in found_in(folder, text, seconds)]
