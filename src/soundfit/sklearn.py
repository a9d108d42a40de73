"""scikit-learn: soundfit's training as estimators. Writes no file, seals no rows, keeps no ledger.

scikit-learn's own tools hold rows out, so all rows given to ``fit`` are trained on and validated in folds.
"""

from __future__ import annotations

from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from soundfit.data.source import read
from soundfit.errors import UsageError
from soundfit.executors.threads import one_thread
from soundfit.records import Fold, Plan
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.grid import default_configurations
from soundfit.study.views import table_views
from soundfit.workflow.final import final_predictor

__all__ = ["SoundClassifier", "SoundRegressor"]

_TARGET = "(target)"
_CELLS = (str, bytes, Number, np.generic, date, timedelta, type(None), type(pd.NA), type(pd.NaT))


class _Sound(BaseEstimator):
    """What both estimators share."""

    def __init__(
        self, *, model: str = "auto", folds: int = 5, epochs: int | None = None, seed: int = 0
    ) -> None:
        self.model = model
        self.folds = folds
        self.epochs = epochs
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _train(self, frame: pd.DataFrame, target: Any, task: str, splitter: Any) -> None:
        if self.model not in ("auto", "linear", "mlp", "resmlp"):
            raise UsageError(
                "A model is auto, linear, mlp or resmlp", received=repr(self.model), fix="leave model out"
            )
        if self.epochs is not None and self.epochs < 1:
            raise UsageError("Epochs are a number from 1", received=repr(self.epochs), fix="leave epochs out")
        names = list(frame.columns)
        table = read(frame.assign(**{_TARGET: target}), target=_TARGET, task=task, keep=names)
        folds = splitter.split(np.zeros(len(table)), table.target)
        plan = Plan(
            kind="k-fold",
            reason="all rows, held out by scikit-learn's own tools",
            n_rows=len(table),
            test=np.array([], dtype=np.int64),
            folds=tuple(Fold(training, validation) for training, validation in folds),
            seed=self.seed,
        )
        views = table_views(table, plan)
        n_train = int(np.median([len(fold.train) for fold in views.folds]))
        configurations = default_configurations(n_train, model=self.model, numeric=views.numeric)
        if self.epochs is not None:
            patience = max(self.epochs // 2, 1)
            configurations = tuple(c.with_(epochs=self.epochs, patience=patience) for c in configurations)
        with one_thread():
            study = cross_validate_views(views, configurations, seeds=(self.seed,))
            self.predictor_ = final_predictor(views, study)

    def _frame(self, X: Any, *, reset: bool, y: Any = None) -> tuple[pd.DataFrame, Any]:
        if reset and y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        checked = validate_data(
            self,
            X,
            **({} if y is None else {"y": y}),
            reset=reset,
            dtype=None,
            ensure_all_finite="allow-nan",
            ensure_min_samples=10 if reset else 1,
        )
        values, target = checked if y is not None else (checked, None)
        _check_cells(values)
        if isinstance(X, pd.DataFrame):
            frame = X.reset_index(drop=True)
            frame.columns = pd.Index([str(name) for name in X.columns])
            return frame, target
        if values.dtype.kind == "c":
            raise ValueError("Complex data not supported")
        return pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])]), target


def _check_cells(values: NDArray[Any]) -> None:
    """Refuse cells that no column can hold; scikit-learn's checks ask for TypeError and these words."""
    if values.dtype != object:
        return
    for kind in {type(cell) for cell in values.ravel()}:
        if not issubclass(kind, _CELLS):
            raise TypeError(
                "A cell of X is text, a number, a date or missing: the argument must be a string or "
                f"a number, not {kind.__name__!r}. Fix: spread it over columns of numbers or texts"
            )


class SoundRegressor(RegressorMixin, _Sound):
    """Regression by cross-validated nets.

    Args:
        model: ``auto``, ``linear``, ``mlp`` or ``resmlp``.
        folds: how many folds choose the configuration.
        epochs: most passes over the rows; None lets their number decide.
        seed: for everything drawn.
    """

    def fit(self, X: Any, y: Any) -> SoundRegressor:
        """Train on all rows (N, F) and targets (N,)."""
        frame, target = self._frame(X, reset=True, y=y)
        target = np.asarray(target, dtype=np.float64)
        self._train(frame, target, "regression", KFold(self.folds, shuffle=True, random_state=self.seed))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return predictions (N,)."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.outputs(self._frame(X, reset=False)[0])


class SoundClassifier(ClassifierMixin, _Sound):
    """Classification by cross-validated nets; arguments as of :class:`SoundRegressor`."""

    def fit(self, X: Any, y: Any) -> SoundClassifier:
        """Train on all rows (N, F) and labels (N,)."""
        frame, labels = self._frame(X, reset=True, y=y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(
                "A classifier needs two classes or more",
                received=f"one class, {self.classes_[0]!r}",
                fix="pass rows of another class",
            )
        # Texts that keep the order of the labels, whatever their type.
        texts = np.array([f"class{code:06d}" for code in codes], dtype=object)
        splitter = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        self._train(frame, texts, "classification", splitter)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (N, C) in the order of ``classes_``."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.outputs(self._frame(X, reset=False)[0])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels (N,)."""
        check_is_fitted(self, "predictor_")
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
