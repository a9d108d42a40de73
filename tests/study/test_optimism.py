"""Optimism: what other folds would have chosen, and outputs with the errors of rows that chose nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import soundfit as sf
from soundfit.records import Config, Member, MemberResult, StudyResult, Trace
from soundfit.study.blend import row_losses
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.optimism import as_if_unseen, optimism, optimism_of_choice
from soundfit.study.views import table_views


def _traces(*curves):
    return [Trace("epoch", np.arange(1, len(c) + 1), {"validation_loss": np.array(c)}) for c in curves]


def test_each_checkpoint_is_chosen_by_the_other_folds():
    # The second member prefers epoch 3, where the first has 2 instead of 1, and the other way round.
    assert optimism(_traces([3.0, 1.0, 2.0], [3.0, 2.0, 1.0])) == pytest.approx(4.0 / 2.0)


def test_folds_that_agree_are_not_flattered():
    assert optimism(_traces([3.0, 1.0, 2.0], [5.0, 2.0, 4.0])) == 1.0


@pytest.mark.parametrize("curves", [[[2.0, 1.0]], [[1.0], [2.0]], [[0.0, 0.0], [0.0, 1.0]]])
def test_where_nothing_was_chosen_there_is_none(curves):
    assert optimism(_traces(*curves)) == 1.0


def test_epochs_that_a_member_lacks_and_losses_that_are_none_do_not_count():
    long, short = _traces([3.0, 2.0, 0.5])[0], _traces([3.0, 2.0])[0]
    assert optimism([long, short]) == 1.0
    assert optimism(_traces([3.0, np.nan, 2.0], [3.0, 0.1, 2.0])) == 1.0


@given(st.integers(0, 10_000), st.integers(2, 10), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_it_is_never_less_than_one_and_at_most_what_the_worst_epoch_would_give(seed, k, n):
    curves = np.random.default_rng(seed).lognormal(size=(k, n))
    ratio = optimism(_traces(*curves))
    assert 1.0 <= ratio <= curves.max(axis=1).sum() / curves.min(axis=1).sum() + 1e-9


@given(st.integers(0, 10_000), st.floats(1.0, 3.0))
@settings(max_examples=60, deadline=None)
def test_the_mean_loss_grows_by_the_ratio(seed, ratio):
    target, outputs = np.random.default_rng(seed).normal(size=(2, 60))
    outputs[5] = np.nan
    known = np.delete(np.arange(60), 5)
    losses = row_losses("regression", target)
    unseen = as_if_unseen(outputs, target, ratio)
    before, after = (losses(o[known], known).mean() for o in (outputs, unseen))
    assert after == pytest.approx(ratio * before, rel=1e-5)
    assert np.isnan(unseen[5])


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_it_brings_validation_nearer_to_new_rows(task):
    """Of 60 rows a long training finds a lucky checkpoint in each of ten folds."""
    said, honest, true = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2060, 6))
        y = x[:, 0] + 1.5 * rng.normal(size=len(x))
        if task == "classification":
            y = np.where(y > 0, "yes", "no")
        frame = pd.DataFrame(x, columns=list("abcdef")).assign(y=y)
        table = sf.read(frame[:60], target="y")
        views = table_views(table, sf.split(table, test=0.1, folds=10, seed=seed))
        base = Config(width=32, depth=2, epochs=40, batch_size=16, learning_rate=0.03)
        study = cross_validate_views(views, [base], seeds=(seed,))
        outcomes = [o for _, o in study.outcomes_of(0)]
        ratio = optimism([o.trace for o in outcomes])
        assert optimism_of_choice(study.result) == pytest.approx(ratio)
        losses = np.array([o.validation_loss for o in outcomes])
        said.append(losses.mean())
        honest.append(ratio * losses.mean())
        new = []
        for (member, outcome), encoder in zip(study.outcomes_of(0), views.encoders, strict=True):
            with torch.inference_mode():
                outputs = outcome.module(torch.from_numpy(encoder.transform(frame[60:])))
            if task == "classification":
                codes = torch.from_numpy((frame["y"][60:] == table.classes[1]).to_numpy().astype(np.int64))
                new.append(float(torch.nn.functional.cross_entropy(outputs, codes)))
            else:
                target = views.scales[member.fold].forward(frame["y"][60:].to_numpy(float))
                new.append(float(np.square(outputs[:, 0].numpy() - target).mean()))
        true.append(np.mean(new))
    said, honest, true = (np.mean(v) for v in (said, honest, true))
    assert said < honest
    assert abs(honest - true) < abs(said - true)


def test_of_two_configurations_the_other_folds_choose_too():
    result = _result([[1.0, 3.0], [3.0, 2.0]], [[2.0, 4.0], [2.0, 4.0]])
    # By fold 2 alone: configuration 0 at epoch 2, or 1 at epoch 1, equal; the first. By fold 1: 0 at epoch 1.
    assert optimism_of_choice(result) == pytest.approx((3.0 + 3.0) / (1.0 + 2.0))


def test_configurations_that_left_or_were_solved_are_no_choice():
    result = _result([[1.0, 1.0], [1.0, 1.0]], [[0.1, 0.1], [9.0, 9.0]])
    assert optimism_of_choice(result) > 1.0
    left = replace(result, scores_CK=np.array([[1.0, 1.0], [np.nan, np.nan]]))
    assert optimism_of_choice(left) == 1.0
    solved = [m if m.member.configuration == 0 else _solved(m) for m in result.members]
    assert optimism_of_choice(replace(result, members=tuple(solved))) == 1.0


def test_of_one_fold_nothing_is_known():
    assert optimism_of_choice(_result([[2.0, 1.0]])) == 1.0


def _solved(one):
    return replace(one, member=replace(one.member, config=Config(model="infinite")))


def _result(*curves_of_configurations):
    members = [
        MemberResult(Member(fold, c, 0, Config()), "done", 1, 2, 0.0, 0.0, 0.0, 0.0, trace)
        for c, curves in enumerate(curves_of_configurations)
        for fold, trace in enumerate(_traces(*curves))
    ]
    n, k = len(curves_of_configurations), len(curves_of_configurations[0])
    zeros = np.zeros((n, k))
    return StudyResult(
        "cv", "rmse", False, (Config(),) * n, (1,) * n, tuple(members), zeros, zeros, 0, "", 1, 0.0, None, {}
    )


@pytest.mark.slow
def test_noise_in_two_dozen_rows_is_no_good_fit(tmp_path):
    """Nets of 256 epochs, each fold judged by two rows: the least loss of all is far below the noise."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(24, 3)), columns=list("abc")).assign(y=rng.normal(size=24))
    run = sf.train(frame, target="y", out=tmp_path / "run", seed=0)
    assert run.verdict.code in ("noise-limited", "overfitting", "not-learning")
    cv = run.document["cv"]
    assert cv["value"] < 0.6
    assert cv["corrected"] > 1.3 * cv["value"]
