"""A step without torch's record around it makes the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from soundfit.doctor.plain_step import plain_step

KINDS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01),
    "adam in one call": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "adamw maximize": lambda p: torch.optim.AdamW(p, lr=0.1, maximize=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.1),
}


class Halving(torch.optim.SGD):
    """Somebody's own optimiser."""

    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(0.5)


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_its_numbers_are_those_of_step(kind: str) -> None:
    make = KINDS.get(kind, lambda p: Halving(p, lr=0.1))
    weights = []
    for plain in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
        optimiser = make(list(net.parameters()))
        x = torch.randn(16, 3)
        for _ in range(7):
            for p in net.parameters():
                p.grad = None
            (net(x) - x.sum(1, keepdim=True)).square().mean().backward()
            if plain:
                plain_step(optimiser)
            else:
                optimiser.step()
        assert torch.is_grad_enabled()
        weights.append(torch.cat([p.detach().reshape(-1) for p in net.parameters()]))
    assert torch.equal(*weights)


def test_a_step_that_needs_a_closure_is_left_as_it_is() -> None:
    weight = torch.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="closure"):
        plain_step(torch.optim.LBFGS([weight]))
