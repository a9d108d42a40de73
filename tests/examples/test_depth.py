"""Fifty layers: in the plain net the gradient vanishes and nothing is learned; not so in the residual net."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "depth.py"


@pytest.mark.parametrize(
    ("kind", "ratio", "accuracy"), [("plain", (0, 1e-12), (0, 0.3)), ("residual", (0.1, 1e3), (0.8, 1))]
)
def test_gradient_and_score(kind, ratio, accuracy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), kind, "--epochs", "3"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out
    first, last = map(float, re.findall(r"layer ([\d.e+-]+), in the last ([\d.e+-]+)", said)[0])
    assert ratio[0] <= first / last <= ratio[1]
    assert accuracy[0] <= float(said.split()[-1]) <= accuracy[1]
