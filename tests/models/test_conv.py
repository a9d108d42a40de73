"""Picture nets: shapes, starts, statistics; Grad-CAM on a net whose evidence is known."""

import pytest
import torch
from torch import nn

from reached import parameters_never_reached
from soundfit.models.conv import (
    PICTURE_MODELS,
    Cnn,
    PictureNet,
    ResNet,
    build_picture_net,
    multiply_adds,
)
from soundfit.models.grad_cam import grad_cam, with_maps
from soundfit.records import Config


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3), (4, 4, 1)])
@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "resnet"])
def test_bytes_in_outputs_out(model, shape):
    net = build_picture_net(Config(model=model, width=8, depth=2), shape, 5)
    x = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    assert net(x).shape == (3, 5)
    assert torch.isfinite(net.eval()(x)).all()


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="a picture model is one of"):
        build_picture_net(Config(model="resmlp"), (8, 8, 1), 2)


def test_pixels_are_scaled_by_statistics_that_are_buffers():
    config = Config(model="linear", options={"pixel_mean": (100.0,), "pixel_sd": (50.0,)})
    net = build_picture_net(config, (2, 2, 1), 1)
    assert {"pixel_mean", "pixel_scale"} <= {n for n, _ in net.named_buffers()}
    with torch.no_grad():
        net.body.output.weight.fill_(1.0)
    with torch.no_grad():
        assert float(net(torch.full((1, 2, 2, 1), 150, dtype=torch.uint8))) == pytest.approx(4.0)


def test_a_residual_block_starts_as_the_identity_and_a_plain_one_does_not():
    x = torch.randn(2, 8, 8, 8)
    for residual in (True, False):
        block = ResNet((8, 8, 1), 2, width=8, depth=1, residual=residual).blocks[0]
        assert torch.allclose(block(x), x) is residual


def test_norms_and_biases_are_not_decayed():
    net = build_picture_net(Config(model="cnn", width=4, depth=2), (8, 8, 1), 2)
    named = dict(net.named_parameters())
    assert set(net.parameter_scales) == {n for n, p in named.items() if p.dim() < 2}


def test_multiply_adds_are_those_of_the_layers():
    # 3 · 3 · 1 · 4 at 8 × 8, then 3 · 3 · 4 · 8 and 3 · 3 · 8 · 8 at 4 × 4, then 8 · 10.
    expected = 64 * 36 + 16 * (288 + 576) + 80
    assert multiply_adds("cnn", 4, 2, (8, 8, 1)) == expected


def test_gradients_of_the_first_layer_explode_in_a_deep_plain_net_and_not_in_a_residual_one():
    norms = {}
    for residual in (True, False):
        torch.manual_seed(0)
        net = ResNet((8, 8, 1), 3, width=4, depth=8, residual=residual)
        x = torch.randn(16, 1, 8, 8)
        nn.functional.cross_entropy(net(x), torch.arange(16) % 3).backward()
        norms[residual] = float(net.stem.weight.grad.norm() / net.output.weight.grad.norm())
    assert 0.01 < norms[True] < 1.0
    assert norms[False] > 10.0


def test_grad_cam_points_at_what_speaks_for_the_class():
    """A net of one convolution that passes brightness on: class 1 is bright, class 0 dark."""
    body = Cnn((8, 8, 1), 2, width=1, depth=1)
    with torch.no_grad():
        body.features[0].weight.zero_()
        body.features[0].weight[0, 0, 1, 1] = 1.0
        body.output.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    net = PictureNet(body, 1, pixel_mean=[0.0], pixel_sd=[255.0]).eval()
    x = torch.zeros(2, 8, 8, 1, dtype=torch.uint8)
    x[:, 5:7, 1:3] = 255
    maps = grad_cam(net, x, torch.tensor([1, 0]))
    assert with_maps(net) is net
    assert maps.shape == (2, 8, 8)
    assert float(maps[0, 5:7, 1:3].min()) == pytest.approx(1.0)
    assert float(maps[0, :4].max()) < 1e-6
    assert float(maps[1].max()) < 1e-6  # brightness speaks against class 0
    assert all(p.grad is None for p in net.parameters())
    assert with_maps(build_picture_net(Config(model="linear"), (8, 8, 1), 2)) is None


@pytest.mark.parametrize("model", PICTURE_MODELS)
def test_every_parameter_learns(model: str) -> None:
    net = build_picture_net(Config(model=model, width=8, depth=2), (12, 12, 1), 3)
    x = torch.randint(0, 255, (24, 12, 12, 1), dtype=torch.uint8)
    assert parameters_never_reached(net, x, torch.arange(24) % 3) == []
