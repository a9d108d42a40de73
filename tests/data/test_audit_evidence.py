"""The measures behind the findings: hashes, chance, one-column skill, folds, crossing, names, clocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soundfit.data.audit.alone import explained
from soundfit.data.audit.chance import NO_COINCIDENCE, expected_twins, share_beyond_chance
from soundfit.data.audit.clock import find_clocks
from soundfit.data.audit.crossing import crossing_share
from soundfit.data.audit.evidence import block_folds, group_folds, row_folds
from soundfit.data.audit.hashes import cell_hashes, clusters, row_hashes, sizes
from soundfit.data.audit.names import clock_unit, names_individual, says_clock
from soundfit.data.audit.partners import find_partners
from soundfit.data.audit.view import Feature, View
from soundfit.data.source import read
from soundfit.records import Fold, Plan

cells = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60)


@given(cells)
def test_rows_share_a_cluster_exactly_when_they_are_equal(rows: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, dtype=np.int32) for column in zip(*rows, strict=True)]
    cluster = clusters(row_hashes(columns, len(rows)))
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            assert (cluster[i] == cluster[j]) == (one == other)
    assert sizes(cluster).tolist() == [rows.count(row) for row in rows]


@given(cells)
def test_a_column_can_be_taken_out_of_a_hash(rows: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, dtype=np.int32) for column in zip(*rows, strict=True)]
    whole = row_hashes(columns, len(rows))
    np.testing.assert_array_equal(whole - cell_hashes(columns[2], 2), row_hashes(columns[:2], len(rows)))


@given(st.lists(st.integers(0, 12), min_size=5, max_size=80), st.integers(2, 5))
def test_group_folds_keep_groups_whole(groups: list[int], k: int) -> None:
    group = np.unique(groups, return_inverse=True)[1]
    fold = group_folds(group, k, 0)
    for value in np.unique(group):
        assert len(np.unique(fold[group == value])) == 1
    assert set(fold) <= set(range(k))


@given(st.integers(5, 200), st.integers(2, 5))
def test_row_and_block_folds_have_equal_sizes(n: int, k: int) -> None:
    for fold in (row_folds(n, k, 0), block_folds(n, k)):
        counts = np.bincount(fold, minlength=k)
        assert counts.max() - counts.min() <= 1
    assert np.all(np.diff(block_folds(n, k)) >= 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=8, max_size=40), st.data())
def test_crossing_counts_examined_rows_with_a_twin(values: list[int], data: st.DataObject) -> None:
    cluster = np.unique(values, return_inverse=True)[1].astype(np.int64)
    n = len(values)
    test = np.array(
        sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 4))), dtype=np.int64
    )
    rest = np.setdiff1d(np.arange(n), test)
    fold = Fold(rest[::2], rest[1::2])
    share = crossing_share(cluster, Plan("given", "", n, test, (fold,), 0))
    of_test = np.mean([values[i] in {values[j] for j in rest} for i in test])
    of_fold = np.mean([values[i] in {values[j] for j in fold.train} for i in fold.validation])
    assert share == pytest.approx(max(of_test, of_fold))


def feature(values: NDArray[np.generic] | list[object], name: str = "f") -> Feature:
    series = pd.Series(values)
    return Feature(name, "numeric" if series.dtype.kind in "fi" else "categorical", True, series)


def test_one_column_skill_of_known_relations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    y = x**2 + rng.normal(size=2000)
    # Var(x²) = 2 and the noise has variance 1: two thirds can be explained.
    assert explained(x, y[:, None], rng) == pytest.approx(2 / 3, abs=0.05)
    assert explained(x, np.sin(3 * x)[:, None], rng) > 0.999
    assert abs(explained(x, rng.normal(size=(2000, 1)), rng)) < 0.1
    codes = rng.integers(0, 5, 2000).astype(float)
    effect = np.array([3.0, -1, 0, 5, 2])[codes.astype(int)]
    truth = effect.var() / (effect.var() + 1)
    noisy = (effect + rng.normal(size=2000))[:, None]
    assert explained(codes, noisy, rng, ordered=False) == pytest.approx(truth, abs=0.03)


def test_one_column_skill_is_not_fooled_by_the_order_of_ties() -> None:
    y = np.sort(np.random.default_rng(0).normal(size=1000))
    constant = np.r_[np.zeros(999), 1.0]
    assert explained(constant, y[:, None], np.random.default_rng(1)) < 0.05


def test_chance_explains_twins_of_dependent_columns_and_not_copies() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 5, 1500)
    dependent = [feature(np.where(rng.random(1500) < 0.85, z, rng.integers(0, 5, 1500))) for _ in range(9)]
    twin_sizes = sizes(clusters(row_hashes((f.codes for f in dependent), 1500)))
    chance = expected_twins(dependent, 1500, twin_sizes, 0, neighbours=True).log_expected
    assert (twin_sizes > 1).mean() > 0.3
    assert share_beyond_chance(twin_sizes > 1, chance, twin_sizes) < 0.05

    rows = np.r_[np.arange(1200), rng.choice(1200, 300, replace=False)]
    copied = [feature(rng.normal(size=1200)[rows]) for _ in range(4)]
    twin_sizes = sizes(clusters(row_hashes((f.codes for f in copied), 1500)))
    chance = expected_twins(copied, 1500, twin_sizes, 0, neighbours=True).log_expected
    assert np.all(chance < NO_COINCIDENCE)
    different = len({tuple(row) for row in np.stack([f.codes for f in copied], axis=1).tolist()})
    assert different == 1200
    assert share_beyond_chance(twin_sizes > 1, chance, twin_sizes) == pytest.approx(300 / 1200)


def test_partners_find_the_row_that_differs_in_one_cell() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 30, (400, 8))
    x[200:] = x[:200]
    x[np.arange(200, 400), rng.integers(0, 8, 200)] = 99
    features = tuple(feature(column) for column in x.T)
    found = find_partners(features, np.arange(400), 0)
    partner = dict(zip(found.row.tolist(), found.partner.tolist(), strict=True))
    assert np.mean([partner.get(i) == (i + 200) % 400 for i in range(400)]) > 0.95
    assert np.median(found.equal_PF.sum(axis=1)) == 7


@pytest.mark.parametrize(
    "name", ["patient_id", "PatientID", "user", "Users", "subject", "customerId", "uid", "mouse"]
)
def test_names_of_individuals(name: str) -> None:
    assert names_individual(name)


@pytest.mark.parametrize(
    "name", ["age", "width", "fluid", "Neighborhood", "paid", "acid", "user_rating", "solid"]
)
def test_names_of_no_individual(name: str) -> None:
    assert not names_individual(name)


def test_names_of_clocks() -> None:
    assert says_clock("date")
    assert says_clock("Yr.Sold")
    assert not says_clock("year_built")
    assert not says_clock("birth_date")
    assert not says_clock("runtime")
    assert [clock_unit(n) for n in ("year", "mnth", "hr", "Mo_Sold", "Second_Flr_SF", "weekday")] == [
        0,
        2,
        5,
        2,
        None,
        None,
    ]


def clock_of(frame: pd.DataFrame) -> tuple[str, str, bool]:
    table = read(frame, target="y")
    view = View(table, plan=None, group=(), time=None, seed=0, deadline=None)
    first = find_clocks(view)[0]
    return first.kind, first.time, first.in_file_order


def test_clocks_are_read_from_columns_or_the_file() -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2019-01-01", periods=600)
    frame = pd.DataFrame({"x": rng.normal(size=600), "y": rng.normal(size=600)})
    assert clock_of(frame) == ("file", "row", True)
    dated = frame.assign(when=days)
    assert clock_of(dated) == ("date", "when", True)
    assert clock_of(dated.sample(frac=1, random_state=0)) == ("date", "when", False)
    parts = frame.assign(year=days.year, month=days.month, day=days.day)
    assert clock_of(parts) == ("calendar", "row", True)
    assert clock_of(parts[::-1]) == ("calendar", "year", True)
    named = frame.assign(mnth=days.strftime("%b"), day=np.arange(600) % 365 + 1)[:365]
    assert clock_of(named) == ("calendar", "day", True)
    assert clock_of(frame.assign(year_built=np.sort(rng.integers(1900, 2000, 600)))) == ("file", "row", True)
