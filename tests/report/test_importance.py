"""What moves the prediction, in words: each claim where it holds, and not where it does not."""

from __future__ import annotations

from typing import Any

from soundfit.report.figures.effects import effect_figures
from soundfit.report.figures.importance import importance_figure, importance_line
from soundfit.report.html import render_report
from soundfit.report.run_view import RunView, view_of
from soundfit.report.words import Words

_ = Words()


def column(name: str, value: float, half: float, alike: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "column": name,
        "value": value,
        "low": value - half,
        "high": value + half,
        "rows": 800,
        "repeats": 5,
        "alike": list(alike),
    }


def effect(name: str, kind: str, points: list[tuple[Any, ...]], **more: Any) -> dict[str, Any]:
    keys = ("at", "value", "rows", "observed")
    told = [dict(zip(keys, (*p, 40)[:3] if len(p) == 2 else p, strict=False)) for p in points]
    return {
        "column": name,
        "kind": kind,
        "class": None,
        "mean": 10.0,
        "more_levels": 0,
        "points": told,
    } | more


def view(columns: list[Any] | None = None, effects: list[Any] | None = None, **more: Any) -> RunView:
    record: dict[str, Any] = {
        "data": {"target": "price", "task": "regression"},
        "cv": {"metric": "rmse", "value": 2.0},
        "final": {"value": 1.6},
        "importance": {
            "model": "final",
            "metric": "rmse",
            "columns": columns or [],
            "effects": effects or [],
        },
    }
    return view_of(record | more)


def said(figure: Any) -> str:
    return str(figure.sentence).replace("\N{NO-BREAK SPACE}", " ")


def test_the_most_important_columns_are_named_with_what_they_are_worth() -> None:
    shown = view([column("area", 0.8, 0.1), column("rooms", 0.16, 0.05), column("door", 0.0, 0.01)])
    text = said(importance_figure(shown, _))
    assert "area shuffled" in text
    assert "of the final model rises by 50 %" in text
    assert "Next: rooms (+10 %)." in text
    assert "1 column makes no difference" in text
    assert "share" not in text
    line = importance_line(shown, _).replace("\N{NO-BREAK SPACE}", " ")
    assert line == "What moves the prediction most: area (+50 %), rooms (+10 %)."


def test_rises_are_those_of_the_model_that_was_asked() -> None:
    record = dict(view([column("area", 0.8, 0.1)]).record)
    record["importance"] = record["importance"] | {"model": "chosen"}
    text = said(importance_figure(view_of(record), _))
    assert "of the members of the chosen configuration rises by 40 %" in text


def test_of_an_error_near_nothing_no_share_in_per_cent_is_told() -> None:
    record = dict(view([column("area", 0.8, 0.1), column("door", 0.002, 0.001)]).record)
    record["final"] = {"value": 0.01}
    assert "rises by 0.80" in said(importance_figure(view_of(record), _))
    assert "area (×81), door (+20" in importance_line(view_of(record), _)


def test_columns_that_tell_the_same_are_said_to_share() -> None:
    shown = view([column("area", 0.8, 0.1, ("rooms", "floor")), column("rooms", 0.2, 0.1, ("area",))])
    assert "area shares with rooms, floor" in said(importance_figure(shown, _))


def test_where_nothing_matters_nothing_is_named() -> None:
    shown = view([column("area", 0.01, 0.1), column("door", -0.01, 0.1)])
    assert "no more than chance does" in said(importance_figure(shown, _))
    assert importance_line(shown, _) == ""


def test_a_run_without_importance_has_no_section() -> None:
    older = view_of({"data": {"target": "price", "task": "regression"}, "cv": {"metric": "rmse"}})
    assert importance_figure(older, _) is None
    assert effect_figures(older, _) == []
    assert importance_line(older, _) == ""
    assert 'id="importance"' not in render_report(older)


def test_a_curve_rises_falls_turns_or_stays() -> None:
    ways = {
        "rises with area: from 5 at 1 to 15 at 4": [5, 8, 12, 15],
        "falls with area: from 15 at 1 to 5 at 4": [15, 12, 8, 5],
        "is lowest at area 1 (5) and highest at 3 (15)": [5, 12, 15, 9],
        "hardly moves with area, all else as it is: 10 to 10.1": [10.0, 10.05, 10.1, 10.1],
    }
    for words, values in ways.items():
        (figure,) = effect_figures(
            view(effects=[effect("area", "numeric", list(enumerate(values, start=1)))]), _
        )
        assert words in said(figure)


def test_years_are_written_as_years() -> None:
    built = effect("Year_Built", "numeric", [(1880, 1.0), (1950, 2.0), (2009, 3.0)])
    area = effect("area", "numeric", [(442, 1.0), (1100, 2.0), (1950, 3.0)])
    for one, words in ((built, "from 1 at 1880 to 3 at 2009"), (area, "to 3 at 1,950")):
        (figure,) = effect_figures(view(effects=[one]), _)
        assert words in said(figure)


def test_points_in_a_corner_are_spread_evenly() -> None:
    crowded = effect("assets", "numeric", [(0, 1), (1, 2), (2, 3), (3, 4), (1000, 5)])
    spread = effect("assets", "numeric", [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)])
    (one,), (other,) = (effect_figures(view(effects=[e]), _) for e in (crowded, spread))
    assert one.data["even"]
    assert "evenly spaced" in one.data["x"]["label"]
    assert not other.data["even"]


def test_categories_say_what_comes_with_other_columns() -> None:
    levels = [("oak", 12.0, 30, 12.5), ("elm", 10.0, 30, 3.0)]
    (figure,) = effect_figures(view(effects=[effect("kind", "categorical", levels, more_levels=2)]), _)
    text = said(figure)
    assert "would be 12 on average if every row had kind “oak”, and 10 with “elm”" in text
    assert "Rows with “elm” are predicted 3 as they are" in text
    assert "2 rarer categories are left out" in text
    near = [("oak", 12.0, 30, 12.5), ("elm", 10.0, 30, 9.0)]
    (figure,) = effect_figures(view(effects=[effect("kind", "categorical", near)]), _)
    assert "as they are" not in said(figure)


def test_classes_are_told_as_probabilities_in_both_languages() -> None:
    flag = effect("flag", "boolean", [("yes", 0.77, 30, 0.8), ("no", 0.484, 30, 0.4)], mean=0.7)
    flag["class"] = "good"
    (figure,) = effect_figures(view(effects=[flag]), _)
    assert "Probability of good would be 77 % on average if every row had flag “yes”" in said(figure)
    (chinese,) = effect_figures(view(effects=[flag]), Words("zh"))
    assert "“是”" in said(chinese)
    assert "good 的概率" in said(chinese)
