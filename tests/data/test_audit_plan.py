"""With a plan the audit speaks of its rows, and the sealed test rows' targets change nothing it measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from soundfit.data.audit import audit
from soundfit.data.source import read
from soundfit.data.split import split
from soundfit.data.table import Table
from soundfit.errors import UsageError
from soundfit.records import Finding, Fold, Plan


def numbers(seed: int = 0, n: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(5)])
    return frame.assign(y=3 * x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * rng.normal(size=n))


def grouped(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    k = np.repeat(np.arange(100), 6)
    x = rng.normal(size=(100, 5)).round(3)
    frame = pd.DataFrame(x[k], columns=[f"mix{i}" for i in range(5)]).assign(age=rng.integers(1, 99, 600))
    frame["y"] = 5 * rng.normal(size=100)[k] + 0.02 * frame["age"] + 0.2 * rng.normal(size=600)
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def codes(findings: tuple[Finding, ...], severity: str | None = None) -> set[str]:
    return {f.code for f in findings if severity in (None, f.severity)}


def one_fold(table: Table, test: np.ndarray) -> Plan:
    rest = np.setdiff1d(np.arange(len(table)), test)
    half = len(rest) // 2
    return Plan("given", "made by hand", len(table), test, (Fold(rest[:half], rest[half:]),), 0)


def test_copies_that_stay_on_one_side_are_no_error() -> None:
    frame = numbers()
    table = read(pd.concat([frame, frame.iloc[:100]], ignore_index=True), target="y")
    assert "duplicate-rows" in codes(audit(table), "error")
    crossing = one_fold(table, np.arange(500, 600))
    found = next(f for f in audit(table, plan=crossing) if f.code == "duplicate-rows")
    assert found.severity == "error"
    assert found.evidence["share_crossing"] == 1.0
    rest = np.arange(200, 500)
    apart = Plan("given", "by hand", 600, np.r_[0:100, 500:600], (Fold(rest[:150], rest[150:]),), 0)
    apart = replace(apart, folds=(Fold(np.arange(100, 300), np.arange(300, 500)),))
    found = next(f for f in audit(table, plan=apart) if f.code == "duplicate-rows")
    assert found.severity != "error"
    assert found.evidence["share_crossing"] == 0.0


def test_a_group_split_settles_grouped_rows() -> None:
    table = read(grouped(), target="y")
    mix = tuple(f"mix{i}" for i in range(5))
    assert "grouped-rows" in codes(audit(table), "error")
    assert "grouped-rows" in codes(audit(table, plan=split(table, folds=5)), "error")
    assert "grouped-rows" not in codes(audit(table, group=mix))
    assert "grouped-rows" not in codes(audit(table, plan=split(table, folds=5, group=mix), group=mix))


def test_a_time_split_settles_time_order() -> None:
    frame = numbers().assign(date=pd.date_range("2020-01-01", periods=500))
    frame["y"] += np.cumsum(np.random.default_rng(1).normal(size=500))
    table = read(frame, target="y")
    assert "time-order" in codes(audit(table))
    assert "time-order" not in codes(audit(table, time="date"))
    assert "time-order" not in codes(audit(table, plan=split(table, time="date", folds=4)))


def test_the_targets_of_sealed_rows_change_nothing() -> None:
    frame = numbers(n=600).assign(zip=np.random.default_rng(2).integers(0, 90, 600).astype(str))
    frame["leak"] = 2 * frame["y"] + 1
    frame["te"] = frame.groupby("zip")["y"].transform("mean")
    frame.loc[frame["y"] > 3, "x4"] = np.nan
    table = read(frame, target="y")
    plan = split(table, folds=5)
    poisoned = table.target.copy()
    poisoned[plan.test] = 1e6 + np.arange(len(plan.test))
    before = audit(table, plan=plan)
    after = audit(replace(table, target=poisoned), plan=plan)
    assert {"target-leak", "missing-informative"} <= codes(before)
    assert [(f.code, f.severity, f.columns, f.message, dict(f.evidence)) for f in before] == [
        (f.code, f.severity, f.columns, f.message, dict(f.evidence)) for f in after
    ]


def test_drift_is_found_for_given_test_rows_only_where_there_is_some() -> None:
    frame = numbers(n=800)
    moved = frame.copy()
    moved.loc[600:, "x1"] += 2.0
    test = np.arange(600, 800)
    table, drifted = read(frame, target="y"), read(moved, target="y")
    assert "train-test-drift" not in codes(audit(table, plan=one_fold(table, test)))
    found = next(f for f in audit(drifted, plan=one_fold(drifted, test)) if f.code == "train-test-drift")
    assert found.severity == "warning"
    assert found.columns[0] == "x1"
    assert found.evidence["low"] < found.evidence["auc"] < found.evidence["high"]


def test_findings_are_sorted_worst_first_and_unique() -> None:
    frame = numbers().assign(leak=lambda f: f["y"] * 2, k=0)
    frame.loc[0, "k"] = 1
    frame.loc[1, "x3"] = np.inf
    table = read(frame, target="y")
    findings = audit(table)
    ranks = [("error", "warning", "note").index(f.severity) for f in findings]
    assert ranks == sorted(ranks)
    assert {f.code for f in table.findings} <= codes(findings)
    keys = [(f.code, frozenset(f.columns)) for f in findings]
    assert len(keys) == len(set(keys))
    assert all(len(f.rows) <= 20 for f in findings)


def test_rows_are_positions_in_the_file() -> None:
    frame = numbers()
    frame.loc[:9, "y"] = np.nan
    frame.loc[20, "x1"] = 1e5
    found = next(f for f in audit(read(frame, target="y")) if f.code == "outliers")
    assert found.rows == (20,)


def test_the_same_seed_gives_the_same_findings() -> None:
    table = read(grouped(), target="y")
    assert audit(table, seed=3) == audit(table, seed=3)


def test_no_time_left_leaves_the_findings_of_reading() -> None:
    frame = numbers().assign(leak=lambda f: f["y"] * 2, k=7)
    table = read(frame, target="y")
    assert codes(audit(table, budget_seconds=0.0)) == {"constant-column"}


def test_the_table_is_not_changed() -> None:
    table = read(grouped(), target="y")
    before, target = table.frame.copy(deep=True), table.target.copy()
    audit(table)
    pd.testing.assert_frame_equal(table.frame, before)
    np.testing.assert_array_equal(table.target, target)


def test_an_unknown_column_is_refused() -> None:
    table = read(numbers(), target="y")
    with pytest.raises(UsageError, match=r"--group names a column of the table.*'X0'.*did you mean 'x0'\?"):
        audit(table, group=("X0",))
    with pytest.raises(UsageError, match=r"--time names a column of the table"):
        audit(table, time="when")
    audit(table, time="row")
