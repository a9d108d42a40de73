"""Each lesson, in a tiny setting: its sentences hold what it measured, and what is a theorem holds."""

from __future__ import annotations

import math
import re

import pytest
import torch

from soundfit.errors import UsageError
from soundfit.lessons import (
    capacity,
    half_precision,
    house_prices,
    initialisation,
    k_fold,
    lstm,
    matrix_product,
    polynomial,
    random_labels,
    residual,
    saturation,
    three_models,
    three_sets,
    too_few_samples,
    weight_decay,
)
from soundfit.lessons import dropout as dropout_lesson
from soundfit.lessons.catalogue import LESSONS, entry_named, run_lesson
from soundfit.lessons.learned import accuracy_on
from soundfit.lessons.lesson import Lesson, Line, chart, lines_of
from soundfit.lessons.page import told
from soundfit.records.said import Said, say
from soundfit.report.words import Words


def whole(lesson: Lesson) -> Lesson:
    """Check what holds for every lesson."""
    assert entry_named(lesson.name)
    assert len(lesson.sentences) == 3
    assert all(isinstance(sentence, Said) for sentence in (*lesson.sentences, lesson.method))
    assert re.search(r"\d", " ".join(lesson.sentences))
    assert lesson.figures
    for figure in lesson.figures:
        assert figure.rows
        assert any(line["points"] for line in figure.data["series"])
    chinese = Words("zh")
    for sentence in (*lesson.sentences, lesson.method):
        assert re.search(r"[\u4e00-\u9fff]", told(sentence, chinese)), sentence
        # The same numbers in both languages.
        assert _numbers(told(sentence, chinese)) >= {
            v for v in map(str, sentence.values.values()) if v[:1].isdigit()
        }
    return lesson


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d[\d.,e\u2212\-]*(?:\u00a0%)?", text))


def test_polynomials_of_too_low_and_too_high_a_degree_err_more_on_fresh_points():
    found = whole(polynomial.measure(degrees=(1, 3, 15), draws=2, epochs=500)).numbers
    assert found["best_degree"] == 3
    assert found["low_training"] > 3 * found["noise"]
    assert found["high_test"] > 2 * found["best_test"] > 2 * found["noise"] * 0.8
    assert found["high_training"] < found["low_training"]


def test_the_best_of_many_ignorant_models_looks_good_only_where_it_was_picked():
    found = whole(three_sets.measure(models=200, rows=50, repeats=60)).numbers
    assert 0.6 < found["flattered"] <= found["bound"]
    assert abs(found["true"] - 0.5) < 4 * found["true_se"]


def test_a_linear_classifier_fits_what_covers_theorem_says():
    found = whole(random_labels.measure(points=(6, 30), dimensions=5, width=64, draws=6, epochs=200)).numbers
    assert found["linear_at_vc"] == 1.0
    assert found["linear_most"] == 0.0
    assert random_labels.separable_share(12, 5) == 0.5
    assert random_labels.separable_share(30, 5) < 0.001


def test_weight_decay_shrinks_weights_and_removes_none():
    found = whole(weight_decay.measure(decays=(0.0, 3.0, 10.0), draws=2, epochs=300)).numbers
    assert found["zeros"] == 0
    assert found["norm_last"] < 0.1 * found["norm_0"]
    assert found["test_best"] < 0.1 * found["test_0"]
    assert found["training_0"] < 1e-3


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_zeroes_activations_and_not_the_gradients_of_weights(rate):
    batch = dropout_lesson.zeros_under_dropout(rate, rows=64)
    assert abs(batch["activations"] - rate) < 0.02
    assert batch["signals"] == batch["activations"]
    assert batch["gradients"] == 0.0
    # The control: one row alone, where a dropped unit's weights do get no gradient.
    assert dropout_lesson.zeros_under_dropout(rate, rows=1)["gradients"] > rate / 2
    assert dropout_lesson.zeros_under_dropout(0.0, rows=1)["gradients"] == 0.0


def test_the_lesson_on_dropout_compares_rates_and_noises():
    found = whole(
        dropout_lesson.measure(rows=60, width=8, epochs=3, rates=(0.0, 0.5), noises=(0.0, 0.5))
    ).numbers
    assert found["zero_gradients"] == 0.0
    assert math.isfinite(found["gain_dropout"])


def test_a_product_of_matrices_grows_as_the_theorem_says():
    found = whole(matrix_product.measure(matrices=50, draws=400)).numbers
    assert found["end_unit"] == pytest.approx(found["expected"], abs=0.5)
    assert found["end_half"] == pytest.approx(found["expected"] - 50 * math.log10(4.0), abs=0.5)
    assert abs(found["end_orthogonal"]) < 1e-9
    assert abs(found["end_critical"]) < 0.5


def test_sigmoid_units_saturate_and_starve_the_layers_before_them():
    found = whole(saturation.measure(depths=(2, 8), units=2000)).numbers
    assert found["largest_slope"] <= 0.25
    assert found["reach_sigmoid"] < 0.25**7 * 30
    assert found["reach_relu"] > 0.05


def test_the_starting_scale_is_taken_to_the_power_of_the_depth():
    found = whole(
        initialisation.measure(scales=(0.5, 1.0), depth=8, width=16, rows=100, epochs=1, draws=1)
    ).numbers
    # ReLU nets without biases are homogeneous: exact but for rounding.
    assert found["log10_scale_per_layer"] == pytest.approx(math.log10(0.5), abs=1e-4)


def test_half_precision_breaks_where_its_range_ends():
    found = whole(half_precision.measure(rows=8, width=16)).numbers
    assert found["breaks_half"] == math.floor(math.log(65504)) + 1 == 12
    assert found["breaks_single"] == math.floor(math.log(torch.finfo(torch.float32).max)) + 1
    assert found["lost_scaled"] <= found["lost"]


def test_capacity_lowers_the_training_error():
    found = whole(capacity.measure(widths=(1, 32), rows=60, epochs=60, folds=2)).numbers
    assert found["training_large"] < 0.5 * found["training_small"]
    assert found["gap_large"] > found["gap_small"]
    assert found["stopped_large"] <= found["end_large"]


def test_a_net_needs_more_rows_than_a_linear_model():
    found = whole(too_few_samples.measure(sizes=(20, 640), held_out=200, draws=2, steps=400)).numbers
    assert found["linear_few"] < found["mlp_few"]
    assert found["mlp_many"] < found["mlp_few"]
    assert found["linear_many"] < found["baseline"]


def test_few_folds_are_pessimistic_and_picking_epochs_flatters():
    found = whole(k_fold.measure(rows=16, pool=150, draws=8, epochs=60, counts=(2, 4), columns=5)).numbers
    assert found["members"] == 8 * (1 + 2 + 4 + 16)
    # By theory p / (n - p - 1) of the noise: 5/2 for 8 rows, 5/10 for 16.
    assert found["bias_2"] > found["bias_16"]
    for k in (2, 4, 16):
        assert found[f"flattered_{k}"] <= found[f"bias_{k}"]
    assert found["flattered_16"] < found["bias_16"] - 0.05


def test_three_models_are_compared_on_the_same_digits():
    found = whole(three_models.measure(rows=200, epochs=8, width=16, folds=2)).numbers
    assert min(found[name] for name in ("linear", "softmax", "mlp")) > 0.5
    output, target = torch.eye(3)[[0, 2]] * 2, torch.tensor([0, 1])
    # (2-1)² + (2² + 1²) over six outputs.
    assert three_models.squared_error_of_classes(output, target) == pytest.approx(1.0)


def test_a_plain_deep_net_starves_its_first_layer_and_a_residual_one_feeds_it():
    found = whole(residual.measure(depths=(3, 16), width=16, rows=200, epochs=2)).numbers
    assert found["reach_plain"] < 1e-3
    assert found["reach_residual"] > 0.1
    assert found["residual_deep"] > found["plain_deep"]


def test_an_lstm_with_a_long_memory_hands_on_what_an_rnn_loses():
    found = whole(lstm.measure(lengths=(5, 40), rows=64, held_out=100, width=8, epochs=3)).numbers
    assert found["reach_memory"] > 100 * found["reach_rnn"]
    x, y = lstm.first_sign(50, 7)
    assert x.shape == (50, 7, 2)
    assert ((x[:, 0, 0] > 0) == y).all()


@pytest.mark.slow
def test_house_prices_go_from_audit_to_exam_and_leave_the_readers_ledger_alone():
    import os

    from soundfit.data.ledger import LEDGER_VARIABLE

    before = os.environ[LEDGER_VARIABLE]
    found = whole(house_prices.measure(rows=300, epochs=8, width=8)).numbers
    assert os.environ[LEDGER_VARIABLE] == before
    assert found["openings"] == 1
    assert found["exam_low"] < found["exam"] < found["exam_high"]
    assert found["linear"] < found["baseline"]


def test_lessons_are_the_same_from_the_same_seed_and_leave_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = run_lesson("half-precision", seed=3)
    assert torch.rand(1) == expected
    again, other = run_lesson("half-precision", seed=3), run_lesson("half-precision", seed=4)
    assert first.numbers == again.numbers
    assert first.numbers != other.numbers


def test_a_lesson_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="try 'soundfit lesson dropout'"):
        entry_named("drop-out")


def test_a_chart_leaves_out_what_a_logarithm_cannot_show_and_keeps_it_in_the_table():
    figure = chart(
        "it",
        say("title"),
        say("sentence"),
        [Line(say("line"), [(0, 0.0), (1, 10.0), (2, float("nan"))])],
        x=say("x"),
        y=say("y"),
        log_y=True,
    )
    assert [p["x"] for p in figure.data["series"][0]["points"]] == [1.0]
    assert [row[1] for row in figure.rows] == ["0", "10", "–"]
    with pytest.raises(ValueError, match="at most 5 lines"):
        chart("it", say("a"), say("b"), [Line(say("l"), [])] * 6, x=say("x"), y=say("y"))


def test_every_lesson_has_a_name_of_its_own_and_an_experiment():
    names = [entry.name for entry in LESSONS]
    assert len(set(names)) == len(names)
    import importlib

    for name in names:
        assert callable(importlib.import_module(f"soundfit.lessons.{name.replace('-', '_')}").measure)


def test_lines_are_in_the_order_of_their_names_and_accuracy_is_the_share_of_right_answers():
    lines = lines_of({"b": say("plain"), "a": say("residual")}, {"a": {3: 0.5}, "b": {3: 0.25, 8: 0.5}})
    assert [(str(line.name), line.points) for line in lines] == [
        ("plain", [(3, 0.25), (8, 0.5)]),
        ("residual", [(3, 0.5)]),
    ]
    inputs = torch.eye(3).numpy()
    assert accuracy_on(torch.nn.Identity(), inputs, torch.tensor([0, 1, 0]).numpy()) == pytest.approx(2 / 3)
    broken = torch.nn.Linear(3, 3)
    torch.nn.init.constant_(broken.weight, float("nan"))
    assert math.isnan(accuracy_on(broken, inputs, torch.tensor([0, 1, 0]).numpy()))
