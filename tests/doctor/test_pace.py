"""Pace: a limit is counted in work, and what time was too short to ask is held against nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_beside import PAIRS
from test_causes import found

from soundfit.doctor import pace as module
from soundfit.doctor.pace import clock, pace


@pytest.mark.parametrize(("took", "slower"), [(0.001, 1.0), (0.021, 1.5), (9.0, 2.0)])
def test_a_slow_machine_is_slower_by_what_its_steps_take(
    took: float, slower: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_train", lambda: took)
    assert pace.__wrapped__() == pytest.approx(slower)


@given(st.floats(1.0, 2.0), st.floats(0.1, 100.0))
def test_the_clock_goes_slower_on_a_slow_machine(slower: float, seconds: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pace", lambda: slower)
        patch.setattr(module.time, "process_time", lambda: seconds)
        assert clock() == pytest.approx(seconds / slower)


def test_to_take_the_pace_changes_no_draw_and_no_number_of_threads() -> None:
    torch.manual_seed(5)
    threads, expected = torch.get_num_threads(), torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        pace.__wrapped__()
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_a_sound_training_is_accused_in_no_time(seconds: float, tmp_path: Path) -> None:
    """Its gap is undone by the same training once more, if there is time for that."""
    _, _, sound = PAIRS["copied_before_the_split"]
    assert [d.to_dict() for d in found(sound, tmp_path, seconds)] == []
