"""Sequences: all forms of source give the same; what is unclear is refused in words; leaks are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.data.sequence_layout import Layout
from soundfit.data.sequence_overlap import find_overlap
from soundfit.data.sequence_source import MOST_STEPS, read_sequences
from soundfit.data.sequences import as_sequences, channel_statistics, summaries
from soundfit.errors import DataError, UsageError

N, T = 40, 9


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, T, 2)).astype(np.float32)
    return x, rng.integers(3, T + 1, N), (x[:, 0, 0] > 0).astype(int)


def _save(folder: Path, **arrays) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _expected(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    longest = int(lengths.max())
    steps = np.zeros((len(x), longest, x.shape[2] + 1), dtype=np.float32)
    for i, n in enumerate(lengths):
        steps[i, longest - n :, :-1] = x[i, :n]
        steps[i, longest - n :, -1] = 1.0
    return steps


def _long(x, lengths, y) -> pd.DataFrame:
    rows = [
        {"patient": f"p{i}", "hour": 2 * t, "a": x[i, t, 0], "b": x[i, t, 1], "y": y[i]}
        for i in range(len(x))
        for t in range(lengths[i])
    ]
    return pd.DataFrame(rows)


def test_npz_with_lengths_with_nan_padding_and_flat_give_the_same(tmp_path, made):
    x, lengths, y = made
    padded = x.copy()
    for i, n in enumerate(lengths):
        padded[i, n:] = np.nan
    flat = np.concatenate([x[i, :n] for i, n in enumerate(lengths)])
    for arrays in ({"X": x, "lengths": lengths}, {"X": padded}, {"X": flat, "lengths": lengths}):
        found = read_sequences(_save(tmp_path, y=y, **arrays))
        np.testing.assert_array_equal(found.steps, _expected(x, lengths))
        assert found.labels.tolist() == y.tolist()


def test_lists_in_parquet_and_text_in_csv_give_the_same(tmp_path, made):
    x, lengths, y = made
    own = [x[i, :n] for i, n in enumerate(lengths)]
    expected = _expected(x, lengths)
    frames = {
        "two": pd.DataFrame({"a": [s[:, 0] for s in own], "b": [s[:, 1] for s in own], "y": y}),
        "nested": pd.DataFrame({"m": [s.tolist() for s in own], "y": y}),
    }
    for frame in frames.values():
        frame.to_parquet(tmp_path / "t.parquet")
        np.testing.assert_array_equal(read_sequences(tmp_path / "t.parquet", target="y").steps, expected)
    text = frames["nested"].assign(m=frames["nested"]["m"].map(str))
    text.to_csv(tmp_path / "t.csv", index=False)
    np.testing.assert_allclose(read_sequences(tmp_path / "t.csv", target="y").steps, expected, rtol=1e-6)


def test_bare_text_is_a_sequence_only_where_it_is_named(tmp_path):
    frame = pd.DataFrame({"s": [f"{i} {i + 1} {i + 2}" for i in range(12)], "y": range(12)})
    with pytest.raises(UsageError, match="needs to be told what the sequences are"):
        read_sequences(frame, target="y")
    found = read_sequences(frame, target="y", sequence="s")
    assert found.steps[3, :, 0].tolist() == [3.0, 4.0, 5.0]


def test_numbers_beside_arrays_become_constant_channels(made):
    x, lengths, y = made
    frame = pd.DataFrame(
        {"a": [list(x[i, :n, 0]) for i, n in enumerate(lengths)], "age": np.arange(N) + 20.5, "y": y}
    )
    found = read_sequences(frame, target="y")
    assert found.layout.channels == ("a", "age")
    assert found.steps[5, -1, 1] == 25.5
    kept = read_sequences(frame, target="y", keep=("age",))
    assert kept.layout.channels == ("a",)
    assert kept.about["age"].tolist() == frame["age"].tolist()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_long_table_may_stand_in_any_order(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 5, 2)).astype(np.float32)
    lengths = rng.integers(1, 6, 12)
    y = np.arange(12) * 1.5
    frame = _long(x, lengths, y).sample(frac=1.0, random_state=seed)
    found = read_sequences(frame, target="y", sequence="patient", time="hour")
    order = [int(name[1:]) for name in found.about["patient"]]
    assert order == [int(name[1:]) for name in frame["patient"].drop_duplicates()]
    np.testing.assert_array_equal(found.steps, _expected(x, lengths)[order])
    assert found.labels.tolist() == y[order].tolist()


def test_new_data_are_read_as_the_training_data_were(made):
    x, lengths, y = made
    frame = _long(x, lengths, y).assign(ward=lambda f: np.where(f["a"] > 0, "north", "south"))
    found = read_sequences(frame, target="y", sequence="patient", time="hour")
    assert found.layout.channels == ("a", "b", "ward=north", "ward=south")
    layout = Layout.from_dict(found.layout.to_dict())
    few = frame[frame["patient"].isin(["p3", "p1"])].drop(columns="y")
    again = read_sequences(few, target="y", layout=layout)
    assert again.labels is None
    assert again.about["patient"].tolist() == ["p1", "p3"]
    np.testing.assert_array_equal(again.steps[1][-lengths[3] :], found.steps[3][-lengths[3] :])
    with pytest.raises(DataError, match="without 'ward'"):
        read_sequences(few.drop(columns="ward"), target="y", layout=layout)


def test_uneven_steps_are_told_and_counted():
    rng = np.random.default_rng(0)
    rows = [
        {"id": i, "when": t, "v": rng.normal(), "y": i % 2}
        for i in range(30)
        for t in range(10)
        if (i + t) % 17
    ]
    found = read_sequences(pd.DataFrame(rows), target="y", sequence="id", time="when")
    assert found.layout.channels == ("v", "time since the last step")
    assert found.layout.gap == 1.0
    assert any(
        code == "missing-steps" and "steps are missing" in message for code, _, message, _ in found.remarks
    )
    even = read_sequences(
        pd.DataFrame([r for r in rows if r["id"] % 17 > 10]), target="y", sequence="id", time="when"
    )
    assert even.layout.gap > 0 or even.layout.channels == ("v",)


def test_long_sequences_are_averaged_over_windows_and_say_so(tmp_path):
    x = np.arange(12 * 2 * MOST_STEPS, dtype=np.float32).reshape(12, -1)
    found = read_sequences(_save(tmp_path, X=x, y=np.arange(12)))
    assert found.steps.shape[1] == MOST_STEPS
    assert found.steps[0, 0, 0] == 0.5
    assert found.remarks[0][0] == "sequence-lengths"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target": "a", "sequence": "patient", "time": "hour"}, "one target.*several values in 40 of 40"),
        ({"target": "y"}, "needs to be told what the sequences are"),
        ({"target": "y", "sequence": "patient"}, "without --time"),
        ({"target": "y", "sequence": "pateint", "time": "hour"}, "did you mean 'patient'"),
        ({"target": "yy", "sequence": "patient", "time": "hour"}, "--target names a column"),
    ],
)
def test_what_is_unclear_is_refused_in_words(made, options, match):
    x, lengths, y = made
    with pytest.raises(UsageError, match=match):
        read_sequences(_long(x, lengths, y), **options)


def test_damaged_files_are_refused_in_words(tmp_path, made):
    x, lengths, y = made
    with pytest.raises(DataError, match="one target per sequence"):
        read_sequences(_save(tmp_path, X=x))
    with pytest.raises(DataError, match="Lengths fit"):
        read_sequences(_save(tmp_path, X=x, y=y, lengths=lengths + 50))
    np.savez(tmp_path / "o.npz", X=np.array([[1], [1, 2]], dtype=object), y=[0, 1])
    with pytest.raises(DataError, match="Python objects"):
        read_sequences(tmp_path / "o.npz")
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="is whole"):
        read_sequences(tmp_path / "b.npz")
    with pytest.raises(DataError, match="must exist"):
        read_sequences(tmp_path / "none.npz")
    uneven = pd.DataFrame({"a": [[1, 2]] * 12, "b": [[1, 2]] * 11 + [[1]], "y": range(12)})
    with pytest.raises(DataError, match="row 11 with 2 in 'a', 1 in 'b'"):
        read_sequences(uneven, target="y")


def test_statistics_are_those_of_the_given_rows_and_of_steps_that_are_there(made):
    x, lengths, _ = made
    steps = _expected(x, lengths)
    steps[4, -1, 0] = np.nan
    rows = np.array([1, 4, 7])
    own = np.concatenate([x[i, : lengths[i]] for i in rows]).astype(np.float64)
    own[lengths[1] + lengths[4] - 1, 0] = np.nan
    center, spread = channel_statistics(steps, rows)
    np.testing.assert_allclose(center, np.nanmean(own, axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread, np.nanstd(own, axis=0), rtol=1e-6)
    poisoned = steps.copy()
    poisoned[[0, 2, 3]] = 1e6
    np.testing.assert_array_equal(channel_statistics(poisoned, rows)[0], center)


def test_summaries_know_no_padding(made):
    x, lengths, _ = made
    frame = summaries(_expected(x, lengths), ("a", "b"))
    i = 7
    own = x[i, : lengths[i], 1]
    row = frame.iloc[i]
    assert row["length"] == lengths[i]
    expected = [own.mean(), own.std(), own.min(), own.max(), own[0], own[-1]]
    got = [row[f"b ({part})"] for part in ("mean", "deviation", "minimum", "maximum", "first", "last")]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_sequences_without_target_or_steps_are_left_out_and_told(tmp_path, made):
    x, lengths, y = made
    lengths[3] = 0
    target = y.astype(float) + 0.25
    target[5] = np.nan
    found = as_sequences(read_sequences(_save(tmp_path, X=x, y=target, lengths=lengths)))
    assert len(found) == N - 2
    assert {3, 5} & set(found.table.file_rows.tolist()) == set()
    assert {"missing-target", "empty-sequences"} <= {f.code for f in found.table.findings}


def test_copies_belong_together_and_conflicts_are_told(tmp_path, made):
    x, lengths, y = made
    x[10], lengths[10], y[10] = x[2], lengths[2], 1 - y[2]
    overlap = find_overlap(as_sequences(read_sequences(_save(tmp_path, X=x, y=y, lengths=lengths))))
    assert overlap.groups[10] == overlap.groups[2]
    assert len(np.unique(overlap.groups)) == N - 1
    assert [f.code for f in overlap.findings] == ["duplicate-rows", "label-conflict"]


def _windows(recordings: int, *, seed: int = 0) -> np.ndarray:
    signals = np.cumsum(np.random.default_rng(seed).normal(size=(recordings, 70)), axis=1)
    return np.concatenate([[s[i : i + 20] for i in range(0, 50, 5)] for s in signals])


def test_overlapping_windows_are_kept_together_by_recording(tmp_path):
    x = _windows(12)
    overlap = find_overlap(as_sequences(read_sequences(_save(tmp_path, X=x, y=np.arange(len(x)) * 1.0))))
    assert len(np.unique(overlap.groups)) == 12
    assert [(f.code, f.severity) for f in overlap.findings] == [("grouped-rows", "warning")]
    one = find_overlap(as_sequences(read_sequences(_save(tmp_path, X=_windows(1), y=np.arange(10) * 1.0))))
    assert [(f.code, f.severity) for f in one.findings] == [("grouped-rows", "error")]


@pytest.mark.parametrize("kind", ["bits", "noise", "pauses", "counts"])
def test_healthy_sequences_have_no_overlap(tmp_path, kind):
    rng = np.random.default_rng(3)
    x = {
        "bits": rng.integers(0, 2, (200, 40)),
        "noise": rng.normal(size=(200, 40)),
        "pauses": np.where(rng.random((200, 40)) < 0.7, 0.0, rng.normal(size=(200, 40))),
        "counts": rng.poisson(1.5, (200, 40)),
    }[kind]
    overlap = find_overlap(as_sequences(read_sequences(_save(tmp_path, X=x, y=rng.normal(size=200)))))
    assert not overlap.any
    assert overlap.findings == ()
