"""Splits: the rules that hold for every table, and the words for what cannot be done."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundfit.data.split import nested, split, split_frame
from soundfit.data.table import Column, Table
from soundfit.errors import DataError, UsageError
from soundfit.records import Plan

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def table_of(
    n_rows: int,
    *,
    n_classes: int = 0,
    seed: int = 0,
    columns: dict[str, Any] | None = None,
    target: Any = None,
) -> Table:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n_rows), **(columns or {})})
    if target is None:
        target = rng.integers(0, n_classes, n_rows) if n_classes else rng.lognormal(size=n_rows)
    return Table(
        frame=frame,
        target=np.asarray(target),
        target_name="y",
        task="classification" if n_classes else "regression",
        classes=tuple(f"class {i}" for i in range(n_classes)),
        columns=tuple(Column(str(name), "numeric") for name in frame),
        file_rows=np.arange(n_rows, dtype=np.int64),
        n_file_rows=n_rows,
        source="<DataFrame>",
        sha256="",
    )


def assert_sound(plan: Plan) -> None:
    """Rows are in one role, ascending, and each fold's two sides are apart and not empty."""
    everything = np.concatenate([plan.train, plan.test, plan.left_out])
    assert sorted(everything) == list(range(plan.n_rows))
    assert len(plan.test)
    for fold in plan.folds:
        assert len(fold.train)
        assert len(fold.validation)
        for rows in (fold.train, fold.validation, plan.test):
            assert np.all(np.diff(rows) > 0)
        assert not np.intersect1d(fold.train, fold.validation).size
        assert not np.intersect1d(np.concatenate([fold.train, fold.validation]), plan.test).size
        assert not np.intersect1d(np.concatenate([fold.train, fold.validation]), plan.left_out).size


def assert_validated_once(plan: Plan) -> None:
    assert sorted(np.concatenate([fold.validation for fold in plan.folds])) == plan.train.tolist()
    for fold in plan.folds:
        assert len(fold.train) + len(fold.validation) == len(plan.train)


# ---- properties ---------------------------------------------------------------------------------


@given(
    n_rows=st.integers(20, 400),
    k=st.integers(2, 12),
    n_classes=st.sampled_from([0, 2, 3, 7]),
    test=st.floats(0.05, 0.4),
    stratify=st.sampled_from([None, True, False]),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_every_row_outside_the_exam_is_validated_exactly_once(
    n_rows: int, k: int, n_classes: int, test: float, stratify: bool | None, seed: int
) -> None:
    table = table_of(n_rows, n_classes=n_classes, seed=seed)
    plan = split(table, folds=k, test=test, stratify=stratify, seed=seed)
    assert len(plan.folds) == k
    assert_sound(plan)
    assert_validated_once(plan)
    assert len(plan.test) == round(test * n_rows)
    sizes = [len(fold.validation) for fold in plan.folds]
    assert max(sizes) - min(sizes) <= 1


@given(
    counts=st.lists(st.integers(1, 80), min_size=2, max_size=6),
    k=st.integers(2, 10),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_strata_are_within_one_row_of_their_share(counts: list[int], k: int, seed: int) -> None:
    counts = [*counts, 20]
    target = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    plan = split(table_of(len(target), n_classes=len(counts), target=target), folds=k, seed=seed)
    assert_validated_once(plan)
    for code, count in enumerate(counts):
        in_test = np.sum(target[plan.test] == code)
        share = count * len(plan.test) / len(target)
        assert abs(in_test - share) <= 1
        per_fold = [np.sum(target[fold.validation] == code) for fold in plan.folds]
        assert all(abs(n - (count - in_test) / k) < 1 for n in per_fold)
        assert count > 1 or in_test == 0


@given(n_rows=st.integers(60, 400), k=st.integers(2, 8), seed=st.integers(0, 10_000))
@QUICK
def test_each_fold_of_a_numeric_target_spans_its_range(n_rows: int, k: int, seed: int) -> None:
    table = table_of(n_rows, seed=seed)
    plan = split(table, folds=k, seed=seed)
    assert plan.kind == "stratified"
    middle = np.median(table.target[plan.train])
    below = [np.sum(table.target[fold.validation] < middle) / len(fold.validation) for fold in plan.folds]
    # Ten bins, each within one row of its share in a fold.
    slack = 10 / min(len(fold.validation) for fold in plan.folds)
    assert max(abs(b - 0.5) for b in below) <= slack


@given(
    n_groups=st.integers(3, 40),
    n_rows=st.integers(60, 300),
    n_classes=st.sampled_from([0, 2, 4]),
    two=st.booleans(),
    k=st.sampled_from(["auto", "holdout", 2, 3]),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_no_group_is_on_two_sides(
    n_groups: int, n_rows: int, n_classes: int, two: bool, k: int | str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.full(n_groups, 0.5))
    group = np.r_[np.arange(n_groups), rng.choice(n_groups, size=n_rows, p=weight)]
    columns = {"a": [f"g{g // 2}" for g in group], "b": group % 2, "g": group}
    names = ("a", "b") if two else ("g",)
    table = table_of(len(group), n_classes=n_classes, seed=seed, columns=columns)
    if k == 3 and n_groups < 5:
        k = 2
    plan = split(table, folds=k, group=names, seed=seed)
    assert plan.group == names
    assert_sound(plan)
    if k != "holdout":
        assert_validated_once(plan)
    assert not np.intersect1d(group[plan.test], group[plan.train]).size
    assert len(np.unique(group[plan.test])) == min(max(1, round(0.2 * n_groups)), n_groups - 2)
    for fold in plan.folds:
        assert not np.intersect1d(group[fold.train], group[fold.validation]).size


@given(
    n_rows=st.integers(30, 300),
    n_times=st.integers(8, 200),
    k=st.sampled_from(["auto", "holdout", 2, 3, 5]),
    gap=st.integers(0, 2),
    as_date=st.booleans(),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_time_never_goes_backward(
    n_rows: int, n_times: int, k: int | str, gap: int, as_date: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    time = np.r_[np.arange(n_times), rng.integers(0, n_times, n_rows)]
    time = rng.permutation(time)
    column = pd.Timestamp("2020-01-01") + pd.to_timedelta(time, unit="D") if as_date else time
    table = table_of(len(time), seed=seed, columns={"when": column})
    try:
        plan = split(table, folds=k, time="when", gap=gap, seed=seed)
    except UsageError as error:
        # A few heavy times may leave too few of them: refused in words, never split wrongly.
        if n_times >= 40:
            raise AssertionError("refused though there are times enough") from error
        return
    assert plan.kind == "time"
    assert_sound(plan)
    assert time[plan.train].max() + gap < time[plan.test].min()
    assert gap or not len(plan.left_out)
    for fold in plan.folds:
        assert time[fold.train].max() + gap < time[fold.validation].min()
    validated = np.concatenate([fold.validation for fold in plan.folds])
    assert len(validated) == len(set(validated))
    never = np.setdiff1d(plan.train, validated)
    assert time[never].max() < time[validated].min()  # the first block alone
    for one, following in pairwise(plan.folds):
        assert time[one.validation].max() < time[following.validation].min()
        assert set(one.train) < set(following.train)


@given(
    n_groups=st.integers(12, 60),
    life=st.sampled_from([3.0, 30.0, 1000.0]),
    k=st.sampled_from(["auto", 2, 3]),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_time_and_group_hold_together(n_groups: int, life: float, k: int | str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(n_groups), 20))
    birth = rng.uniform(0, 100, n_groups)
    time = np.round(birth[group] + rng.uniform(0, life, len(group)))
    table = table_of(len(group), seed=seed, columns={"g": group, "t": time})
    plan = split(table, folds=k, group="g", time="t", seed=seed)
    assert plan.kind == "group-time"
    assert_sound(plan)
    assert not np.intersect1d(group[plan.train], group[plan.test]).size
    assert time[plan.train].max() < time[plan.test].min()
    for fold in plan.folds:
        assert not np.intersect1d(group[fold.train], group[fold.validation]).size
        assert time[fold.train].max() < time[fold.validation].min()
    validated = np.concatenate([fold.validation for fold in plan.folds])
    assert len(validated) == len(set(validated))


@given(kind=st.sampled_from(["plain", "classes", "group", "time", "both"]), seed=st.integers(0, 1_000))
@QUICK
def test_the_same_seed_gives_the_same_plan_and_another_another(kind: str, seed: int) -> None:
    group = np.arange(400) // 4
    table = table_of(
        400, n_classes=3 if kind == "classes" else 0, columns={"g": group, "t": np.arange(400) % 97}
    )
    options: dict[str, Any] = {}
    if kind in ("group", "both"):
        options["group"] = "g"
    if kind in ("time", "both"):
        options["time"] = "t"
    one, again = (split(table, seed=seed, **options) for _ in range(2))
    other = split(table, seed=seed + 1, **options)
    assert one.reason == again.reason
    assert one.test.tolist() == again.test.tolist()
    for a, b in zip(one.folds, again.folds, strict=True):
        assert a.train.tolist() == b.train.tolist()
        assert a.validation.tolist() == b.validation.tolist()
    if kind in ("plain", "classes", "group"):
        assert one.test.tolist() != other.test.tolist()


@given(
    n_rows=st.integers(100, 300),
    kind=st.sampled_from(["plain", "group", "time", "both"]),
    inner=st.sampled_from(["auto", 2, 4]),
    gap=st.sampled_from([0, 3]),
    seed=st.integers(0, 10_000),
)
@QUICK
def test_inner_plans_see_nothing_of_outer_validation_or_exam(
    n_rows: int, kind: str, inner: int | str, gap: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 40, n_rows)
    time = rng.integers(0, 500, n_rows) + group * (20 if kind == "both" else 0)
    table = table_of(n_rows, n_classes=2, seed=seed, columns={"g": group, "t": time})
    options: dict[str, Any] = {}
    if kind in ("group", "both"):
        options["group"] = "g"
    if kind in ("time", "both"):
        options |= {"time": "t", "gap": gap}
    outer = split(table, folds=3, seed=seed, **options)
    try:
        plans = nested(outer, table, inner=inner)
    except UsageError as error:
        if kind in ("plain", "group") or "outer fold" not in str(error):
            raise
        return
    assert len(plans) == 3
    for plan, fold in zip(plans, outer.folds, strict=True):
        assert_sound(plan)
        assert plan.test.tolist() == fold.validation.tolist()
        assert plan.train.tolist() == fold.train.tolist()
        if "time" not in options:
            assert_validated_once(plan)
        for one in plan.folds:
            if "time" in options:
                assert time[one.train].max() + gap < time[one.validation].min()
            if "group" in options:
                assert not np.intersect1d(group[one.train], group[one.validation]).size


# ---- choices of auto ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_rows", "n_folds"), [(100, 10), (1_248, 10), (1_250, 5), (24_998, 5), (25_000, 1)], ids=str
)
def test_auto_takes_ten_five_or_one_by_the_training_rows(n_rows: int, n_folds: int) -> None:
    plan = split(table_of(n_rows))
    assert len(plan.folds) == n_folds
    assert plan.kind == ("holdout" if n_folds == 1 else "stratified")
    assert f"{len(plan.train):,} row" in plan.reason
    assert f"{len(plan.test):,} rows (20%)" in plan.reason
    assert "auto" in plan.reason


def test_a_holdout_validates_a_fifth() -> None:
    plan = split(table_of(1_000), folds="holdout")
    assert_sound(plan)
    assert [len(fold.validation) for fold in plan.folds] == [160]


def test_few_groups_are_folded_even_where_rows_are_many() -> None:
    many = split(table_of(30_000, columns={"g": np.arange(30_000) % 20}), group="g")
    assert len(many.folds) == 5
    assert "the groups are few" in many.reason
    assert len(split(table_of(30_000, columns={"g": np.arange(30_000) % 500}), group="g").folds) == 1
    assert len(split(table_of(300, columns={"g": np.arange(300) % 4}), group="g").folds) == 3


def test_kinds_are_named() -> None:
    columns = {"g": np.arange(200) % 20, "t": np.arange(200)}
    numbers, classes = table_of(200, columns=columns), table_of(200, n_classes=2, columns=columns)
    assert split(numbers, stratify=False).kind == "k-fold"
    assert split(numbers, group="g").kind == "group"
    assert split(classes, group="g").kind == "stratified-group"
    assert split(classes, group="g", stratify=False).kind == "group"
    assert split(classes, time="t").kind == "time"
    assert split(classes, test_rows=[0, 1, 2]).kind == "given"


def test_stratified_groups_keep_the_class_shares_where_they_can() -> None:
    group = np.repeat(np.arange(100), 5)
    table = table_of(500, n_classes=2, columns={"g": group}, target=(group % 4 == 0).astype(int))
    plan = split(table, group="g", folds=5)
    for rows in [plan.test, *(fold.validation for fold in plan.folds)]:
        assert abs(table.target[rows].mean() - 0.25) <= 0.06


def test_a_class_rarer_than_the_folds_is_spread_and_named() -> None:
    target = np.r_[np.zeros(90, int), np.ones(6, int), [2]]
    plan = split(table_of(97, n_classes=3, target=target), folds=10)
    assert_validated_once(plan)
    assert max(np.sum(target[fold.validation] == 1) for fold in plan.folds) == 1
    assert "class 1 (5), class 2 (1)" in plan.reason


def test_classes_that_are_all_rare_are_still_dealt() -> None:
    target = np.arange(40) % 20
    plan = split(table_of(40, n_classes=20, target=target), folds=10)
    assert_validated_once(plan)


def test_a_huge_group_does_not_become_the_exam() -> None:
    group = np.r_[np.zeros(900, int), np.arange(1, 101)]
    for seed in range(5):
        plan = split(table_of(1_000, columns={"g": group}), group="g", seed=seed)
        assert 0 not in group[plan.test]


def test_rows_without_a_group_stay_together() -> None:
    group = [None if i % 3 == 0 else f"g{i % 31}" for i in range(300)]
    plan = split(table_of(300, columns={"g": group}), group="g")
    unknown = np.arange(300) % 3 == 0
    assert unknown[plan.test].all() or not unknown[plan.test].any() or not unknown[plan.train].any()
    assert not (unknown[plan.test].any() and unknown[plan.train].any())


def test_a_numeric_target_has_no_say_in_which_rows_are_the_exam() -> None:
    table = table_of(200)
    plan = split(table)
    poisoned = table.target.copy()
    poisoned[plan.test] = 1e12
    again = split(replace(table, target=poisoned))
    assert again.test.tolist() == plan.test.tolist()
    for a, b in zip(plan.folds, again.folds, strict=True):
        assert a.validation.tolist() == b.validation.tolist()


# ---- time ---------------------------------------------------------------------------------------


def test_file_order_is_a_time() -> None:
    table = replace(table_of(100), file_rows=np.arange(100, dtype=np.int64) * 2)
    plan = split(table, time="row", folds=4)
    assert plan.test.tolist() == list(range(80, 100))
    assert [fold.validation[0] for fold in plan.folds] == [16, 32, 48, 64]
    assert "file order" in plan.reason


@pytest.mark.parametrize(
    "dates",
    [
        [f"2021-{m:02d}-{d:02d}" for m in range(1, 11) for d in range(1, 11)],
        [f"{d:02d}/{m:02d}/2021" for m in range(1, 11) for d in range(11, 21)],
        [f"2021-{m:02d}-{d:02d}T12:00:00+0{1 + (m > 5)}:00" for m in range(1, 11) for d in range(1, 11)],
        [str(m * 100 + d) for m in range(1, 11) for d in range(1, 11)],
    ],
    ids=["iso", "day first", "offsets", "numbers as text"],
)
def test_dates_as_text_are_read(dates: list[str]) -> None:
    shuffled = np.random.default_rng(0).permutation(100)
    table = table_of(100, columns={"when": [dates[i] for i in shuffled]})
    plan = split(table, time="when")
    assert sorted(shuffled[plan.test]) == list(range(80, 100))


def test_a_gap_may_be_a_span_of_time() -> None:
    days = pd.date_range("2024-01-01", periods=100, freq="12h")
    plan = split(table_of(100, columns={"when": days}), time="when", gap="7d", folds=3)
    for fold in plan.folds:
        assert days[fold.validation[0]] - days[fold.train[-1]] == pd.Timedelta(days=7)
    assert days[plan.test[0]] - days[plan.train[-1]] == pd.Timedelta(days=7)
    assert "A gap of 7 days" in plan.reason


def test_a_panel_trains_on_some_groups_and_examines_others() -> None:
    store, day = np.divmod(np.arange(20 * 50), 50)
    plan = split(table_of(1_000, columns={"store": store, "day": day}), group="store", time="day", folds=2)
    assert len(np.unique(store[plan.test])) == 10
    assert len(np.unique(store[plan.train])) == 10
    assert "left out" in plan.reason


# ---- given folds and test rows ------------------------------------------------------------------


def test_a_fold_column_is_honoured() -> None:
    label = np.r_[np.repeat(["b", "a", "c"], 20), np.repeat([" Test "], 15)]
    table = table_of(75, columns={"fold": label})
    plan = split(table, fold_column="fold")
    assert_sound(plan)
    assert_validated_once(plan)
    assert plan.kind == "given"
    assert plan.test.tolist() == list(range(60, 75))
    assert [fold.validation[0] for fold in plan.folds] == [20, 0, 40]
    assert "'fold'" in plan.reason
    inner = nested(plan, table)
    assert [sorted(set(label[one.validation])) for one in inner[0].folds] == [["b"], ["c"]]


def test_a_fold_column_without_test_seals_its_last_folds() -> None:
    plan = split(table_of(100, columns={"fold": np.arange(100) % 10}), fold_column="fold")
    assert sorted({row % 10 for row in plan.test}) == [8, 9]
    assert len(plan.folds) == 8
    assert_validated_once(plan)


def test_a_fold_column_of_roles_is_one_holdout() -> None:
    role = np.array(["train"] * 60 + ["val"] * 20 + ["test"] * 20)
    table = table_of(100, columns={"role": role})
    plan = split(table, fold_column="role")
    assert_sound(plan)
    assert [len(fold.validation) for fold in plan.folds] == [20]
    assert split_frame(plan, table)["role"].tolist() == ["train"] * 60 + ["validation"] * 20 + ["test"] * 20


def test_given_test_rows_are_the_exam() -> None:
    table = table_of(100)
    plan = split(table, test_rows=[7, 3, 99], test=0.5, folds=5)
    assert plan.test.tolist() == [3, 7, 99]
    assert_validated_once(plan)
    mask = np.zeros(100, dtype=bool)
    mask[[3, 7, 99]] = True
    assert split(table, test_rows=mask, folds=5).test.tolist() == [3, 7, 99]
    assert "given as test rows" in plan.reason


# ---- split.parquet ------------------------------------------------------------------------------


@given(n_rows=st.integers(20, 120), seed=st.integers(0, 1_000))
@QUICK
def test_the_split_frame_speaks_of_rows_in_the_file(n_rows: int, seed: int) -> None:
    file_rows = np.sort(np.random.default_rng(seed).choice(500, n_rows, replace=False)).astype(np.int64)
    table = replace(table_of(n_rows, seed=seed), file_rows=file_rows, n_file_rows=500)
    plan = split(table, folds=4, seed=seed)
    frame = split_frame(plan, table)
    assert frame["row"].tolist() == file_rows.tolist()
    assert str(frame["fold"].dtype) == "Int64"
    by_row = frame.set_index("row")
    assert (by_row.loc[file_rows[plan.test], "role"] == "test").all()
    assert by_row.loc[file_rows[plan.test], "fold"].isna().all()
    for i, fold in enumerate(plan.folds):
        assert (by_row.loc[file_rows[fold.validation], "fold"] == i).all()
        assert (by_row.loc[file_rows[fold.validation], "role"] == "train").all()


def test_the_split_frame_of_time_leaves_the_first_block_without_a_fold() -> None:
    table = table_of(60)
    frame = split_frame(split(table, time="row", folds=2, gap=3), table)
    assert len(frame) == 57  # the gap before the exam is in no role
    assert frame.loc[frame["role"] == "train", "fold"].isna().sum() == 15


# ---- refusals -----------------------------------------------------------------------------------

COLUMNS = {
    "g": np.arange(60) % 6,
    "one": np.zeros(60),
    "t": np.arange(60),
    "word": ["soon"] * 30 + ["then"] * 30,
    "hole": [np.nan] + [1.0] * 59,
    "id": [f"i{i}" for i in range(60)],
    "mixed": ["train"] * 30 + ["3"] * 30,
    "pair": np.arange(60) % 2,
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"folds": 1},
        "with one, nothing is left to train on. Received: 1 fold. Fix: use 2 or more, or `auto`",
    ),
    ({"folds": 0}, "Received: 0 folds."),
    ({"folds": "many"}, "The number of folds is a whole number, `auto` or `holdout`. Received: 'many'."),
    ({"folds": 2.5}, "Received: 2.5."),
    ({"folds": True}, "Received: True."),
    ({"folds": 100}, "at most as many folds as training rows. Received: 100 folds for a table of 60 rows"),
    ({"folds": 50}, "Received: 50 folds for 48 training rows"),
    ({"test": 0}, "Some rows are kept for the exam"),
    ({"test": 0.95}, "The test fraction is a number above 0 and below 0.9. Received: 0.95."),
    ({"test": -0.1}, "Received: -0.1."),
    ({"test": "a lot"}, "Received: 'a lot'."),
    ({"test": float("nan")}, "Received: nan."),
    ({"group": "G"}, "The group option names a column of the table. Received: 'G'. Fix: did you mean 'g'?"),
    ({"group": "y"}, "never the target. Received: group 'y', which is also the target"),
    ({"group": "one"}, "at least 3 groups: one for the exam and two for the folds. Received: 1 group."),
    ({"group": "pair"}, "Received: 2 groups."),
    (
        {"group": "g", "folds": 6},
        "at least one whole group. Received: 6 folds for 5 groups outside the test rows. Fix: use at most 5",
    ),
    ({"time": "T1"}, "The time option names a column of the table. Received: 'T1'."),
    ({"time": "y"}, "Received: time 'y', which is also the target"),
    (
        {"time": "word"},
        "holds dates or numbers. Received: 'word' with values such as 'soon'.",
    ),
    (
        {"time": "hole"},
        "Every row needs a time to be split by time. Received: 1 of 60 rows without a value in 'hole'.",
    ),
    (
        {"time": "one"},
        "at least 3 different times: for training, validation and the exam. Received: 1 different time.",
    ),
    (
        {"time": "g", "folds": 5},
        "one more different time than folds: each trains on what came before. Received: 5 folds for 5",
    ),
    ({"time": "t", "stratify": True}, "cannot be stratified"),
    (
        {"time": "t", "gap": 60},
        "The gap leaves at least two different times before the test rows. Received: a gap of 60",
    ),
    (
        {"time": "t", "gap": 15, "folds": 5},
        "by at least the gap. Received: a gap of 15 that leaves fold 1 of 5 without",
    ),
    ({"time": "t", "gap": "7d"}, "or, where the time column holds dates, a span. Received: '7d'."),
    ({"time": "t", "gap": -1}, "The gap is a whole number of times, 0 or more. Received: -1."),
    ({"gap": 2}, "Received: a gap of 2 without a time. Fix: name a time column, or use time='row'"),
    (
        {"fold_column": "g", "folds": 3},
        "decides the folds alone. Received: the fold column 'g' together with a number of folds",
    ),
    ({"fold_column": "g", "group": "one", "time": "t"}, "together with a group and a time."),
    (
        {"fold_column": "id"},
        "A fold column has few different values, one a fold. Received: 'id' with 60 different values",
    ),
    ({"fold_column": "hole"}, "Every row needs a fold. Received: 1 of 60"),
    ({"fold_column": "mixed"}, "either fold numbers, or the words train, validation and test."),
    ({"fold_column": "one"}, "at least two folds besides the test rows."),
    ({"fold_column": "pair"}, "Fix: number three or more folds, or mark rows with the word `test`"),
    ({"fold_column": "nope"}, "The fold option names a column"),
    ({"test_rows": [60]}, "positions in the table, from 0 to 59. Received: 60 to 60."),
    ({"test_rows": []}, "Received: none."),
    (
        {"test_rows": range(58)},
        "at least 5 rows: for the exam and for two folds. Received: 2 rows outside the test rows",
    ),
    (
        {"test_rows": [0, 1], "group": "g"},
        "No group is both in the test rows and outside them. Received: 2 groups",
    ),
    ({"test_rows": [30], "time": "t"}, "later than the other rows. Received: 29 training rows at or after"),
    ({"seed": -1}, "The seed is a whole number, 0 or more. Received: -1."),
]


@pytest.mark.parametrize(("options", "text"), REFUSED, ids=[str(options) for options, _ in REFUSED])
def test_what_cannot_be_split_is_refused_in_words(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(table_of(60, columns=COLUMNS), **options)
    assert text in str(caught.value)
    assert caught.value.fix


def test_three_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"A split needs at least 5 rows.*Received: 3 rows with a target"):
        split(table_of(3))


def test_five_rows_are_split() -> None:
    plan = split(table_of(5))
    assert (len(plan.test), len(plan.folds)) == (1, 2)
    assert_validated_once(plan)


def test_inner_folds_are_at_least_two() -> None:
    table = table_of(60)
    with pytest.raises(UsageError, match="Inner cross-validation needs at least 2 folds"):
        nested(split(table), table, inner=1)


def test_an_outer_fold_that_cannot_be_split_again_is_named() -> None:
    table = table_of(60, columns={"t": np.arange(60) // 15})
    plan = split(table, time="t", folds=2)
    with pytest.raises(UsageError, match="in outer fold 1 of 2"):
        nested(plan, table)
