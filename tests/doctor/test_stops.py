"""Functions that give back no gradient: named with the layers that never learn, and passed through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from watched import found_in

from soundfit.doctor.replaced import Replaced
from soundfit.doctor.stops import hear_stops, pass_on, step_of

_CODER = """
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
X = torch.randn(600, 10); y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > X[:, 3]).long()
class Bits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        out = torch.where(x >= 0, 1.0, -1.0)
        ctx.save_for_backward(SAVED)
        return out
    @staticmethod
    def backward(ctx, grad):
        kept, = ctx.saved_tensors
        return grad * (kept.abs() < 1).to(grad.dtype)
body = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 6), nn.BatchNorm1d(6))
class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.read = body, nn.Linear(6, 4)
    def forward(self, x):
        h = self.body(x)
        return self.read(CODE)
net = Coder()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(20):
    for b in torch.randperm(480).split(32):
        loss = F.cross_entropy(net(X[b]), y[b])
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad():
        print("accuracy", (net(X[480:]).argmax(1) == y[480:]).float().mean().item())
    net.train()
"""


@pytest.mark.parametrize(
    ("saved", "code", "line"),
    [("out", "Bits.apply(h)", 11), ("x", "torch.sign(h)", None), ("x", "(2 * h).round() / 2", None)],
)
def test_layers_behind_a_function_without_a_slope_are_named(
    saved: str, code: str, line: int | None, tmp_path: Path
) -> None:
    found = found_in(tmp_path, _CODER.replace("SAVED", saved).replace("CODE", code), 4.0)
    assert found[0].code == "vanishing-gradient"
    assert "gives back no gradient" in found[0].cause
    assert "body.0" in found[0].evidence["layers"]
    assert line is None or found[0].where.line == line


@pytest.mark.parametrize(
    ("saved", "code"),
    [("x", "Bits.apply(h)"), ("x", "h + (h.round() - h).detach()"), ("x", "torch.tanh(h)")],
)
def test_straight_through_is_left_alone(saved: str, code: str, tmp_path: Path) -> None:
    found = found_in(tmp_path, _CODER.replace("SAVED", saved).replace("CODE", code), 4.0)
    assert [d.cause for d in found if d.code == "vanishing-gradient"] == []


class _Zeros(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(grad)


class _Passed(_Zeros):
    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad


_CALLS = {
    "own": lambda x: _Zeros.apply(x), "passed": lambda x: _Passed.apply(x), "round": lambda x: x.round(),
    "floor": lambda x: torch.floor(x), "sign": lambda x: torch.sign(x),
}  # fmt: skip


@pytest.mark.parametrize("name", _CALLS)
@given(x=st.lists(st.floats(-3.0, 3.0, width=32), min_size=2, max_size=20))
def test_a_gradient_is_passed_on_and_no_number_changes(name: str, x: list[float]) -> None:
    call = _CALLS[name]
    given_x = torch.tensor([2.4, -1.7, *x]).requires_grad_()  # numbers that such functions tell apart
    before, replaced = call(given_x), Replaced()
    pass_on(replaced)
    try:
        out = call(given_x)
        (gradient,) = torch.autograd.grad(out.sum(), given_x)
    finally:
        replaced.restore()
    torch.testing.assert_close(out, before)
    one_sided = name == "sign" and bool((before.abs() == 1).all())
    assert torch.equal(gradient, (given_x.abs() <= 1).float() if one_sided else torch.ones(len(x) + 2))
    assert name == "passed" or not bool(torch.autograd.grad(call(given_x).sum(), given_x)[0].any())


def test_only_functions_that_give_nothing_back_are_heard() -> None:
    for function, expected in ((_Zeros, "_Zeros"), (_Passed, None)):
        told: dict[str, Any] = {}
        replaced = Replaced()
        hear_stops(replaced, told)
        try:
            function.apply(nn.Linear(4, 7)(torch.randn(9, 4)) * 5)
        finally:
            replaced.restore()
        assert told.get("stops", {}).get("name") == expected
    assert step_of((torch.ones(3, requires_grad=True) * 2).sum()) is None
