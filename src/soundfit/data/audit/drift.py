"""Drift: whether training and test rows can be told apart (adversarial validation)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from soundfit.data.audit.evidence import EVIDENCE_COLUMNS, row_folds
from soundfit.data.audit.view import View
from soundfit.records import Finding, Severity
from soundfit.records.said import joined, say

__all__ = ["find_drift"]

#: Plans whose test rows were not drawn at random.
CHOSEN = ("given", "time", "group-time", "group", "stratified-group")
ROWS = 3000


def find_drift(view: View) -> list[Finding]:
    """Train a classifier to tell test rows from the others; its AUC is 0.5 where they are alike."""
    plan = view.plan
    if plan is None or plan.kind not in CHOSEN or min(len(plan.test), len(plan.train)) < 25:
        return []
    rng = np.random.default_rng([view.seed, 61])
    test = rng.permutation(plan.test)[:ROWS]
    train = rng.permutation(plan.train)[: max(ROWS, len(test))]
    rows = np.concatenate([train, test])
    is_test = np.r_[np.zeros(len(train), dtype=int), np.ones(len(test), dtype=int)]
    own = {view.time, plan.time, *view.group, *plan.group}
    inputs = tuple(f for f in view.best_inputs(EVIDENCE_COLUMNS) if f.name not in own and f.kind != "date")
    if not inputs:
        return []
    x = view.matrix(rows, inputs)
    folds = row_folds(len(rows), 4, view.seed)
    guess = np.zeros(len(rows))
    for fold in range(4):
        held = folds == fold
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=0, class_weight="balanced"
        )
        guess[held] = model.fit(x[~held], is_test[~held]).predict_proba(x[held])[:, 1]
    auc = float(roc_auc_score(is_test, guess))
    low, high = _interval(auc, len(test), len(train))
    if low < 0.55:
        return []
    severity: Severity = "warning" if low >= 0.65 else "note"
    movers = _movers(x, is_test)[:5]
    named = joined(", ", (repr(inputs[j].name) for j in movers))
    return [
        Finding(
            "train-test-drift",
            severity,
            say(
                "Training and test rows can be told apart with an AUC of {auc:.2f} (95 % interval "
                "{low:.2f} to {high:.2f}; 0.50 if they were alike), first of all by {named}: the exam asks "
                "about other rows than were learned from.",
                auc=auc,
                low=low,
                high=high,
                named=named,
            ),
            columns=tuple(inputs[j].name for j in movers),
            evidence={
                "auc": round(auc, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "n_rows_measured": len(rows),
            },
            fix=say(
                "If new rows will be like the test rows, this exam is the honest one and cross-validation "
                "flatters; else draw the test rows at random. --drop columns that only name the period or "
                "source."
            ),
        )
    ]


def _interval(auc: float, n_one: int, n_two: int) -> tuple[float, float]:
    """Return the 95 % interval of an AUC (Hanley & McNeil 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n_one - 1) * (q1 - auc**2) + (n_two - 1) * (q2 - auc**2)) / (n_one * n_two)
    half = norm.ppf(0.975) * np.sqrt(max(variance, 0.0))
    return max(0.0, auc - half), min(1.0, auc + half)


def _movers(x: NDArray[np.float32], is_test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return columns by how well each alone tells the two apart, missing counted as a low value."""
    filled = np.nan_to_num(x, nan=-3e38)
    alone = np.array([abs(roc_auc_score(is_test, column) - 0.5) for column in filled.T])
    order = np.argsort(-alone)
    return order[alone[order] > 0.1] if (alone > 0.1).any() else order[:1]
