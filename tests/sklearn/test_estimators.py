"""The estimators among scikit-learn's own tools."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from soundfit.sklearn import SoundClassifier, SoundRegressor


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    return x, x @ [2.0, -1.0, 0.0] + 0.1 * rng.normal(size=120)


def test_regression_in_a_pipeline_under_cross_validation(rows):
    x, y = rows
    model = make_pipeline(StandardScaler(), SoundRegressor(model="linear", folds=3))
    assert cross_val_score(model, x, y, cv=3).min() > 0.95


def test_classification_keeps_labels_and_probabilities(rows):
    x, y = rows
    labels = np.where(y > 0, "up", "down")
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(word=np.where(y > 1, "big", "other"))
    model = SoundClassifier(model="linear", folds=3).fit(frame, labels)
    assert model.classes_.tolist() == ["down", "up"]
    shares = model.predict_proba(frame)
    assert shares.shape == (120, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert model.score(frame, labels) > 0.95
    assert set(model.predict(frame)) == {"down", "up"}


def test_grid_search_sets_parameters(rows):
    x, y = rows
    search = GridSearchCV(SoundRegressor(model="linear"), {"folds": [2, 3]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.95


def test_what_cannot_be_used_is_refused_in_words(rows):
    x, y = rows
    with pytest.raises(TypeError, match="parse"):
        SoundRegressor().fit(sparse.csr_matrix(x), y)
    with pytest.raises(ValueError, match="one class"):
        SoundClassifier().fit(x, np.ones(120))
    with pytest.raises(ValueError, match="model is auto"):
        SoundRegressor(model="forest").fit(x, y)
    with pytest.raises(NotFittedError):
        SoundRegressor().predict(x)
    assert clone(SoundRegressor(folds=4)).get_params() == {
        "epochs": None,
        "folds": 4,
        "model": "auto",
        "seed": 0,
    }
