"""Nets for tables: shapes, sizes, starting points, refusals."""

from __future__ import annotations

import pytest
import torch

from reached import parameters_never_reached
from soundfit.models.net import ACTIVATIONS, MODELS, Linear, PeriodicEmbedding, build, count_parameters
from soundfit.records import Config


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_outputs_have_their_shape_and_gradients_flow(model: str, n_outputs: int) -> None:
    torch.manual_seed(0)
    net = build(Config(model=model, width=16, depth=2, dropout=0.1), 7, n_outputs)
    output = net(torch.randn(5, 7))
    assert output.shape == (5, n_outputs)
    output.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("model", ["mlp", "resmlp"])
def test_first_predictions_are_near_the_mean_and_hidden_signals_keep_their_scale(model: str) -> None:
    torch.manual_seed(0)
    net = build(Config(model=model, width=256, depth=4), 50, 1).eval()
    x = torch.randn(512, 50)
    assert float(net(x).std().detach()) < 0.5
    hidden: list[float] = []
    net.output.register_forward_pre_hook(lambda _, inputs: hidden.append(float(inputs[0].detach().std())))
    net(x)
    assert 0.2 < hidden[0] < 3.0


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_learns(model: str, activation: str) -> None:
    config = Config(model=model, width=16, depth=2, options={"activation": activation})
    torch.manual_seed(0)
    assert parameters_never_reached(build(config, 7, 3), torch.randn(24, 7), torch.arange(24) % 3) == []


def test_linear_starts_at_zero_and_depth_zero_is_linear() -> None:
    net = build(Config(model="mlp", depth=0), 3, 2)
    assert isinstance(net, Linear)
    assert float(net(torch.randn(4, 3)).abs().max().detach()) == 0.0


def test_no_dropout_builds_no_layer() -> None:
    names = [type(m).__name__ for m in build(Config(dropout=0.0), 4, 1).modules()]
    assert "CounterDropout" not in names


def test_count_parameters() -> None:
    net = build(Config(model="mlp", width=8, depth=1), 5, 1)
    assert count_parameters(net) == 5 + (5 * 8 + 8) + (8 + 1)
    next(net.parameters()).requires_grad_(False)
    assert count_parameters(net) == (5 * 8 + 8) + (8 + 1)


def test_rates_cover_every_parameter() -> None:
    for model in ("mlp", "resmlp"):
        net = build(Config(model=model), 4, 1)
        assert set(net.parameter_scales) == {n for n, _ in net.named_parameters()}


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations(activation: str) -> None:
    net = build(Config(options={"activation": activation}), 4, 1)
    assert bool(torch.isfinite(net(torch.randn(3, 4))).all())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="a table model is one of"):
        build(Config(model="forest"), 3, 1)
    with pytest.raises(ValueError, match="an activation is one of"):
        build(Config(options={"activation": "step"}), 3, 1)


def test_waves_are_those_of_the_chosen_inputs_and_the_inputs_stay() -> None:
    torch.manual_seed(0)
    layer = PeriodicEmbedding((2, 0), n_waves=5, n_outputs=2)
    x = torch.randn(7, 3)
    out = layer(x)
    assert torch.equal(out[:, :3], x)
    wave = torch.cos(2 * torch.pi * (x[:, 2:3] * layer.frequency[0] + layer.phase[0]))
    torch.testing.assert_close(out[:, 3:5], wave @ layer.mix[0] + layer.shift[0])
    moved = x.clone()
    moved[:, 1] += 1.0
    assert torch.equal(layer(moved)[:, 3:], out[:, 3:])


def test_waves_of_inputs_that_do_not_exist_are_refused() -> None:
    for periodic in ([3], [-1], ["a"], [0.5]):
        with pytest.raises(ValueError, match="waves are made of inputs 0 to 2"):
            build(Config(width=4, depth=1, options={"periodic": periodic}), 3, 1)
    net = build(Config(width=4, depth=1, options={"periodic": [0, 2]}), 3, 1)
    assert net(torch.randn(5, 3)).shape == (5, 1)
    assert net.parameter_scales["hidden.0.frequency"] == (0.1, 0.0)
