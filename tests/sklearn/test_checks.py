"""scikit-learn's own checks of estimators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from soundfit.sklearn import SoundClassifier, SoundRegressor

FEW = {"model": "linear", "folds": 2, "epochs": 24}


@parametrize_with_checks([SoundRegressor(**FEW), SoundClassifier(**FEW)])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_cell_that_is_no_value_is_refused_with_its_type():
    frame = pd.DataFrame({"a": [*range(19), {"b": 1}], "c": range(20)}).astype({"a": object})
    with pytest.raises(TypeError, match="must be a string or a number, not 'dict'"):
        SoundRegressor(**FEW).fit(frame, np.arange(20.0))


def test_epochs_bound_the_training():
    x = np.random.default_rng(0).normal(size=(40, 2))
    SoundRegressor(model="linear", folds=2, epochs=3).fit(x, x[:, 0])
    with pytest.raises(ValueError, match="Epochs are a number from 1"):
        SoundRegressor(epochs=0).fit(x, x[:, 0])
