"""What each figure says is computed from the numbers: a fault and its control for every claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from soundfit.report.configurations import configurations
from soundfit.report.figures.calibration import calibration_figure
from soundfit.report.figures.capacity import capacity_figure
from soundfit.report.figures.epochs import epochs_figure
from soundfit.report.figures.folds import folds_figure
from soundfit.report.figures.learning import learning_figure
from soundfit.report.figures.predicted import predicted_figure
from soundfit.report.figures.regularisation import regularisation_figures
from soundfit.report.figures.split import split_figure
from soundfit.report.figures.stability import stability_figure
from soundfit.report.metric_words import metric_words
from soundfit.report.run_view import RunView, read_run, view_of
from soundfit.report.words import Words

_ = Words()
RMSE = metric_words("rmse", _)
NONE = pd.DataFrame()


def curve(name: str, key: str, rows: list[tuple[float, float, float]], se: float) -> RunView:
    points = [{key: x, "training": t, "validation": v, "se": se} for x, t, v in rows]
    return view_of({"curves": {name: points}, "cv": {"metric": "rmse"}})


def said(figure: Any) -> str:
    assert figure is not None
    return str(figure.sentence).replace("\N{NO-BREAK SPACE}", " ")


def test_capacity_says_memorises_only_where_validation_clearly_rises() -> None:
    rows = [(10, 1.0, 1.0), (100, 0.6, 0.8), (1000, 0.1, 1.2)]
    clear = capacity_figure(curve("capacity", "parameters", rows, 0.05), NONE, RMSE, _)
    assert "The largest net (1,000) errs 83 % less on its training rows, yet 50 % more" in said(clear)
    vague = capacity_figure(curve("capacity", "parameters", rows, 0.5), NONE, RMSE, _)
    assert "capacity hardly matters here" in said(vague)
    falling = [(10, 1.0, 1.0), (100, 0.6, 0.8), (1000, 0.1, 0.5)]
    grows = capacity_figure(curve("capacity", "parameters", falling, 0.05), NONE, RMSE, _)
    assert "still larger ones may do better" in said(grows)


def test_capacity_comes_from_the_members_where_no_study_was_made(make_run: Callable[..., Path]) -> None:
    view = read_run(make_run(curves=False))
    metric = metric_words("rmse_log", _)
    figure = capacity_figure(view, configurations(view, greater_is_better=False), metric, _)
    assert figure is not None
    sizes = [p["x"] for p in figure.data["points"]]
    assert sizes == sorted(set(view.members["parameters"]))
    assert figure.data["chosen"]["x"] == view.get("chosen", "parameters")
    assert figure.data["chosen"]["y"] == pytest.approx(view.get("cv", "value"))


def test_learning_says_more_rows_help_only_beyond_the_standard_error() -> None:
    rows = [(100, 0.1, 1.0), (200, 0.2, 0.8), (400, 0.3, 0.6)]
    helps = learning_figure(curve("learning", "rows", rows, 0.05), RMSE, _)
    assert "fell by 25 % per doubling of the rows: more rows still help" in said(helps)
    assert "100 % above that on training rows" in said(helps)
    level = [(100, 0.1, 1.0), (200, 0.2, 0.8), (400, 0.3, 0.79)]
    assert "would help little" in said(learning_figure(curve("learning", "rows", level, 0.05), RMSE, _))
    flat = [(100, 0.1, 0.8), (400, 0.3, 0.8)]
    assert "would not help" in said(learning_figure(curve("learning", "rows", flat, 0.05), RMSE, _))


def trace(validation: list[float], **columns: Any) -> RunView:
    n = len(validation)
    frame = pd.DataFrame(
        {
            "member": 0,
            "epoch": np.arange(1, n + 1),
            "training_loss": np.linspace(1, 0.2, n),
            "validation_loss": validation,
            **columns,
        }
    )
    return replace(view_of({}), trace=frame)


def test_epochs_names_the_best_checkpoint_and_what_follows() -> None:
    rising = epochs_figure(trace([1.0, 0.5, 0.4, 0.5]), _)
    assert "lowest at epoch 3 of 4 (0.4). Training on to the end would have cost 25 %" in said(rising)
    assert rising is not None
    assert rising.data["best"] == {"x": 3.0, "y": 0.4}
    assert "still falling at the end" in said(epochs_figure(trace([1.0, 0.8, 0.6, 0.4]), _))
    assert "stays level" in said(epochs_figure(trace([1.0, 0.4, 0.401, 0.401]), _))


def test_a_member_that_stops_early_does_not_bend_the_mean() -> None:
    hard, easy = trace([4.0, 3.0]).trace, trace([1.0, 0.9, 0.8, 0.8]).trace.assign(member=1)
    figure = epochs_figure(replace(view_of({}), trace=pd.concat([hard, easy])), _)
    assert figure is not None
    assert [p["validation"] for p in figure.data["mean"]] == pytest.approx([2.5, 1.95, 1.9, 1.9])
    assert "stays level" in said(figure)


def test_epochs_shows_the_chosen_configuration_alone() -> None:
    chosen = trace([1.0, 0.5], chosen=True).trace
    other = trace([9.0, 9.0], chosen=False).trace.assign(member=1)
    figure = epochs_figure(replace(view_of({}), trace=pd.concat([chosen, other])), _)
    assert figure is not None
    assert max(p["validation"] for p in figure.data["mean"]) == 1.0


def test_folds_compares_with_the_linear_model_fold_by_fold(make_run: Callable[..., Path]) -> None:
    view = read_run(make_run())
    table = configurations(view, greater_is_better=False)
    figure = folds_figure(view, table, metric_words("rmse_log", _), _)
    assert figure is not None
    assert "beats the linear model in 5 of 5 folds" in said(figure)
    linear = (
        view.members[view.members["model"] == "linear"].groupby("configuration")["validation_score"].mean()
    )
    best = view.members[view.members["configuration"] == linear.idxmin()].sort_values("fold")
    assert [p["other"] for p in figure.data["points"]] == pytest.approx(best["validation_score"].tolist())


def test_folds_points_at_a_fold_that_stands_out() -> None:
    even = view_of({"cv": {"per_fold": [1.0, 1.01, 0.99, 1.02, 1.03], "metric": "rmse"}})
    odd = view_of({"cv": {"per_fold": [1.0, 1.01, 0.99, 1.02, 2.0], "metric": "rmse"}})
    assert "stands out" not in said(folds_figure(even, NONE, RMSE, _))
    assert "Fold 5 stands out" in said(folds_figure(odd, NONE, RMSE, _))


def test_a_regulariser_is_shown_with_the_others_held_at_the_chosen_values() -> None:
    points = [
        {"weight_decay": w, "dropout": d, "training": 1.0, "validation": v, "se": 0.01}
        for w, d, v in ((0.0, 0.0, 1.0), (0.1, 0.0, 0.8), (1.0, 0.0, 1.3), (0.1, 0.5, 0.9))
    ]
    view = view_of({"curves": {"regularization": points}, "chosen": {"weight_decay": 0.1, "dropout": 0.0}})
    decay, dropout = regularisation_figures(view, NONE, RMSE, _)
    assert [p["x"] for p in decay.data["points"]] == [0.0, 0.1, 1.0]
    assert [p["validation"] for p in dropout.data["points"]] == [0.8, 0.9]
    assert "Against 0 it saves 20 % of the error" in said(decay)
    assert "At 1 the net is held back too much: 62 % more error" in said(decay)
    assert "The least regularised net wins here" in said(dropout)


def split_view(role: list[str], fold: list[int | None]) -> RunView:
    frame = pd.DataFrame({"row": range(len(role)), "role": role, "fold": pd.array(fold, dtype="Int64")})
    return replace(view_of({"data": {"rows": len(role)}}), split=frame)


def test_split_tells_shuffled_rows_from_stretches() -> None:
    order = np.random.default_rng(0).permutation(600) % 3
    mixed = split_view([["test", "train", "train"][i] for i in order], [[None, 0, 1][i] for i in order])
    assert "200 of 600 rows (33 %) are sealed" in said(split_figure(mixed, _))
    assert "spread over the whole file" in said(split_figure(mixed, _))
    blocks = split_view(["train"] * 400 + ["test"] * 200, [0] * 200 + [1] * 200 + [None] * 200)
    assert "made of stretches of the file" in said(split_figure(blocks, _))


def test_predicted_counts_errors_and_bias() -> None:
    true = np.linspace(1, 100, 200)
    frame = pd.DataFrame({"row": range(200), "target": true, "prediction": true + 2.0})
    view = replace(view_of({"cv": {"metric": "rmse"}}), predictions=frame)
    assert "off by at most 2, nineteen in twenty by at most 2" in said(predicted_figure(view, _))
    assert "100 % of them are too high" in said(predicted_figure(view, _))
    fair = frame.assign(prediction=true + np.tile([-2.0, 2.0], 100))
    assert "too high" not in said(predicted_figure(replace(view, predictions=fair), _))


def classes(probability: np.ndarray, rng: np.random.Generator, honest: bool) -> RunView:
    happens = probability if honest else np.clip(probability * 0.4, 0, 1)
    target = np.where(rng.random(len(probability)) < happens, "yes", "no")
    frame = pd.DataFrame(
        {
            "row": range(len(target)),
            "target": target,
            "probability_no": 1 - probability,
            "probability_yes": probability,
        }
    )
    return replace(view_of({"data": {"classes": ["no", "yes"]}}), predictions=frame)


def test_calibration_tells_honest_from_boastful_probabilities() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(4000)
    honest = calibration_figure(classes(probability, rng, True), _)
    boastful = calibration_figure(classes(probability, rng, False), _)
    assert "more than chance explains" in said(boastful)
    assert honest is not None
    off = [abs(p["x"] - p["y"]) for p in honest.data["points"]]
    assert max(off) < 0.08


def test_stability_names_exploding_gradients_and_not_calm_ones() -> None:
    calm = view_of({"stability": {"gradient_norm": {"layer 1": [1.0, 0.5, 0.4], "layer 2": [2.0, 1.0, 0.9]}}})
    wild = view_of({"stability": {"gradient_norm": [1.0, 1e3, 1e6, None]}})
    assert "no sign of vanishing or exploding" in said(stability_figure(calm, _))
    assert "learning rate too high" in said(stability_figure(wild, _))
    assert stability_figure(view_of({"stability": {"gradient_norm": 3.0}}), _) is None


@pytest.mark.parametrize("n_folds", [2, 10])
@pytest.mark.parametrize("n_rows", [60, 344, 3000])
def test_split_of_a_small_shuffled_table_is_not_called_a_stretch(n_folds: int, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows + n_folds)
    fold = rng.permutation(np.arange(n_rows) % (n_folds + 1))
    view = split_view(
        ["test" if f == n_folds else "train" for f in fold], [None if f == n_folds else int(f) for f in fold]
    )
    assert "as if shuffled" in said(split_figure(view, _))
    rows = sorted(fold)
    ordered = split_view(
        ["test" if f == n_folds else "train" for f in rows], [None if f == n_folds else int(f) for f in rows]
    )
    assert "stretches of the file" in said(split_figure(ordered, _))


def test_split_shows_rows_that_are_only_trained_on_and_rows_left_out() -> None:
    role = ["train"] * 200 + ["train"] * 100 + ["left-out"] * 50 + ["test"] * 100
    fold = [None] * 200 + [0] * 50 + [1] * 50 + [None] * 150
    figure = split_figure(split_view(role, fold), _)
    assert figure is not None
    assert [row[:2] for row in figure.rows] == [
        ["test (sealed)", "100"],
        ["fold 1", "50"],
        ["fold 2", "50"],
        ["training", "200"],
        ["left out", "50"],
    ]
    colours = {key.colour for key in figure.keys}
    assert colours == {"test", "validation", "training", "baseline"}


def test_configurations_cut_short_are_not_compared(make_run: Callable[..., Path]) -> None:
    view = read_run(make_run())
    metric = metric_words("rmse_log", _)
    largest = view.members["parameters"] == view.members["parameters"].max()
    cut = view.members.assign(status=view.members["status"].where(~largest, "interrupted"))
    # As good as it may look after one epoch.
    cut.loc[largest, "validation_score"] = 0.001
    short = replace(view, members=cut)
    table = configurations(short, greater_is_better=False)
    assert table.iloc[0]["parameters"] != cut["parameters"].max()
    assert not table.loc[table["cut"] > 0, "near"].any()
    figure = capacity_figure(short, table, metric, _)
    assert figure is not None
    assert max(p["x"] for p in figure.data["points"]) < cut["parameters"].max()
    studied = {"capacity": [{"parameters": int(size), "validation": 0.2} for size in set(cut["parameters"])]}
    short = replace(short, record={**view.record, "curves": studied})
    figure = capacity_figure(short, table, metric, _)
    assert "1 size was cut short and is not shown" in said(figure)
