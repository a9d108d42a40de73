"""Blend: greedy weights on predictions whose best mixture is known; honesty about what they bring."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import soundfit as sf
from soundfit.records import Config
from soundfit.study.blend import blend_study, greedy_weights, row_losses
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.views import table_views


def _target_and_candidates(seed, sds, n=600, n_biased=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    return target, [target + sd * rng.normal(size=n) for sd in sds] + [target + 3.0] * n_biased


def test_two_equal_models_with_independent_errors_share_evenly_and_a_poor_one_gets_nothing():
    target, candidates = _target_and_candidates(0, (0.5, 0.5), n_biased=1)
    weights = greedy_weights(candidates, np.arange(600), row_losses("regression", target))
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] == pytest.approx(0.5, abs=0.12)
    assert weights[2] == 0.0


def test_a_model_that_knows_everything_stays_alone():
    target, candidates = _target_and_candidates(1, (0.5, 0.0, 0.7))
    weights = greedy_weights(candidates, np.arange(600), row_losses("regression", target))
    assert weights.tolist() == [0.0, 1.0, 0.0]


def test_at_most_so_many_configurations_share():
    target, candidates = _target_and_candidates(2, (0.5,) * 9)
    weights = greedy_weights(candidates, np.arange(600), row_losses("regression", target), most=3)
    assert np.count_nonzero(weights) == 3


@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_blend_never_fits_its_rows_worse_than_the_best_alone(seed, n_candidates, classes):
    rng = np.random.default_rng(seed)
    if classes:
        target = rng.integers(0, 3, size=80).astype(float)
        candidates = [rng.dirichlet([1.0, 1.0, 1.0], size=80) for _ in range(n_candidates)]
    else:
        target = rng.normal(size=80)
        candidates = [rng.normal(size=80) for _ in range(n_candidates)]
    losses = row_losses("classification" if classes else "regression", target)
    rows = np.arange(80)
    weights = greedy_weights(candidates, rows, losses)
    mixed = sum(w * c for w, c in zip(weights, candidates, strict=True))
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert losses(mixed, rows).mean() <= min(losses(c, rows).mean() for c in candidates) + 1e-12


def _study(seed=0, n=240):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 3))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.2 * rng.normal(size=n)
    table = sf.read(pd.DataFrame(x, columns=list("abc")).assign(y=y), target="y")
    views = table_views(table, sf.split(table, folds=4))
    base = Config(batch_size=32, epochs=24, learning_rate=0.03, options={"beta2": 0.95})
    configurations = (
        base.with_(model="linear", width=0, depth=0, warmup=0.0),
        base.with_(width=24, depth=1),
        base.with_(width=32, depth=2),
    )
    return views, cross_validate_views(views, configurations)


def test_the_final_model_predicts_what_its_blend_says():
    from soundfit.workflow.final import final_predictor

    views, study = _study()
    blend = blend_study(views, study)
    assert blend.loss <= blend.loss_alone
    assert sum(blend.weights) == pytest.approx(1.0)
    predictor = final_predictor(views, study, blend)
    assert len(predictor.modules) == 4 * len(blend.configurations)
    assert sum(predictor.weights) == pytest.approx(1.0)
    # The slow twin: every member alone, averaged by hand.
    frame = views.table.frame
    by_hand = np.zeros(len(frame))
    for c, weight in zip(blend.configurations, blend.weights, strict=True):
        for member, outcome in study.outcomes_of(c):
            x = views.encoders[member.fold].transform(frame)
            outputs = outcome.module(torch.from_numpy(x)).detach().double().numpy()
            by_hand += weight / 4 * views.predictions(member.fold, outputs)
    assert np.allclose(predictor.outputs(frame), by_hand, atol=1e-6)


def test_one_configuration_is_no_blend():
    views, study = _study()
    single = cross_validate_views(views, study.result.configurations[1:2])
    blend = blend_study(views, single)
    assert blend.alone
    assert np.array_equal(blend.outputs, single.result.predictions)
