from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from soundfit.report.mistakes import MOST_CLASSES, confusion, worst_rows
from soundfit.report.run_view import view_of
from soundfit.report.words import Words

_ = Words()


def test_confusion_counts_shares_and_margins() -> None:
    frame = pd.DataFrame({"row": range(6), "target": [0, 0, 0, 1, 1, 1], "prediction": [0, 0, 1, 1, 1, 1]})
    view = replace(view_of({"data": {"task": "classification", "classes": [0, 1]}}), predictions=frame)
    found = confusion(view, _)
    assert found is not None
    assert found.counts == [[2, 1], [0, 3]]
    assert found.shares == [[0.6667, 0.3333], [0.0, 1.0]]
    assert [text[:2] for text in found.found] == ["67", "10"]
    assert [text[:2] for text in found.correct] == ["10", "75"]
    assert "“0” taken for “1”, 1 of its 3 rows" in found.sentence


def test_many_classes_are_gathered_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"c{i}" for i in range(30)])
    frame = pd.DataFrame(
        {"row": range(600), "target": rng.choice(names, 600), "prediction": rng.choice(names, 600)}
    )
    view = replace(
        view_of({"data": {"task": "classification", "classes": names.tolist()}}), predictions=frame
    )
    found = confusion(view, _)
    assert found is not None
    assert len(found.names) == MOST_CLASSES
    assert np.sum(found.counts) == 600


def test_worst_rows_of_a_regression_come_largest_error_first() -> None:
    frame = pd.DataFrame({"row": range(40), "target": 10.0, "prediction": 10.0 + np.arange(40) % 13})
    view = replace(view_of({"cv": {"metric": "rmse"}}), predictions=frame)
    found = worst_rows(view, _)
    assert found is not None
    assert found.rows[0][0] in ("12", "25", "38")
    assert found.rows[0][3] == "+12"


def test_worst_rows_on_the_log_scale_weigh_relative_errors() -> None:
    frame = pd.DataFrame({"row": [0, 1], "target": [1000.0, 1.0], "prediction": [1100.0, 2.0]})
    found = worst_rows(replace(view_of({"cv": {"metric": "rmse_log"}}), predictions=frame), _)
    assert found is not None
    assert [row[0] for row in found.rows] == ["1", "0"]


def test_worst_rows_of_classes_are_the_least_likely_truths() -> None:
    frame = pd.DataFrame(
        {
            "row": [5, 6, 7],
            "target": ["a", "b", "a"],
            "prediction": ["b", "b", "a"],
            "probability_a": [0.02, 0.4, 0.9],
            "probability_b": [0.98, 0.6, 0.1],
        }
    )
    found = worst_rows(replace(view_of({"data": {"classes": ["a", "b"]}}), predictions=frame), _)
    assert found is not None
    assert [row[0] for row in found.rows] == ["5", "6", "7"]
    assert "1 row was predicted wrongly with more than 90" in found.sentence
