"""Verdicts on draws of the benchmark, one of each situation: polynomials of known degree and noise."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"


@pytest.fixture(scope="module")
def verdicts():
    spec = importlib.util.spec_from_file_location("verdicts_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "situation",
    ["too small a model forced", "too large without restraint", "right", "pure noise", "noise-limited"],
)
def test_a_polynomial_gets_the_verdict_that_it_deserves(situation, verdicts):
    frame, configurations = verdicts.draw(situation, 1, classes=False)
    verdict = verdicts.verdict_on(frame, configurations, 1)
    assert verdict.code in verdicts.SITUATIONS[situation][3], verdict.text
