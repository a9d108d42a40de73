"""A repair is proven by seeds that did not choose it: luck on the choosing seed is not counted, a gain is."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from soundfit.doctor.repair import FRESH_SEEDS, LONG_SEEDS, MAX_TRIALS, _try, interval
from soundfit.doctor.speak import verdict_text

ONE = [{"code": "lr-too-low", "change": {"rate": 10.0}}]


class Runner:
    """Stands in for the runner of trials: scores are ``gain(seed)`` above .5 with a change, .5 without.

    Every row is the same, so that the seeds alone make the interval.
    """

    judges, goal, enough = "held-out", 0.0, 0.05

    def __init__(self, gain: Callable[[int], float | None], *, seconds: float = 1.0) -> None:
        self.gain, self.seconds = gain, seconds

    def run(self, change: dict[str, Any], seed: int, name: str, out: dict[str, Any]) -> dict[str, Any] | None:
        gain = self.gain(seed) if change else 0.0
        out["trials" if change else "originals"].append({"change": name, "seed": seed})
        if gain is None:
            return None
        return {"score": 0.5 + gain, "parts": [0.5 + gain] * 40, "seconds": self.seconds}


def tried(runner: Runner, plans: list[dict[str, Any]] = ONE) -> tuple[bool, dict[str, Any]]:
    """Return whether a change was accepted, and the report."""
    out: dict[str, Any] = {"trials": [], "originals": [], "interval": None, "before": None, "after": None}
    first = runner.run({}, 0, "as it is", out)
    best = _try(runner, first, plans, out)  # type: ignore[arg-type]
    assert len(out["trials"]) <= MAX_TRIALS
    return best is not None, out


@pytest.mark.parametrize("plans", [ONE, [*ONE, {"code": "schedule", "change": {"flat_rate": True}}]])
def test_luck_on_the_choosing_seed_proves_nothing(plans: list[dict[str, Any]]) -> None:
    lucky = [0.03, 0.02, -0.005, 0.03, 0.0, 0.02]
    counted = [([0.5] * 40, [0.5 + gain] * 40) for gain in lucky]
    assert interval(counted)[1] > 0  # what counting the pair that chose would have said
    accepted, out = tried(Runner(lambda seed: lucky[seed]), plans)
    assert not accepted
    assert out["interval"][0] < 0
    judging = [lucky[one["seed"]] for one in out["trials"] if one["seed"] > 0]
    assert len(judging) == MAX_TRIALS - len(plans)
    assert out["after"] - out["before"] == pytest.approx(sum(judging) / len(judging))


@pytest.mark.parametrize(("seconds", "fresh"), [(1.0, MAX_TRIALS - 1), (60.0, LONG_SEEDS)])
def test_a_change_that_is_better_on_fresh_seeds_is_accepted(seconds: float, fresh: int) -> None:
    gains = [0.9, 0.3, 0.28, 0.31, 0.33, 0.29]
    accepted, out = tried(Runner(lambda seed: gains[seed], seconds=seconds))
    assert accepted
    assert [one["seed"] for one in out["trials"]] == list(range(fresh + 1))
    assert out["after"] == pytest.approx(0.5 + sum(gains[1 : fresh + 1]) / fresh)
    assert out["interval"][1] < 0.5


def test_fresh_seeds_of_no_gain_seldom_pass() -> None:
    draw = random.Random(0)
    passed = 0
    for _ in range(600):
        gains = [abs(draw.gauss(0.0, 0.1)), *(draw.gauss(0.0, 0.1) for _ in range(5))]
        passed += tried(Runner(lambda seed, gains=gains: gains[seed]))[0]  # type: ignore[misc]
    assert passed / 600 < 0.04  # 2.5 % by the interval; over 5 % where the first pair counts


@pytest.mark.parametrize("broken", [1, 3])
def test_a_change_that_breaks_off_on_a_fresh_seed_is_not_accepted(broken: int) -> None:
    accepted, out = tried(Runner(lambda seed: None if seed >= broken else 0.4))
    assert not accepted
    assert out["why"] == f"with the change the script broke off on seed {broken}"
    report = {"healthy": False, "diagnoses": [], "repair": {**out, "accepted": False}}
    assert f"Unproven: with the change the script broke off on seed {broken}." in verdict_text(report)


def test_too_few_fresh_seeds_leave_a_repair_unproven() -> None:
    class Stops(Runner):
        def run(self, change: Any, seed: int, name: str, out: dict[str, Any]) -> dict[str, Any] | None:
            return super().run(change, seed, name, out) if seed < FRESH_SEEDS else None

    accepted, out = tried(Stops(lambda seed: 0.4))
    assert not accepted
    assert "fewer than 3 fresh seeds" in out["why"]
