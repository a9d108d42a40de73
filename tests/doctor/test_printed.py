"""Scores read from what a script prints: labels, roles, percentages, ratios, tables; a stream that is
heard."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundfit.doctor.printed import Listener, printed_scores, score_to_judge_by, value_of


@pytest.mark.parametrize(
    ("text", "label", "value"),
    [
        ("epoch  2  train loss 0.41  valid acc 0.277", "valid acc", 0.277),
        ("Epoch 1: loss=0.5 acc=0.8 | test loss=.4 acc=.81", "test acc", 0.81),
        ("Test set: Average loss: 0.0302, Accuracy: 9800/10000 (98%)", "test accuracy", 0.98),
        ("Accuracy of the network on the 10000 test images: 54 %", None, 0.54),
        ("epoch train_loss val_acc\n1 0.5 0.88\n2 0.4 0.89", "val acc", 0.89),
        ("epoch | val_rmse | lr\n1 | 12.5 | 0.1", "val rmse", -12.5),
        ("Epoch [3/10] val_f1@5=0.5 train_f1@5=0.9", None, 0.5),
        ("MAE  4.2  R^2 .8", "r2", 0.8),
        ("mean reward 195.0 over 20", "mean reward", 195.0),
        ("epoch 4   loss -3.3   held-out AUC .4854", "held out auc", 0.4854),
        ("val acc: 81.5\nval acc: 93.0", "val acc", 0.93),
        ("epoch 2 triplet loss nan knn acc 0.1", "knn acc", 0.1),
        ("val acc 0.5 loss inf\nval acc nan loss nan", "val acc", 0.5),
        ("step 3 perplexity 41.0", "perplexity", -41.0),
        ("ep 1 test error 1e-2", "test error", -0.01),
    ],
)
def test_the_score_of_new_rows_is_found(text: str, label: str | None, value: float) -> None:
    found = score_to_judge_by(text)
    assert found is not None
    assert label is None or found.label == label
    assert value_of(text, found.label) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "epoch 3 loss 0.2", "train acc 0.9", "done in 3.2 s", "val loss 0.3", "lr 0.1"]
)
def test_what_says_nothing_of_new_rows_is_left_alone(text: str) -> None:
    assert score_to_judge_by(text) is None


def test_a_loss_of_new_rows_counts_where_it_may() -> None:
    found = score_to_judge_by("epoch 1 loss 0.2 val loss 0.3", losses=True)
    assert found is not None
    assert (found.label, found.kind) == ("val loss", "loss")
    assert score_to_judge_by("epoch 1 loss 0.2", losses=True) is None


@given(
    st.floats(0.0, 1.0),
    st.integers(0, 999),
    st.sampled_from(["val acc", "test F1", "held-out AUC", "dev accuracy"]),
)
def test_the_last_value_counts_wherever_it_stands(value: float, epoch: int, words: str) -> None:
    lines = [
        f"epoch {epoch}: loss 3.5 | {words} = 0.125",
        f"epoch {epoch + 1}: loss 1.5 | {words} = {value:.6f}",
        "done",
    ]
    found = score_to_judge_by("\n".join(lines))
    assert found is not None
    assert found.held_out
    assert len(found.values) == 2
    assert value_of("\n".join(lines), found.label) == pytest.approx(value, abs=1e-6)


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    printed_scores(text)


def test_a_stream_that_is_heard_is_written_all_the_same() -> None:
    stream = io.StringIO()
    heard = Listener(stream)
    print("val acc", 0.5, file=heard)  # type: ignore[call-overload]
    assert stream.getvalue() == heard.text() == "val acc 0.5\n"
    for _ in range(50):
        heard.write("x" * 100_000)
    heard.write("end")
    assert heard.text().endswith("end")
    assert len(heard.text()) <= 2_200_000
