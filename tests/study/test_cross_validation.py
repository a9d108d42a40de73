import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from torch import nn

import soundfit as sf
from soundfit.study.cross_validation import cross_validate
from soundfit.study.views import table_views

LINEAR = sf.Config(epochs=60, batch_size=16, learning_rate=0.05, schedule="cosine")


def _arrays(n=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, x @ np.array([1.0, -2.0, 0.0, 0.5]) + 0.1 * rng.normal(size=n)


def test_a_linear_net_reaches_the_error_of_least_squares():
    x, y = _arrays()
    result = cross_validate(lambda c: nn.Linear(4, 1), x, y, config=LINEAR, folds=5)
    errors = [
        LinearRegression().fit(x[a], y[a]).predict(x[b]) - y[b]
        for a, b in KFold(5, shuffle=True, random_state=0).split(x)
    ]
    squares = [np.sqrt(np.mean(e**2)) for e in errors]
    assert result.scores_CK[0] == pytest.approx(squares, rel=0.1)
    assert result.scores_CK.mean() == pytest.approx(np.mean(squares), rel=0.05)


def test_classes_are_scored_by_log_loss_and_predictions_are_probabilities():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], 50)
    x = rng.normal(size=(150, 4)) + y[:, None]
    result = cross_validate(lambda c: nn.Linear(4, 3), x, y, config=LINEAR, folds=3)
    assert result.metric == "log_loss"
    assert result.predictions is not None
    assert result.predictions.shape == (150, 3)
    assert result.predictions.sum(1) == pytest.approx(np.ones(150))
    assert (result.predictions.argmax(1) == y).mean() > 0.75


def test_every_row_gets_one_out_of_fold_prediction_even_where_k_does_not_divide_n():
    x, y = _arrays(n=103)
    result = cross_validate(lambda c: nn.Linear(4, 1), x, y, config=LINEAR.with_(epochs=2), folds=10)
    assert result.predictions is not None
    assert np.isfinite(result.predictions).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_validation_rows_never_move_what_is_trained(seed):
    """Poisoned validation rows change scores but not the weights' training losses."""
    rng = np.random.default_rng(seed)
    x, y = _arrays(n=60, seed=seed)
    a, b = np.arange(45), np.arange(45, 60)
    config = LINEAR.with_(epochs=3)
    clean = cross_validate(lambda c: nn.Linear(4, 1), x, y, config=config, folds=[(a, b)])
    x2, y2 = x.copy(), y.copy()
    x2[b] = rng.normal(size=(15, 4)) * 100
    y2[b] += 50
    poisoned = cross_validate(lambda c: nn.Linear(4, 1), x2, y2, config=config, folds=[(a, b)])
    last = [r.members[0].trace.series["training_loss"] for r in (clean, poisoned)]
    assert np.array_equal(*last)


def test_grid_and_seeds_become_members_and_the_same_seed_gives_the_same_result():
    x, y = _arrays()

    def make_module(config):
        layers = [nn.Linear(4, config.width), nn.ReLU(), nn.Dropout(config.dropout)]
        return nn.Sequential(*layers, nn.Linear(config.width, 1))

    runs = [
        cross_validate(
            make_module,
            torch.as_tensor(x),
            torch.as_tensor(y),
            grid={"width": [4, 8], "dropout": [0.0, 0.2]},
            seeds=2,
            folds=3,
            config=sf.Config(epochs=3, batch_size=32),
        )
        for _ in range(2)
    ]
    assert len(runs[0].members) == 2 * 2 * 2 * 3
    assert np.array_equal(runs[0].scores_CK, runs[1].scores_CK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds is between 2 and the number of rows"),
        ({"target": np.zeros(3)}, "agree in N"),
        ({"loss": "hinge"}, "a loss is one of"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    x, y = _arrays(n=30)
    given_ = {"target": y, "config": LINEAR, **change}
    with pytest.raises(ValueError, match=message):
        cross_validate(lambda c: nn.Linear(4, 1), x, given_.pop("target"), **given_)


def test_a_table_and_a_plan_are_cross_validated_without_their_test_rows(tables):
    table = sf.read(tables / "hitters.csv", target="Salary")
    plan = sf.split(table, folds=4, seed=3)
    n_inputs = table_views(table, plan).n_inputs
    result = cross_validate(
        lambda c: nn.Linear(n_inputs, 1),
        table,
        plan,
        config=sf.Config(epochs=5, batch_size=32, learning_rate=0.02),
    )
    assert result.scores_CK.shape == (1, 4)
    assert result.predictions is not None
    assert len(result.predictions) == len(plan.train)


def test_a_checkpoint_gives_the_same_study_without_training_again(tmp_path):
    x, y = _arrays()
    epochs = []
    first, second = (
        cross_validate(
            lambda c: nn.Linear(4, 1), x, y, config=LINEAR.with_(epochs=8), checkpoint=tmp_path,
            progress=epochs.append,
        )
        for _ in range(2)
    )  # fmt: skip
    assert np.array_equal(first.scores_CK, second.scores_CK)
    assert list(tmp_path.iterdir())
    # The second call tells of all its epochs at once: they are read, not trained.
    assert sum(epochs) == 2 * 5 * 8
