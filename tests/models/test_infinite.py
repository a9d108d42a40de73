"""The kernel of infinitely wide nets is what wide nets of random weights have."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.models.infinite import BIAS_VARIANCE, InfiniteMlp, infinite_kernel


def _wide(n_inputs, depth, width, seed):
    """A net under the neural-tangent parametrisation, of variances 2/fan-in (1/F in the first layer)."""
    torch.manual_seed(seed)
    sizes = [n_inputs, *[width] * depth, 1]
    weights = [torch.randn(b, a, dtype=torch.float64, requires_grad=True) for a, b in pairwise(sizes)]
    biases = [torch.randn(b, dtype=torch.float64, requires_grad=True) for b in sizes[1:]]

    def forward(x):
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            gain = math.sqrt((1.0 if layer == 0 else 2.0) / weight.shape[1])
            x = gain * x @ weight.T + math.sqrt(BIAS_VARIANCE) * bias
            x = x if layer == depth else x.relu()
        return x[:, 0]

    return forward, [*weights, *biases]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_wide_net_has_nearly_the_tangent_kernel(depth):
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 3)))
    forward, parameters = _wide(3, depth, 1500 if depth == 1 else 600, seed=0)
    rows = []
    for output in forward(x):
        gradients = torch.autograd.grad(output, parameters, retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    empirical = torch.stack(rows) @ torch.stack(rows).T
    exact = infinite_kernel(x, x, depth=depth, trained="all")
    assert float((empirical - exact).abs().max() / exact.abs().max()) < 0.12


@pytest.mark.parametrize("depth", [1, 2])
def test_outputs_of_wide_nets_of_random_weights_covary_as_the_last_kernel_says(depth):
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 4)))
    with torch.no_grad():
        outputs = torch.stack([_wide(4, depth, 100, seed)[0](x) for seed in range(3000)])
    exact = infinite_kernel(x, x, depth=depth, trained="last")
    covariance = outputs.T @ outputs / len(outputs)
    assert float((covariance - exact).abs().max() / exact.abs().max()) < 0.1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.sampled_from(["all", "last"]),
    st.floats(1e-3, 1e3), st.integers(0, 2**31),
)  # fmt: skip
def test_the_kernel_is_symmetric_and_positive(n, n_inputs, depth, trained, size, seed):
    x = size * torch.from_numpy(np.random.default_rng(seed).normal(size=(n, n_inputs)))
    x[-1] = x[0]  # a row may be there twice
    kernel = infinite_kernel(x, x, depth=depth, trained=trained)
    assert torch.allclose(kernel, kernel.T, rtol=1e-6)
    assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-6 * float(kernel.max())


@pytest.mark.parametrize("given", [{"depth": 0}, {"depth": 1, "trained": "some"}])
def test_an_unknown_shape_is_refused(given):
    x = torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="a depth from 1 on"):
        infinite_kernel(x, x, **given)


def test_nets_of_other_sizes_are_named_otherwise():
    """Predictors stack members whose texts are equal."""
    plain = {"n_inputs": 3, "n_outputs": 1, "depth": 1, "landmarks": 5}
    others = [{}, {"n_inputs": 2}, {"n_outputs": 2}, {"depth": 2}, {"landmarks": 6}, {"trained": "last"}]
    names = {repr(InfiniteMlp(**plain | other)) for other in others}
    assert len(names) == len(others)
