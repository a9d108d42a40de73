"""The fast recurrence against its slow twins: plain operations under autograd, and torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from soundfit.bank.tape import Tape
from soundfit.models.scan import CELLS, scan, unrolled

KINDS = sorted(CELLS)
# torch's gates in our order: ours are o, i, f, g; r, z, n; and the one.
ORDER = {"lstm": (3, 0, 1, 2), "gru": (0, 1, 2), "rnn": (0,)}


def _case(
    kind: str, *, steps: int = 7, batch: int = 5, inputs: int = 3, units: int = 4
) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(steps, inputs, batch, dtype=torch.float64, requires_grad=True)
    weight = 0.5 * torch.randn(CELLS[kind].gates * units, inputs + units, dtype=torch.float64)
    return x, weight.requires_grad_()


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_plain_operations(kind, every):
    x, weight = _case(kind)
    fast, slow = scan(kind, x, weight, every=every), unrolled(kind, x, weight)
    slow = slow if every else slow[-1]
    torch.testing.assert_close(fast, slow)
    probe = torch.randn_like(fast)
    for mine, theirs in zip(
        torch.autograd.grad((fast * probe).sum(), (x, weight)),
        torch.autograd.grad((slow * probe).sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_without_gradients_nothing_is_kept_and_values_are_the_same(kind, every):
    x, weight = _case(kind)
    with torch.no_grad():
        lean = scan(kind, x, weight, every=every)
    assert lean.grad_fn is None
    torch.testing.assert_close(lean, scan(kind, x, weight, every=every).detach(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_torchs_own_layer(kind):
    x, weight = _case(kind)
    units = weight.shape[0] // CELLS[kind].gates
    layer = getattr(torch.nn, kind.upper())(3, units, bias=False).double()
    back = torch.argsort(torch.tensor(ORDER[kind]))
    blocks = weight.detach().view(CELLS[kind].gates, units, -1)
    # Their gate k is our gate back[k].
    theirs = torch.stack([blocks[int(back[k])] for k in range(len(blocks))]).flatten(0, 1)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(theirs[:, :3])
        layer.weight_hh_l0.copy_(theirs[:, 3:])
    expected = layer(x.transpose(1, 2))[0].transpose(1, 2)
    got = scan(kind, x, weight, every=True)
    torch.testing.assert_close(got, expected)
    (mine,) = torch.autograd.grad(got.square().sum(), weight)
    ih, hh = torch.autograd.grad(expected.square().sum(), (layer.weight_ih_l0, layer.weight_hh_l0))
    grouped = torch.cat([ih, hh], dim=1).view(len(blocks), units, -1)
    torch.testing.assert_close(mine, grouped[torch.tensor(ORDER[kind])].flatten(0, 1))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_under_vmap_and_on_a_tape_each_member_is_as_alone(kind, shared):
    x, weight = _case(kind)
    weights = torch.stack([weight.detach(), -0.5 * weight.detach(), 0.1 * weight.detach()])
    inputs = x.detach() if shared else torch.stack([x.detach(), 2 * x.detach(), -x.detach()])
    mapped = torch.func.vmap(lambda x, w: scan(kind, x, w), in_dims=(None if shared else 0, 0))
    found = []

    def step() -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = weights.detach().requires_grad_()
            states = mapped(inputs, leaf)
            (gradient,) = torch.autograd.grad(states.square().sum(), leaf)
        return states.detach(), gradient

    tape = Tape(step, device=torch.device("cpu"))
    weights.mul_(0.9)
    found = tape.replay()
    for i in range(3):
        leaf = weights[i].detach().requires_grad_()
        alone = scan(kind, inputs if shared else inputs[i], leaf)
        torch.testing.assert_close(found[0][i], alone.detach())
        torch.testing.assert_close(found[1][i], torch.autograd.grad(alone.square().sum(), leaf)[0])


def test_gradients_by_finite_differences():
    for kind in KINDS:
        x, weight = _case(kind, steps=4, batch=2, inputs=2, units=2)
        assert torch.autograd.gradcheck(lambda x, w, kind=kind: scan(kind, x, w, every=True), (x, weight))
