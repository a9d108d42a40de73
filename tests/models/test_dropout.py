"""CounterDropout: the right rate, the right mean, a mask of (seed, step, position)."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import nn

from soundfit.models.dropout import CounterDropout, replace_dropout

N = 100_000


@pytest.mark.parametrize("p", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_drops_at_its_rate_and_keeps_the_mean(p: float) -> None:
    y = CounterDropout(p, seed=3)(torch.ones(N))
    dropped = int((y == 0).sum())
    assert stats.binomtest(dropped, N, p).pvalue > 1e-4 if p else dropped == 0
    torch.testing.assert_close(y[y != 0], torch.full((N - dropped,), 1 / (1 - p)))


def test_gradient_is_the_mask() -> None:
    x = torch.ones(1000, requires_grad=True)
    y = CounterDropout(0.4, seed=1)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach())


def test_each_step_has_a_mask_of_its_own_and_a_restart_repeats_it() -> None:
    a, b = CounterDropout(0.5, seed=1), CounterDropout(0.5, seed=1)
    x = torch.ones(64)
    first, second = a(x), a(x)
    assert not torch.equal(first, second)
    b.load_state_dict({**a.state_dict(), "step": torch.tensor(1, dtype=torch.int32)})
    assert torch.equal(b(x), second)
    assert not torch.equal(CounterDropout(0.5, seed=2)(x), first)


def test_evaluation_is_the_identity_and_counts_no_step() -> None:
    drop = CounterDropout(0.5).eval()
    x = torch.randn(5)
    assert drop(x) is x
    assert int(drop.step) == 0


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_a_rate_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        CounterDropout(p)


def test_replacement_keeps_rates_and_gives_each_layer_its_own_seed() -> None:
    net = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2)), nn.Dropout(0.3))
    assert replace_dropout(net, seed=4) == 3
    layers = [m for m in net.modules() if isinstance(m, CounterDropout)]
    assert [round(float(m.p), 3) for m in layers] == [0.1, 0.2, 0.3]
    assert len({int(m.seed) for m in layers}) == 3
    seeds = [int(m.seed) for m in layers]
    replace_dropout(net, seed=5)
    assert all(a != int(m.seed) for a, m in zip(seeds, layers, strict=True))


def test_half_precision_inputs_stay_half() -> None:
    assert CounterDropout(0.5)(torch.ones(8, dtype=torch.bfloat16)).dtype == torch.bfloat16
