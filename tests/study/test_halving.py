"""Halving: hopeless configurations leave, late bloomers stay, and the choice is that of the whole study."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import soundfit as sf
from soundfit.bank import Standing
from soundfit.records import Config, Member
from soundfit.study.cross_validation import Hooks, cross_validate, cross_validate_views
from soundfit.study.halving import ConfigurationRace, Halving, losers
from soundfit.study.views import table_views

BASE = Config(epochs=16, batch_size=16, learning_rate=0.02, warmup=0.0)
RATES = [1e-6, 0.045, 2e-6, 0.05]
ALL = np.ones(3, dtype=bool)


def test_who_is_worse_beyond_chance_and_what_it_could_gain_leaves():
    best = np.array([1.0, 1.2, 0.9, 1.1])
    noise = np.array([0.01, -0.01, 0.02, 0.0])
    now = np.stack([best, best + 0.5 + noise, best + 0.5 + noise])
    # The second gained 0.1 in its second half, the third 1.0.
    before = now + np.array([0.3, 0.1, 1.0])[:, None]
    assert losers(now, before, ALL, Halving()).tolist() == [False, True, False]
    assert losers(now, before, ALL, Halving(margin=0.0)).tolist() == [False, True, True]
    assert not losers(now, before, ALL, Halving(margin=math.inf)).any()
    assert losers(now, before, np.array([True, False, True]), Halving(margin=0.0)).tolist() == [
        False,
        False,
        True,
    ]


def test_a_difference_that_changes_sign_between_folds_is_no_reason():
    now = np.array([[1.0, 1.0, 1.0, 1.0], [0.4, 2.0, 0.5, 2.1]])
    assert not losers(now, now, ALL[:2], Halving()).any()


def test_what_is_not_known_neither_leads_nor_leaves():
    now = np.array([[np.nan, 1.0], [1.0, 1.0], [2.0, 2.01]])
    assert losers(now, now, ALL, Halving()).tolist() == [False, False, True]
    before = np.full_like(now, np.nan)
    assert not losers(now, before, ALL, Halving()).any()
    assert not losers(np.full_like(now, np.nan), before, ALL, Halving(keep=0.5)).any()


def test_keep_ranks_by_where_configurations_could_get():
    now = np.array([[1.0, 1.1], [1.3, 1.0], [1.0, 1.4], [1.1, 1.2]])
    before = now + np.array([0.0, 0.0, 1.0, 0.0])[:, None]
    stays = ~losers(now, before, np.ones(4, dtype=bool), Halving(keep=0.5))
    assert stays.tolist() == [True, False, True, False]


@settings(max_examples=60, deadline=None)
@given(
    now=arrays(np.float64, (5, 4), elements=st.floats(0.1, 10)),
    gain=arrays(np.float64, 5, elements=st.floats(0, 5)),
    margins=st.tuples(st.floats(0, 3), st.floats(0, 3)),
    keep=st.sampled_from([1.0, 0.5]),
)
def test_the_best_stays_and_a_larger_margin_keeps_more(now, gain, margins, keep):
    before = now + gain[:, None]
    racing = np.ones(5, dtype=bool)
    assert not losers(now, before, racing, Halving(margin=margins[0], keep=keep))[now.mean(1).argmin()]
    few, many = (losers(now, before, racing, Halving(margin=m)) for m in sorted(margins, reverse=True))
    assert not (few & ~many).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rungs": (0.5, 0.25)}, "ascending fractions"),
        ({"rungs": (0.5, 1.0)}, "ascending fractions"),
        ({"rungs": ()}, "ascending fractions"),
        ({"margin": -1.0}, "number of gains"),
        ({"margin": math.nan}, "number of gains"),
        ({"level": 1.0}, "level is a confidence"),
        ({"keep": 0.0}, "keep is a share"),
    ],
)
def test_values_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Halving(**change)


def test_rungs_are_epochs_inside_of_training():
    assert Halving().judged(48) == (6, 12, 24, 36)
    assert Halving().stops(48) == (3, 6, 12, 18, 24, 36)
    assert Halving().judged(2) == ()
    assert all(1 < e < n for n in range(1, 40) for e in Halving().judged(n))


# ---- in a study --------------------------------------------------------------------------------------


def _study(halving, **kw):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] + 0.1 * rng.normal(size=120)
    kw = {"config": BASE, "grid": {"learning_rate": RATES}, "folds": 4, **kw}
    return cross_validate(
        lambda c: nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)), x, y, halving=halving, **kw
    )


def test_an_infinite_margin_is_the_whole_study():
    whole, raced = _study(None), _study(Halving(margin=math.inf))
    assert np.array_equal(whole.scores_CK, raced.scores_CK)
    assert whole.rule == raced.rule
    assert raced.details["dropped"] == []
    for a, b in zip(whole.members, raced.members, strict=True):
        assert (a.status, a.epochs, a.best_epoch) == (b.status, b.epochs, b.best_epoch)
        assert np.array_equal(a.trace.series["validation_loss"], b.trace.series["validation_loss"])


@pytest.mark.parametrize("seeds", [1, 2])
def test_who_stays_trains_as_in_the_whole_study(seeds):
    whole, raced = _study(None, seeds=seeds), _study(True, seeds=seeds)
    assert raced.details["dropped"] == [0, 2]
    assert raced.chosen == whole.chosen
    np.testing.assert_allclose(raced.scores_CK[[1, 3]], whole.scores_CK[[1, 3]], rtol=1e-4)
    assert np.isnan(raced.scores_CK[[0, 2]]).all()
    assert "2 more left at a rung" in raced.rule
    for member in raced.members:
        assert (member.status == "dropped") == (member.member.configuration in (0, 2))
        assert np.isfinite(member.validation_score)
        if member.status == "dropped":
            assert member.epochs in (2, 4, 8, 12)
            assert len(member.trace.at) <= member.epochs


def test_only_members_that_anneal_alike_are_compared():
    # The long one stands worse at any epoch: its schedule is not as far.
    raced = _study(Halving(margin=0.0), grid={"epochs": [16, 64], "learning_rate": [0.02]})
    assert raced.details["dropped"] == []
    assert {m.status for m in raced.members} == {"done"}


def test_where_a_share_stays_the_linear_baseline_is_not_among_it():
    linear = Config(model="linear", depth=0, epochs=16)
    members = [
        Member(0, i, 0, c) for i, c in enumerate([linear, BASE, BASE.with_(width=8), BASE.with_(width=4)])
    ]
    standings = [Standing(i, "training", 8, 8, torch.tensor([3.0 - 0.5 * i])) for i in range(4)]

    def leave(halving):
        race = ConfigurationRace(halving, "rmse", 1, lambda m, s: float(s.validation_outputs[0]))
        return race.of(members).losers(8, standings)

    assert leave(Halving(rungs=(0.5,), keep=0.5, margin=0.0)) == [1]
    # Where only a proof counts it races like the others: of one fold there is none.
    assert leave(Halving(rungs=(0.5,), margin=0.0)) == []


def test_a_score_that_grows_races_the_right_way_round():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = (x[:, 0] + 0.3 * rng.normal(size=200) > 0).astype(int)
    result = cross_validate(
        lambda c: nn.Linear(4, 2), x, y, config=BASE, grid={"learning_rate": [1e-7, 0.05]}, folds=5,
        metric="accuracy", halving=Halving(margin=0.0, keep=0.5, rungs=(0.5,)),
    )  # fmt: skip
    assert result.greater_is_better
    assert result.details["dropped"] == [0]
    assert result.chosen == 1


def test_later_rounds_race_against_earlier_ones(tables):
    table = sf.read(tables / "hitters.csv", target="Salary")
    views = table_views(table, sf.split(table, folds=4))
    base = Config(epochs=32, batch_size=32, warmup=0.0, patience=0)
    small = base.with_(width=16, depth=1, learning_rate=0.03)
    large = base.with_(width=32, depth=2)
    grid = [small, large.with_(learning_rate=1e-6)]
    hooks = Hooks(seconds_left=lambda: 1e9)
    result = cross_validate_views(views, grid, hooks=hooks, halving=Halving()).result
    assert result.details["dropped"] == [1]
    assert result.chosen == 0
