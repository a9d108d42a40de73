import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import soundfit as sf
from soundfit.study.views import table_views


def _table(rng, n=80):
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.choice(["x", "y", "z"], size=n),
            "y": rng.normal(size=n),
        }
    )
    frame.loc[rng.choice(n, 6, replace=False), "a"] = np.nan
    return frame


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_test_rows_move_nothing_that_a_study_sees(seed):
    rng = np.random.default_rng(seed)
    frame = _table(rng)
    table = sf.read(frame, target="y", task="regression")
    plan = sf.split(table, folds=3, seed=seed)
    views = table_views(table, plan)
    poisoned = frame.copy()
    poisoned.loc[plan.test, "a"] = 1e6
    poisoned.loc[plan.test, "y"] = -1e6
    table2 = sf.read(poisoned, target="y", task="regression")
    views2 = table_views(table2, sf.split(table2, folds=3, seed=seed))
    assert np.array_equal(views.data.inputs_VN.numpy(), views2.data.inputs_VN.numpy())
    assert np.array_equal(views.data.targets_VN.numpy(), views2.data.targets_VN.numpy())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_each_folds_statistics_come_from_its_training_rows_alone(seed):
    rng = np.random.default_rng(seed)
    frame = _table(rng)
    table = sf.read(frame, target="y", task="regression")
    plan = sf.split(table, folds=3, seed=seed)
    views = table_views(table, plan)
    fold = 1
    changed = frame.copy()
    # What is missing stays so: which indicators there are is decided once for all folds.
    changed.loc[plan.folds[fold].validation, "a"] = 0.0 * frame["a"] - 1e5
    changed.loc[plan.folds[fold].validation, "y"] *= 3
    table2 = sf.read(changed, target="y", task="regression")
    views2 = table_views(table2, plan)
    rows = views.folds[fold].train
    before, after = views.data.inputs_VN[fold][rows], views2.data.inputs_VN[fold][rows]
    assert np.array_equal(before.numpy(), after.numpy())
    assert views.scales[fold].mean == views2.scales[fold].mean


def test_classes_keep_their_codes_and_probabilities_sum_to_one(tables):
    table = sf.read(tables / "penguins.csv", target="species")
    views = table_views(table, sf.split(table))
    assert views.n_outputs == 3
    probability = views.predictions(0, np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]]))
    assert np.allclose(probability, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
