"""References on generated tables: each finds the structure it is made for, and noise is bounded rightly."""

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.executors.processes import can_fork
from soundfit.study import references
from soundfit.study.references import measure_references
from soundfit.study.views import table_views


def _views(x, y, folds=5):
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    table = sf.read(frame.assign(y=y), target="y")
    return table_views(table, sf.split(table, folds=folds))


def _share(references, name):
    rows, trivial = references.rows[name], references.rows["trivial"]
    known = np.isfinite(rows)
    return rows[known].mean() / trivial[known].mean()


def test_a_ridge_finds_a_line_and_trees_find_a_product():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    line = measure_references(_views(x, x @ [1.0, -1.0, 0.5, 0.0] + 0.3 * rng.normal(size=500)))
    product = measure_references(_views(x, x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=500)))
    assert _share(line, "linear") < 0.06
    assert _share(line, "boosted-trees") > _share(line, "linear")
    assert _share(product, "linear") > 0.9
    assert _share(product, "boosted-trees") < 0.5


def test_nothing_predicts_noise():
    rng = np.random.default_rng(1)
    references = measure_references(_views(rng.normal(size=(400, 5)), rng.normal(size=400)))
    for name in ("linear", "boosted-trees", "neighbours"):
        assert _share(references, name) > 0.97


@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_equal_rows_measure_the_noise(noise):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 6, size=(900, 2)).astype(float)
    signal = np.sin(3.0 * x[:, 0]) + x[:, 1] % 2
    signal /= signal.std()
    # Unequal levels of noise beside the same signal: the share follows.
    y = signal + noise * rng.normal(size=900)
    floor = measure_references(_views(x, y), trees=False).floor
    assert floor.equal
    truth = noise**2 / (1.0 + noise**2)
    assert floor.share == pytest.approx(truth, abs=4 * floor.se + 0.02)


def test_near_rows_bound_the_noise_from_above():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(800, 2))
    y = np.sin(6.0 * x[:, 0]) + 0.3 * rng.normal(size=800)
    floor = measure_references(_views(x, y), trees=False).floor
    assert not floor.equal
    truth = 0.09 / y.var()
    assert truth - 4 * floor.se < floor.share < truth + 0.1


def test_classes_get_probabilities_and_a_stop_leaves_only_the_trivial_one():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, size=300)
    x = np.eye(3)[y] * 3 + rng.normal(size=(300, 3))
    views = _views(x, [f"k{v}" for v in y])
    references = measure_references(views)
    assert references.floor is None
    assert _share(references, "linear") < 0.3
    assert len(references.scores_K["boosted-trees"]) == 5
    stopped = measure_references(views, should_stop=lambda: True)
    assert set(stopped.scores_K) == {"trivial"}


@pytest.mark.skipif(not can_fork(), reason="no forked workers on this system")
def test_fits_in_workers_equal_fits_in_this_process(monkeypatch):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 3))
    views = _views(x, np.where(x[:, 0] + rng.normal(size=200) > 0, "a", "b"))
    here = measure_references(views)
    monkeypatch.setattr(references, "_WORTH_A_FORK", 0)
    monkeypatch.setattr(references, "default_workers", lambda device: 2)
    there = measure_references(views)
    assert here.scores_K.keys() == there.scores_K.keys() == {"trivial", "linear", "boosted-trees"}
    for name, rows in here.rows.items():
        np.testing.assert_array_equal(rows, there.rows[name])
