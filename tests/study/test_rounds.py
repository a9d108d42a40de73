"""Rounds: cheap sizes first, what would not fit is left out, what was cut has no say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.records import Config, Member
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.rounds import complete_configurations, cost, plan_rounds, train_in_rounds
from soundfit.study.views import table_views

LARGE, SMALL = Config(width=256, depth=3), Config(width=16, depth=1)
LINEAR = Config(model="linear", width=0, depth=0)
GRID = [LARGE, SMALL, LINEAR, LARGE.with_(dropout=0.2), SMALL.with_(weight_decay=0.1)]
MEMBERS = [Member(fold, c, 0, config) for c, config in enumerate(GRID) for fold in range(3)]


def test_cheap_sizes_come_first_and_cost_grows_with_size_and_epochs():
    rounds = plan_rounds(GRID, 10, 500)
    assert [r.configurations for r in rounds] == [(2,), (1, 4), (0, 3)]
    assert cost(LARGE, 10, 500) > 2 * cost(SMALL, 10, 500) > 2 * cost(LINEAR, 10, 500)
    assert cost(LARGE.with_(epochs=200), 10, 500) == pytest.approx(2 * cost(LARGE, 10, 500))


class _Clock:
    """Time passes only in training, in proportion to predicted cost."""

    def __init__(self, seconds_per_cost, limit):
        self.now, self.rate, self.limit = 0.0, seconds_per_cost, limit

    def train(self, members):
        self.now += sum(self.rate * cost(m.config, 10, 500) for m in members)
        return [SimpleNamespace(status="done") for _ in members]

    def left(self):
        return self.limit - self.now


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.9, 2.0])
def test_what_would_not_fit_is_left_out(share):
    whole = sum(cost(m.config, 10, 500) for m in MEMBERS)
    clock = _Clock(1.0 / whole, share)
    trained = train_in_rounds(
        clock.train, MEMBERS, plan_rounds(GRID, 10, 500), seconds_left=clock.left, clock=lambda: clock.now
    )
    configurations = {m.configuration for m, _ in trained}
    assert 2 in configurations
    assert clock.now <= max(share, 0.05) + 1e-9
    assert len(trained) == 3 * len(configurations)
    assert [m for m, _ in trained] == [m for m in MEMBERS if m.configuration in configurations]
    if share > 1:
        assert len(trained) == len(MEMBERS)


def test_a_configuration_is_complete_only_with_all_its_members():
    outcomes = [SimpleNamespace(status="done") for _ in MEMBERS]
    outcomes[4].status = "interrupted"
    assert complete_configurations(MEMBERS, outcomes, 5) == [True, False, True, True, True]


def _views():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(150, 3)), columns=list("abc"))
    table = sf.read(frame.assign(y=frame["a"] + 0.1 * rng.normal(size=150)), target="y")
    return table_views(table, sf.split(table, folds=3))


def test_cut_members_are_marked_and_out_of_the_choice():
    base = Config(model="linear", width=0, depth=0, learning_rate=0.05, batch_size=32, epochs=4)
    # Side by side in one bank: one configuration is through long before training is ended, the other is not.
    grid = [base, base.with_(epochs=8_000)]
    told = []
    hooks = Hooks(on_epoch=told.append, should_stop=lambda: sum(told) >= 3 * 4 + 3 * 200)
    result = cross_validate_views(_views(), grid, hooks=hooks).result
    assert {m.status for m in result.members if m.member.configuration == 0} == {"done"}
    assert {m.status for m in result.members if m.member.configuration == 1} == {"interrupted"}
    assert result.chosen == 0
    assert np.isnan(result.scores_CK[1]).all()
    assert "1 more were cut before their end" in result.rule


def test_where_all_were_cut_the_choice_says_so():
    told = []
    config = Config(model="linear", width=0, depth=0, learning_rate=0.05, batch_size=32, epochs=100)
    hooks = Hooks(on_epoch=told.append, should_stop=lambda: sum(told) >= 3 * 8)
    cut = cross_validate_views(_views(), [config], hooks=hooks).result
    assert {m.status for m in cut.members} == {"interrupted"}
    assert "rests on unfinished training" in cut.rule


def test_a_study_short_of_time_still_answers_with_its_cheapest():
    grid = [
        Config(width=32, epochs=3),
        Config(model="linear", width=0, depth=0, epochs=3, learning_rate=0.05),
    ]
    epochs = []
    hooks = Hooks(on_epoch=epochs.append, seconds_left=lambda: 0.0)
    result = cross_validate_views(_views(), grid, hooks=hooks).result
    assert [c.model for c in result.configurations] == ["linear"]
    assert result.chosen == 0
    assert sum(epochs) == 2 * 3 * 3
