from __future__ import annotations

import copy
from typing import Any

import pytest

from soundfit.report.html import bar
from soundfit.report.run_view import view_of
from soundfit.report.scoreboard import score_lines, score_metric, score_remarks
from soundfit.report.words import Words

_ = Words()

RUN: dict[str, Any] = {
    "cv": {"metric": "rmse", "greater_is_better": False, "value": 10.0, "se": 0.5, "per_fold": [9.5, 10.5]},
    "baselines": [
        {"name": "mean", "metric": "rmse", "value": 40.0},
        {"name": "linear", "metric": "rmse", "value": 12.5},
        {"name": "linear", "metric": "mae", "value": 3.0},
    ],
    "exam": {
        "metric": "rmse",
        "value": 10.4,
        "low": 9.0,
        "high": 12.0,
        "level": 0.95,
        "rows": 100,
        "openings": 1,
    },
    "split": {"test": 100},
}


def changed(**exam: Any) -> dict[str, Any]:
    run = copy.deepcopy(RUN)
    run["exam"].update(exam)
    return run


def test_lines_run_from_the_exam_to_the_weakest_baseline_on_one_metric() -> None:
    lines = score_lines(view_of(RUN), _)
    assert [(line.kind, line.value) for line in lines] == [
        ("exam", 10.4),
        ("cv", 10.0),
        ("baseline", 12.5),
        ("baseline", 40.0),
    ]
    assert lines[0].interval.replace("\N{NO-BREAK SPACE}", " ") == "95 %: 9.0 to 12.0"
    assert lines[1].interval == "SE 0.50"


def test_a_sealed_exam_has_no_number() -> None:
    lines = score_lines(view_of({**RUN, "exam": None}), _)
    assert (lines[0].kind, lines[0].value, lines[0].shown, lines[0].note) == (
        "sealed",
        None,
        "sealed",
        "100 rows",
    )
    assert not any("exam" in remark.casefold() for remark in score_remarks(view_of({**RUN, "exam": None}), _))


@pytest.mark.parametrize(
    ("exam", "words"),
    [
        ({}, "agrees with cross-validation"),
        ({"value": 15.0, "low": 13.0, "high": 17.0}, "came out worse"),
        ({"value": 6.0, "low": 5.0, "high": 7.0}, "came out better"),
    ],
)
def test_exam_is_set_against_cross_validation(exam: dict[str, float], words: str) -> None:
    assert words in " ".join(score_remarks(view_of(changed(**exam)), _))


def test_remarks_compare_with_every_baseline() -> None:
    text = " ".join(score_remarks(view_of(RUN), _)).replace("\N{NO-BREAK SPACE}", " ")
    assert "20 % less error than the linear model, 75 % less error than predicting the mean" in text


def test_remarks_compare_by_what_other_folds_would_have_chosen() -> None:
    run = copy.deepcopy(RUN)
    run["cv"]["corrected"] = 20.0
    text = " ".join(score_remarks(view_of(run), _)).replace("\N{NO-BREAK SPACE}", " ")
    assert "60 % more error than the linear model, 50 % less error than predicting the mean" in text
    assert "That is by 20.0, where the other folds choose" in text
    run["exam"].update({"value": 20.0, "low": 18.0, "high": 22.0})
    assert "agrees with cross-validation" in " ".join(score_remarks(view_of(run), _))
    run["cv"]["corrected"] = 10.2
    assert "other folds" not in " ".join(score_remarks(view_of(run), _))


def test_bars_share_one_scale_from_zero() -> None:
    lines = score_lines(view_of(RUN), _)
    metric = score_metric(view_of(RUN), _)
    ends = [bar(line, lines, metric) for line in lines]
    assert [end["at"] for end in ends if end] == [26.0, 25.0, 31.25, 100.0]
    assert ends[0] == {"at": 26.0, "low": 22.5, "width": 7.5}
