"""Gradients that fade on their way through plain matrices, whoever asks for them."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import named_in

from soundfit.doctor.hand_steps import HandSteps

RINGS = """
import torch
torch.manual_seed(0)
X = torch.randn(600, 2); y = (X.norm(dim=1) > 1.2).long()
sizes, params = [2] + [24] * DEPTH + [2], []
for a, b in zip(sizes[:-1], sizes[1:]):
    params += [(torch.randn(a, b) * (GAIN / a) ** 0.5).requires_grad_(), torch.zeros(b, requires_grad=True)]
def forward(h):
    for k in range(0, len(params) - 2, 2):
        h = torch.SQUASH(h @ params[k] + params[k + 1])
    return h @ params[-2] + params[-1]
for epoch in range(20):
    for i in torch.randperm(600).split(30):
        loss = torch.nn.functional.cross_entropy(forward(X[i]), y[i])
        GRADIENTS
        with torch.no_grad():
            for p, g in zip(params, grads):
                p -= 0.05 * g
"""
ASKED = "grads = torch.autograd.grad(loss, params)"
LEFT = "[setattr(p, 'grad', None) for p in params]; loss.backward(); grads = [p.grad for p in params]"


@pytest.mark.parametrize("gradients", [ASKED, LEFT])
@pytest.mark.parametrize(
    ("depth", "squash", "gain", "named"),
    [(7, "sigmoid", 1, True), (1, "tanh", 2, False), (5, "relu", 2, False)],
)
def test_matrices_that_no_gradient_reaches_are_named(
    tmp_path: Path, gradients: str, depth: int, squash: str, gain: int, named: bool
) -> None:
    text = RINGS.replace("GRADIENTS", gradients).replace("DEPTH", str(depth))
    found = named_in(tmp_path, text.replace("SQUASH", squash).replace("GAIN", str(gain)), 2.0)
    assert found[:1] == (["vanishing-gradient"] if named else [])


@given(st.integers(1, 7), st.floats(0.3, 1.0), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_ratio_is_that_of_the_farthest_matrix_to_the_nearest(
    layers: int, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    weights = [torch.randn(4, 4, requires_grad=True) for _ in range(layers)]
    steps, ratios = HandSteps(), []
    for _ in range(4):
        h = torch.randn(6, 4)
        for w in weights:
            h = torch.tanh(scale * h @ w)
        loss = h.square().mean()
        steps.before(loss)
        grads = torch.autograd.grad(loss, weights)
        steps.after()
        steps.received(weights, grads)
        ratios.append(float(grads[0].norm() / grads[-1].norm()))
    found = steps.fading()
    if layers < 4:
        assert found == {}
    else:
        assert (found["layers"], found["squashed"]) == (layers, layers)
        assert found["ratio"] == pytest.approx(statistics.median(ratios[:3]), rel=1e-4)
