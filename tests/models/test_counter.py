"""Random numbers by counter: uniform, independent, of the right moments, the same wherever drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.func import vmap

from soundfit.models.counter import STRIDE, key_of, normal_like, stir, uniform16

N = 1 << 16


CHEAP = False


def key(seed: int, step: int) -> torch.Tensor:
    seed_, step_ = torch.tensor(stir(seed), dtype=torch.int32), torch.tensor(step, dtype=torch.int32)
    return seed_ + step_ * STRIDE if CHEAP else key_of(seed_, step_)


def draw(seed: int, step: int, n: int = N) -> torch.Tensor:
    return uniform16(key(seed, step), n)


@pytest.fixture(autouse=True, params=["mixed", "cheap"])
def _keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "CHEAP", request.param == "cheap")


def cells(values: torch.Tensor, n: int = 64) -> np.ndarray:
    return ((values.numpy().astype(np.int64) + 32768) * n // 65536).astype(np.int64)


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (1, 1), (0, 2), (12345, 999)])
def test_uniform(seed: int, step: int) -> None:
    counts = np.bincount(cells(draw(seed, step)), minlength=64)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-6
    # The low bits too, on which a rate near 0 depends.
    low = np.bincount(draw(seed, step).numpy().astype(np.int64) & 63, minlength=64)
    assert 1e-4 < stats.chisquare(low).pvalue < 1 - 1e-6


@pytest.mark.parametrize("other", [(0, 2), (0, 3), (1, 1), (2, 1), (1009, 1)])
def test_draws_of_other_steps_and_seeds_are_independent(other: tuple[int, int]) -> None:
    a, b = cells(draw(0, 1), 16), cells(draw(*other), 16)
    table = np.bincount(a * 16 + b, minlength=256).reshape(16, 16)
    assert stats.chi2_contingency(table).pvalue > 1e-4
    for shift in (1, 2, 64, 1024):
        table = np.bincount(a[shift:] * 16 + b[:-shift], minlength=256).reshape(16, 16)
        assert stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize("shift", [1, 2, 3, 16, 256])
def test_positions_are_independent(shift: int) -> None:
    a = cells(draw(3, 7), 16)
    table = np.bincount(a[shift:] * 16 + a[:-shift], minlength=256).reshape(16, 16)
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_seeds_and_steps_at_one_position_are_uniform() -> None:
    for values in (
        torch.stack([draw(s, 1, 2)[0] for s in range(4096)]),
        torch.stack([draw(0, t, 2)[0] for t in range(4096)]),
    ):
        assert stats.chisquare(np.bincount(cells(values, 16), minlength=16)).pvalue > 1e-4


def test_odd_lengths_and_batches_of_keys() -> None:
    assert torch.equal(draw(5, 5, 7), draw(5, 5, 8)[:7])
    keys = torch.stack([key(1, 4), key(2, 4)])
    together = vmap(lambda k: uniform16(k, 9))(keys)
    assert torch.equal(together[0], draw(1, 4, 9))
    assert torch.equal(together[1], draw(2, 4, 9))


def test_normal_moments() -> None:
    z = normal_like(key(4, 9), torch.empty(N))
    assert bool(torch.isfinite(z).all())
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    assert abs(float(stats.kurtosis(z.numpy()))) < 0.1


def test_stir_separates_neighbouring_seeds() -> None:
    stirred = [stir(s) for s in range(2000)]
    assert len(set(stirred)) == 2000
    assert all(0 <= s < 2**31 for s in stirred)
