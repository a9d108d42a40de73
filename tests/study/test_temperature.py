"""Temperature on generated probabilities whose overconfidence is known."""

import numpy as np
import pytest

from soundfit.study.temperature import fit_temperature, with_temperature


def _draw(seed, n, sureness):
    """Targets follow softmax(logits); the model says softmax(sureness · logits)."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, 3))
    truth = with_temperature(np.exp(logits), 1.0)
    target = (rng.random(n)[:, None] > truth.cumsum(1)).sum(1).clip(0, 2)
    folds = np.array_split(rng.permutation(n), 5)
    return target, with_temperature(truth, 1.0 / sureness), folds


@pytest.mark.parametrize("sureness", [0.5, 2.0, 3.0])
def test_over_and_underconfidence_are_undone(sureness):
    target, said, folds = _draw(0, 3000, sureness)
    assert fit_temperature(target, said, folds) == pytest.approx(sureness, rel=0.12)
    assert fit_temperature(target, said, [np.arange(3000)]) == pytest.approx(sureness, rel=0.12)


def test_honest_probabilities_stay_as_they_are():
    kept = [fit_temperature(*_draw(seed, 800, 1.0)) for seed in range(20)]
    assert np.mean([t == 1.0 for t in kept]) >= 0.7
    assert max(abs(t - 1.0) for t in kept) < 0.15


def test_few_rows_and_rows_never_validated():
    target, said, folds = _draw(1, 40, 3.0)
    assert fit_temperature(target, said, folds) == 1.0
    target, said, folds = _draw(1, 2000, 3.0)
    said[::3] = np.nan
    assert fit_temperature(target, said, folds) == pytest.approx(3.0, rel=0.15)


def test_a_temperature_keeps_the_ranking_and_sums_to_one():
    _, said, _ = _draw(2, 100, 1.0)
    hot = with_temperature(said, 4.0)
    assert np.array_equal(hot.argmax(1), said.argmax(1))
    assert hot.sum(1) == pytest.approx(np.ones(100))
    assert (hot.max(1) <= said.max(1) + 1e-12).all()
