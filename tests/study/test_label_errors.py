"""Labels in doubt: planted errors come first, clean labels give none."""

import numpy as np

from soundfit.study.label_errors import suspected_labels


def predictions(rng, truth, n_classes, strength):
    logits = rng.normal(size=(len(truth), n_classes))
    logits[np.arange(len(truth)), truth] += strength
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


def test_planted_errors_are_found_and_come_first():
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 4
    p = predictions(rng, truth, 4, 6.0)
    given = truth.copy()
    planted = rng.choice(600, 30, replace=False)
    given[planted] = (truth[planted] + rng.integers(1, 4, 30)) % 4
    found = suspected_labels(given, p)
    assert set(found.rows[:25]) <= set(planted)
    assert len(set(found.rows) & set(planted)) >= 28
    assert (found.suggested[:25] == truth[found.rows[:25]]).all()
    assert (np.diff(found.margin) <= 0).all()


def test_sure_and_right_predictions_doubt_nothing_and_unpredicted_rows_are_skipped():
    rng = np.random.default_rng(1)
    truth = np.arange(100) % 2
    p = predictions(rng, truth, 2, 40.0)
    p[:10] = np.nan
    found = suspected_labels(truth, p)
    assert len(found) == 0
    assert found.examined == 90
