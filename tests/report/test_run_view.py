from __future__ import annotations

import pandas as pd

from soundfit.report.run_view import labels, view_of


def test_get_stops_at_whatever_is_missing() -> None:
    view = view_of({"a": {"b": None, "c": 0}, "d": "text"})
    assert view.get("a", "c") == 0
    assert view.get("a", "b", default="none") == "none"
    assert view.get("d", "e", "f") is None
    assert view.items("d") == ["text"]
    assert view.items("a") == []


def test_prescriptions_may_be_texts_or_records() -> None:
    view = view_of({"verdict": {"prescriptions": ["one", {"text": "two", "patch": ""}, {"patch": "x"}]}})
    assert view.lines("verdict", "prescriptions") == ["one", "two"]


def test_labels_are_the_same_text_however_they_are_stored() -> None:
    assert labels(pd.Series([0, 1])).tolist() == ["0", "1"]
    assert labels(pd.Series([0.0, 1.0, None])).tolist()[:2] == ["0", "1"]
    assert labels(pd.Series([0.5, 1.0])).tolist() == ["0.5", "1.0"]
    assert labels(pd.Series(["a", "b"])).tolist() == ["a", "b"]
    assert labels(pd.Series([True, False])).tolist() == ["True", "False"]
